//! Unit tests of `commands::recipe::module`.
use super::*;

#[test]
fn a_file_that_is_missing_or_too_large_is_refused_before_anything_is_sent() {
    assert_eq!(read(Path::new("/nowhere/at/all.wasm")).expect_err("missing").exit, Exit::Usage);
    let large = std::env::temp_dir().join(format!("synod-large-{}.wasm", std::process::id()));
    std::fs::write(&large, vec![0; limits::MODULE_BYTES + 1]).expect("the temporary folder is writable");
    let failed = read(&large).expect_err("too large");
    std::fs::remove_file(&large).expect("it was just written");
    assert_eq!(failed.exit, Exit::Rejected);
    assert!(failed.message.contains("the limit of a module is 1048576"), "{}", failed.message);
}

#[test]
fn what_is_not_wasm_is_explained() {
    assert!(refused(b"#!/bin/sh").message.contains("not a WebAssembly module"));
}
