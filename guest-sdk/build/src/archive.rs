//! The archive that carries the SDK's sources in the binary: a magic number, then per file the path
//! and the contents, each behind its length.
//!
//! The build script writes it and the library reads it, so it stands alone: this file is compiled
//! into both. It knows no compression, permissions or links; half a megabyte of text needs none.

/// First bytes of an archive, with the version of the format.
const MAGIC: &[u8] = b"synod-sources-1\n";

/// One file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct File<'a> {
    /// Where it goes, relative, parts joined by `/`.
    pub(crate) path: &'a str,
    /// What it holds.
    pub(crate) contents: &'a [u8],
}

/// Writes the archive of `files`, in their order.
#[allow(dead_code, reason = "the build script writes, the library reads")]
pub(crate) fn write<'a>(files: impl IntoIterator<Item = File<'a>>) -> Vec<u8> {
    let mut archive = MAGIC.to_vec();
    for file in files {
        for part in [file.path.as_bytes(), file.contents] {
            archive.extend((part.len() as u64).to_le_bytes());
            archive.extend(part);
        }
    }
    archive
}

/// Reads an archive. `None` if it is damaged, or a path leaves the folder that it is unpacked into.
#[allow(dead_code, reason = "the build script writes, the library reads")]
pub(crate) fn read(archive: &[u8]) -> Option<Vec<File<'_>>> {
    let mut rest = archive.strip_prefix(MAGIC)?;
    let mut files = Vec::new();
    while !rest.is_empty() {
        let path = std::str::from_utf8(part(&mut rest)?).ok()?;
        let contents = part(&mut rest)?;
        if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return None;
        }
        files.push(File { path, contents });
    }
    Some(files)
}

fn part<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (len, tail) = rest.split_first_chunk::<8>()?;
    let len = usize::try_from(u64::from_le_bytes(*len)).ok()?;
    let (part, tail) = tail.split_at_checked(len)?;
    *rest = tail;
    Some(part)
}

/// FNV-1a, 64 bits: names cache folders. Not for adversaries.
pub(crate) fn fnv1a_64(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
// build.rs includes this file by its path, which moves where `mod tests;` alone would look.
#[path = "archive/tests.rs"]
mod tests;
