//! Finds a Rust toolchain that compiles to `wasm32-unknown-unknown`.
//!
//! The order: the active toolchain, if the target's standard library is installed; the active
//! toolchain, if it has the library's sources; Debian's own Rust, likewise. What is installed is
//! probed on disk, because a target that is merely listed in a toolchain file is silently ignored
//! by rustup. It looks, and says what to install; it installs nothing.
//!
//! Programs are called by their paths in the toolchain, not through rustup's shims, so that a
//! toolchain file in the recipe's folder decides once, here.
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::archive::fnv1a_64;
use crate::environment::Environment;
use crate::error::BuildError;

/// The target of all guests.
pub const TARGET: &str = "wasm32-unknown-unknown";

const DEBIAN_SYSROOT: &str = "/usr";

/// Which kind of toolchain to take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// The first that works.
    #[default]
    Any,
    /// The active one: what `rustc` means in the recipe's folder, under rustup.
    Rustup,
    /// Debian's packages, in `/usr/bin`.
    Debian,
}

impl Choice {
    /// What `SYNOD_GUEST_TOOLCHAIN` says.
    ///
    /// # Errors
    /// [`BuildError::UnknownChoice`] for another value than `rustup` and `debian`.
    pub fn of(environment: &Environment) -> Result<Self, BuildError> {
        match environment.choice() {
            None => Ok(Self::Any),
            Some("rustup") => Ok(Self::Rustup),
            Some("debian") => Ok(Self::Debian),
            Some(value) => Err(BuildError::UnknownChoice { value: value.to_owned() }),
        }
    }
}

/// Where the guest's standard library comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Library {
    /// It is installed.
    Prebuilt,
    /// Cargo builds it from the toolchain's sources: about 30 s, once per workspace.
    FromSource,
}

/// A toolchain that can build guests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toolchain {
    /// Its compiler.
    pub rustc: PathBuf,
    /// Its cargo.
    pub cargo: PathBuf,
    /// Its root.
    pub sysroot: PathBuf,
    /// Where the guest's standard library comes from.
    pub library: Library,
    /// The linker, if it is not the compiler's default.
    pub linker: Option<PathBuf>,
    /// The compiler's release, such as `1.95.0`.
    pub release: String,
    /// The compiler's commit, or its release if it does not know.
    pub commit: String,
    identity: u64,
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rustc {} in {}", self.release, self.sysroot.display())?;
        match self.library {
            Library::Prebuilt => Ok(()),
            Library::FromSource => f.write_str(", standard library from source"),
        }
    }
}

impl Toolchain {
    /// Finds a toolchain for the recipe in `dir`.
    ///
    /// # Errors
    /// [`BuildError::NoToolchain`] says what was tried and what to install.
    pub fn find(dir: &Path, choice: Choice, environment: &Environment) -> Result<Self, BuildError> {
        let mut tried = Vec::new();
        if choice != Choice::Debian {
            match active_sysroot(dir, environment)
                .and_then(|sysroot| Self::probe(&sysroot, None, environment))
            {
                Ok(toolchain) => return Ok(toolchain),
                Err(reason) => tried.push(format!("  the active toolchain: {reason}")),
            }
        }
        if choice != Choice::Rustup {
            match debian(environment) {
                Ok(toolchain) => return Ok(toolchain),
                Err(reason) => tried.push(format!("  Debian's packages: {reason}")),
            }
        }
        Err(BuildError::NoToolchain { tried: tried.join("\n") })
    }

    /// A name for folders: other toolchains have other names.
    pub(crate) fn folder_name(&self) -> String {
        format!("{}-{:016x}", self.release, self.identity)
    }

    /// The folder of the standard library's sources.
    pub(crate) fn library_sources(&self) -> PathBuf {
        self.sysroot.join("lib/rustlib/src/rust")
    }

    fn probe(sysroot: &Path, linker: Option<PathBuf>, environment: &Environment) -> Result<Self, String> {
        let (rustc, cargo) = (sysroot.join("bin/rustc"), sysroot.join("bin/cargo"));
        for program in [&rustc, &cargo] {
            if !program.is_file() {
                return Err(format!("{} is not there", program.display()));
            }
        }
        let version = ask(environment, &rustc, &["-vV"], None)?;
        let field = |name: &str| {
            version.lines().find_map(|line| line.strip_prefix(name)).map(str::trim).map(str::to_owned)
        };
        let release =
            field("release:").ok_or_else(|| format!("`{} -vV` names no release", rustc.display()))?;
        let commit =
            field("commit-hash:").filter(|commit| commit != "unknown").unwrap_or_else(|| release.clone());
        let libdir = PathBuf::from(
            ask(environment, &rustc, &["--print", "target-libdir", "--target", TARGET], None)?.trim(),
        );
        let library = if has_library(&libdir) {
            Library::Prebuilt
        } else if sysroot.join("lib/rustlib/src/rust/library/Cargo.lock").is_file() {
            Library::FromSource
        } else {
            return Err(format!(
                "rustc {release} in {} has neither the target's library nor the library's sources",
                sysroot.display()
            ));
        };
        let identity = fnv1a_64(format!("{version}{}{library:?}", sysroot.display()).as_bytes());
        Ok(Self { rustc, cargo, sysroot: sysroot.to_owned(), library, linker, release, commit, identity })
    }
}

fn debian(environment: &Environment) -> Result<Toolchain, String> {
    let sysroot = Path::new(DEBIAN_SYSROOT);
    let linker = sysroot.join("bin/rust-lld");
    let toolchain = Toolchain::probe(sysroot, Some(linker.clone()), environment)?;
    if linker.exists() {
        return Ok(toolchain);
    }
    match linker.symlink_metadata() {
        Ok(_) => {
            Err(format!("{} is a link to a linker that is not installed; install lld-22", linker.display()))
        }
        Err(_) => Err(format!("{} is not there; install rust-web-llvm and lld-22", linker.display())),
    }
}

fn active_sysroot(dir: &Path, environment: &Environment) -> Result<PathBuf, String> {
    ask(environment, Path::new("rustc"), &["--print", "sysroot"], Some(dir))
        .map(|sysroot| PathBuf::from(sysroot.trim()))
}

fn has_library(libdir: &Path) -> bool {
    let Ok(files) = libdir.read_dir() else { return false };
    files.flatten().any(|file| {
        file.file_name().to_str().is_some_and(|name| name.starts_with("libstd-") && name.ends_with(".rlib"))
    })
}

fn ask(
    environment: &Environment,
    program: &Path,
    args: &[&str],
    dir: Option<&Path>,
) -> Result<String, String> {
    let mut command = environment.command(program);
    command.args(args).stdin(Stdio::null());
    if let Some(dir) = dir {
        command.current_dir(dir);
    }
    let output =
        command.output().map_err(|error| format!("`{}` does not run: {error}", program.display()))?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        return Err(format!("`{} {}` failed: {}", program.display(), args.join(" "), why.trim()));
    }
    String::from_utf8(output.stdout)
        .map_err(|_| format!("`{}` answered something else than UTF-8", program.display()))
}

#[cfg(test)]
mod tests;
