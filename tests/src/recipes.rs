//! The recipes of `tests/recipes`, each built once in a process.
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use synod_api::v1::InstallRequest;
use synod_build::{Options, build};

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

/// What installs it.
pub fn install(name: &'static str) -> InstallRequest {
    InstallRequest { module: module(name), ..InstallRequest::default() }
}
