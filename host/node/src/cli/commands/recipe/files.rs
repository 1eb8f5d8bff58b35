//! The half of `synod recipe` that works on files: make, build, check and test. No cluster is
//! asked.
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde_json::json;
use synod_abi::limits;
use synod_build::test::Against;
use synod_build::{Options, build as builder, scaffold, test as tests};

use super::fail::{Exit, Failed};
use super::{Format, output};

pub(crate) fn new(
    format: Format,
    name: &str,
    dir: Option<PathBuf>,
    sdk_path: Option<PathBuf>,
) -> Result<(), Failed> {
    let dir = dir.unwrap_or_else(|| PathBuf::from(name));
    scaffold::create(name, &dir, sdk_path.as_deref())?;
    let shown = dir.display();
    output::answer(format, &json!({ "name": name, "dir": dir }), || {
        format!(
            "recipe {name} made in {shown}\n  next: cd {shown} && synod recipe test && synod recipe install"
        )
    })
}

pub(crate) fn build(format: Format, dir: &Path, out: Option<&Path>) -> Result<(), Failed> {
    let built = builder::recipe(dir, &Options::interactive())?;
    let admitted = synod_vm::admit(&built.wasm).map_err(|_| refused(&built.wasm))?;
    let path = match out {
        Some(out) => {
            built.write_to(out)?;
            out
        }
        None => &built.path,
    };
    let json = json!({
        "path": path, "bytes": built.wasm.len(), "hash": admitted.hash.to_string(),
        "recipe": admitted.schema.recipe.name, "version": admitted.schema.recipe.version,
    });
    output::answer(format, &json, || {
        format!("{}: {} bytes in {}", admitted.schema.recipe, built.wasm.len(), path.display())
    })
}

pub(crate) fn check(format: Format, path: &Path) -> Result<(), Failed> {
    let module = module(path)?;
    let admitted = synod_vm::admit(&module).map_err(|_| refused(&module))?;
    let json = json!({
        "admitted": true, "bytes": module.len(), "hash": admitted.hash.to_string(),
        "recipe": admitted.schema.recipe.name, "version": admitted.schema.recipe.version,
        "schema": serde_json::to_value(&admitted.schema).unwrap_or_default(),
    });
    output::answer(format, &json, || synod_vm::explain(&module))
}

pub(crate) fn test(dir: &Path, wasm: bool, args: &[OsString]) -> Result<(), Failed> {
    let against = if wasm { Against::Wasm } else { Against::Native };
    let status = tests::run(dir, against, args, &Options::interactive())?;
    if status.success() {
        Ok(())
    } else {
        Err(Failed::new(Exit::Rejected, format!("the recipe's tests failed ({status})")))
    }
}

fn refused(module: &[u8]) -> Failed {
    Failed::new(Exit::Rejected, format!("the module is not admitted: {}", synod_vm::explain(module)))
}

/// The module at `path`: a file's bytes, or what the crate in a folder builds to.
pub(crate) fn module(path: &Path) -> Result<Vec<u8>, Failed> {
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
mod unit {
    use super::*;

    #[test]
    fn a_file_that_is_missing_or_too_large_is_refused_before_anything_is_sent() {
        assert_eq!(module(Path::new("/nowhere/at/all.wasm")).expect_err("missing").exit, Exit::Usage);
        let large = std::env::temp_dir().join(format!("synod-large-{}.wasm", std::process::id()));
        std::fs::write(&large, vec![0; limits::MODULE_BYTES + 1]).expect("the temporary folder is writable");
        let failed = module(&large).expect_err("too large");
        std::fs::remove_file(&large).expect("it was just written");
        assert_eq!(failed.exit, Exit::Rejected);
        assert!(failed.message.contains("the limit of a module is 1048576"), "{}", failed.message);
    }

    #[test]
    fn what_is_not_wasm_is_explained() {
        assert!(refused(b"#!/bin/sh").message.contains("not a WebAssembly module"));
    }
}
