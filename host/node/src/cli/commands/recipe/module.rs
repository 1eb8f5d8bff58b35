//! The module that a command is given: a file, or the crate that it is built from. Whether members
//! would admit it, it does not know.
use std::path::Path;

use synod_abi::limits;
use synod_build::{Options, build as builder};

use crate::cli::io::fail::{Exit, Failed};

/// The failure of a module that no member admits, with the cause.
pub(super) fn refused(module: &[u8]) -> Failed {
    Failed::new(Exit::Rejected, format!("the module is not admitted: {}", synod_vm::explain(module)))
}

/// The module at `path`: a file's bytes, or what the crate in a folder builds to.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Failed> {
    let cannot = |error: std::io::Error| {
        Failed::usage(format!("cannot read {}: {error}", path.display()))
            .next("name a .wasm file, or the folder of a recipe's crate")
    };
    let kind = std::fs::metadata(path).map_err(cannot)?;
    if kind.is_dir() {
        return Ok(builder::recipe(path, &Options::interactive())?.wasm);
    }
    if kind.len() > limits::MODULE_BYTES as u64 {
        let message = format!(
            "{} has {} bytes, the limit of a module is {}",
            path.display(),
            kind.len(),
            limits::MODULE_BYTES
        );
        return Err(
            Failed::new(Exit::Rejected, message).next("build it with `synod recipe build`, which strips it")
        );
    }
    std::fs::read(path).map_err(cannot)
}

#[cfg(test)]
mod tests;
