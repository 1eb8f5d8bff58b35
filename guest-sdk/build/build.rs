//! Packs the SDK's sources into one archive that the library embeds, so that `synod recipe new`
//! works without a checkout.
//!
//! Files are sorted by path, so the same sources give the same archive. It runs in a checkout and
//! in unpacked sources alike. It compiles nothing.
#[path = "src/archive.rs"]
mod archive;
#[path = "src/trim.rs"]
mod trim;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

/// The crates that a recipe and its tests need, and what they inherit from.
const MEMBERS: [&str; 8] = [
    "guest-sdk/abi",
    "guest-sdk/build",
    "guest-sdk/macros",
    "guest-sdk/sdk",
    "guest-sdk/test",
    "host/machine",
    "host/planted",
    "host/vm",
];

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?).join("../..").canonicalize()?;
    let mut files = Vec::new();
    for name in ["Cargo.lock", "Cargo.toml"] {
        println!("cargo::rerun-if-changed={}", root.join(name).display());
        let text = fs::read_to_string(root.join(name))
            .map_err(|error| format!("cannot read {}: {error}", root.join(name).display()))?;
        let text = if name == "Cargo.toml" { trim::trim(&text, &MEMBERS) } else { text };
        files.push((name.to_owned(), text.into_bytes()));
    }
    for member in MEMBERS {
        println!("cargo::rerun-if-changed={}", root.join(member).display());
        collect(&root, &root.join(member), &mut files)?;
    }
    files.sort();
    let archive = archive::write(files.iter().map(|(path, contents)| archive::File { path, contents }));
    println!("cargo::rustc-env=SYNOD_SDK_HASH={:016x}", archive::fnv1a_64(&archive));
    fs::write(PathBuf::from(std::env::var("OUT_DIR")?).join("sdk.archive"), archive)?;
    Ok(())
}

fn collect(root: &Path, dir: &Path, files: &mut Vec<(String, Vec<u8>)>) -> Result<(), Box<dyn Error>> {
    for item in fs::read_dir(dir).map_err(|error| format!("cannot read {}: {error}", dir.display()))? {
        let item = item?;
        let (name, path, kind) = (item.file_name(), item.path(), item.file_type()?);
        let name = name.to_str().ok_or_else(|| format!("{} is not UTF-8", path.display()))?;
        if name.starts_with('.') || name == "target" || name.ends_with('~') {
            continue;
        }
        if kind.is_dir() {
            collect(root, &path, files)?;
        } else if kind.is_file() {
            let relative = path
                .strip_prefix(root)?
                .to_str()
                .ok_or_else(|| format!("{} is not UTF-8", path.display()))?;
            files.push((relative.to_owned(), fs::read(&path)?));
        }
    }
    Ok(())
}
