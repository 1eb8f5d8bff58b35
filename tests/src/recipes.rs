//! The recipes of `tests/recipes`, each built once in a process.
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use synod_api::v1::InstallRequest;
use synod_build::{Options, build};
use tempfile::TempDir;

static BUILT: Mutex<BTreeMap<&str, Vec<u8>>> = Mutex::new(BTreeMap::new());

/// The module of `tests/recipes/NAME`.
///
/// # Panics
/// When it does not build; cargo's message is on stderr.
pub fn module(name: &'static str) -> Vec<u8> {
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    let build = || {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes").join(name);
        build::recipe(&folder, &Options::default()).expect("the recipe builds").wasm
    };
    built.entry(name).or_insert_with(build).clone()
}

/// What installs it under a newer version, without any other change.
///
/// # Panics
/// As [`module`], and when its source cannot be copied.
pub fn install_as(name: &'static str, version: u32) -> InstallRequest {
    static NEWER: Mutex<BTreeMap<(&str, u32), Vec<u8>>> = Mutex::new(BTreeMap::new());
    let mut built = NEWER.lock().unwrap_or_else(PoisonError::into_inner);
    let build = || {
        let folder = copy(name, version);
        build::recipe(folder.path(), &Options::default()).expect("the recipe builds").wasm
    };
    let module = built.entry((name, version)).or_insert_with(build).clone();
    InstallRequest { module, ..InstallRequest::default() }
}

/// A copy of a recipe that calls itself version `version`.
fn copy(name: &str, version: u32) -> TempDir {
    let of = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes").join(name);
    let read = |file: &str| std::fs::read_to_string(of.join(file)).expect("the recipe is there");
    let folder = TempDir::with_prefix("synod-recipe-").expect("the temporary folder can be written");
    let write = |file: &str, text: String| {
        std::fs::write(folder.path().join(file), text).expect("the temporary folder can be written");
    };
    std::fs::create_dir(folder.path().join("src")).expect("the temporary folder can be written");
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    write("Cargo.toml", read("Cargo.toml").replace("../../..", root));
    write("Cargo.lock", read("Cargo.lock"));
    let source = read("src/lib.rs");
    let newer = source.replace("version = 1", &format!("version = {version}"));
    assert_ne!(source, newer, "the recipe says that it is version 1");
    write("src/lib.rs", newer);
    folder
}

/// What installs it.
pub fn install(name: &'static str) -> InstallRequest {
    InstallRequest { module: module(name), ..InstallRequest::default() }
}
