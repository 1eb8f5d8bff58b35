//! Compiled code on disk, so that a restart need not compile. It can't go stale and can't be forged
//! by others.
//!
//! A file is used only if its authentication code, made with a key that only this directory's owner
//! can read, covers this module, this edition, this engine and these bytes:
//! `Module::deserialize` trusts what it is given with the process. Anything doubtful is compiled
//! again. Files appear whole or not at all. It is local: nothing here is ever sent, and losing it
//! costs time only.
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use synod_abi::ModuleHash;
use wasmtime::{Engine, Module};

use crate::engine::{Kind, compatibility};

const KEY_FILE: &str = "cache.key";
const KEY_BYTES: usize = 32;
const TAG_BYTES: usize = 32;
const EXTENSION: &str = "compiled";
const TEMPORARY: &str = "tmp";
/// Compiled code is some ten times its module; a file beyond this is not ours.
const FILE_BYTES: u64 = 256 * 1_024 * 1_024;
const DIRECTORY_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
/// Hexadecimal digits of the edition in a file's name.
const SUFFIX_DIGITS: usize = 16;

/// A directory of compiled modules.
#[derive(Debug)]
pub(crate) struct Cache {
    directory: PathBuf,
    key: [u8; KEY_BYTES],
    fingerprint: [u8; 32],
    suffix: String,
}

impl Cache {
    /// Opens a directory for code of the edition with this fingerprint, and makes it if there is
    /// none.
    pub(crate) fn open(directory: &Path, fingerprint: [u8; 32]) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(directory)?;
        fs::set_permissions(directory, Permissions::from_mode(DIRECTORY_MODE))?;
        let key = key(directory)?;
        let suffix = suffix(&fingerprint);
        Ok(Self { directory: directory.to_path_buf(), key, fingerprint, suffix })
    }

    /// Removes unfinished files of a directory, and what editions left in it that have none of
    /// these fingerprints.
    pub(crate) fn tidy(directory: &Path, fingerprints: &[[u8; 32]]) -> io::Result<()> {
        let endings: Vec<_> = fingerprints.iter().map(|one| ending(&suffix(one))).collect();
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let ours = endings.iter().any(|ending| name.ends_with(ending));
            let stale = name.ends_with(&format!(".{EXTENSION}")) && !ours;
            if stale || name.ends_with(&format!(".{TEMPORARY}")) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// The compiled module, and how many bytes it has, if there is one that is surely ours.
    pub(crate) fn load(&self, kind: Kind, engine: &Engine, hash: ModuleHash) -> Option<(Module, u64)> {
        let path = self.path(kind, hash);
        let bytes = match read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "a compiled module cannot be read and is \
                    compiled again");
                return None;
            }
        };
        let module = match bytes.split_first_chunk::<TAG_BYTES>() {
            // `blake3::Hash` compares in constant time.
            Some((tag, code)) if blake3::Hash::from_bytes(*tag) == self.tag(kind, engine, hash, code) => {
                // SAFETY: the code was made by `Module::serialize` of this very engine's
                // configuration and version, which the tag covers, and nobody without the key can
                // have made the tag; `bytes` is a private copy that does not change.
                unsafe { Module::deserialize(engine, code) }.map_err(|error| format!("{error:?}"))
            }
            _ => Err("its authentication code does not fit".to_string()),
        };
        match module {
            Ok(module) => Some((module, (bytes.len() - TAG_BYTES) as u64)),
            Err(cause) => {
                tracing::warn!(path = %path.display(), cause, "a compiled module is not trusted and is \
                    compiled again");
                let _ = fs::remove_file(&path);
                None
            }
        }
    }

    /// Keeps code of a module for `engine`. Failing is not an error: it will be compiled again.
    pub(crate) fn store(&self, kind: Kind, engine: &Engine, hash: ModuleHash, code: &[u8]) {
        let tag = self.tag(kind, engine, hash, code);
        if let Err(error) = replace(&self.directory, &self.path(kind, hash), &[tag.as_bytes(), code]) {
            tracing::warn!(%hash, %error, "a compiled module is not kept on disk");
        }
    }

    /// Forgets a module.
    pub(crate) fn remove(&self, hash: ModuleHash) {
        for kind in [Kind::Apply, Kind::Query] {
            let _ = fs::remove_file(self.path(kind, hash));
        }
    }

    /// Every file of this edition's code, with the hash of its module in hexadecimal. What cannot
    /// be read is not reported: it costs space until the next start.
    pub(crate) fn files(&self) -> Vec<(String, PathBuf)> {
        let entries = fs::read_dir(&self.directory).into_iter().flatten().flatten();
        let named = entries.filter_map(|entry| {
            let name =
                entry.file_name().into_string().ok().filter(|name| name.ends_with(&ending(&self.suffix)))?;
            Some((name.split_once('-')?.0.to_owned(), entry.path()))
        });
        named.collect()
    }

    fn path(&self, kind: Kind, hash: ModuleHash) -> PathBuf {
        self.directory.join(format!("{hash}-{}{}", kind.name(), ending(&self.suffix)))
    }

    fn tag(&self, kind: Kind, engine: &Engine, hash: ModuleHash, code: &[u8]) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher
            .update(kind.name().as_bytes())
            .update(&hash.0)
            .update(&self.fingerprint)
            .update(&compatibility(engine))
            .update(code);
        hasher.finalize()
    }
}

/// What names an edition in the names of its files.
fn suffix(fingerprint: &[u8; 32]) -> String {
    ModuleHash(*fingerprint).to_string()[..SUFFIX_DIGITS].to_string()
}

fn ending(suffix: &str) -> String {
    format!("-{suffix}.{EXTENSION}")
}

/// The directory's key, drawn when there is none.
fn key(directory: &Path) -> io::Result<[u8; KEY_BYTES]> {
    let path = directory.join(KEY_FILE);
    match read(&path) {
        Ok(bytes) => {
            let private = fs::metadata(&path)?.permissions().mode() & 0o077 == 0;
            if let (true, Ok(key)) = (private, bytes.try_into()) {
                return Ok(key);
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut key = [0; KEY_BYTES];
    File::open("/dev/urandom")?.read_exact(&mut key)?;
    replace(directory, &path, &[&key])?;
    Ok(key)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.len() > FILE_BYTES {
        return Err(io::Error::other("not a file of this cache"));
    }
    let mut bytes = Vec::with_capacity(metadata.len() as usize);
    file.take(FILE_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Puts a file in place at once: written beside it, synced, renamed.
fn replace(directory: &Path, path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    let temporary = path.with_extension(TEMPORARY);
    let _ = fs::remove_file(&temporary);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(&temporary)?;
    let written = parts.iter().try_for_each(|part| file.write_all(part)).and_then(|()| file.sync_all());
    let placed =
        written.and_then(|()| fs::rename(&temporary, path)).and_then(|()| File::open(directory)?.sync_all());
    if placed.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    placed
}

#[cfg(test)]
mod tests;
