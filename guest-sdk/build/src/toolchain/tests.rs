//! Unit tests of `toolchain`.
use std::ffi::OsString;

use super::*;

fn with(name: &str, value: &str) -> Environment {
    Environment::of([(OsString::from(name), OsString::from(value))])
}

#[test]
fn the_variable_chooses() {
    assert_eq!(Choice::of(&Environment::default()).unwrap(), Choice::Any);
    assert_eq!(Choice::of(&with("SYNOD_GUEST_TOOLCHAIN", "debian")).unwrap(), Choice::Debian);
    let error = Choice::of(&with("SYNOD_GUEST_TOOLCHAIN", "nix")).unwrap_err().to_string();
    assert!(error.contains("`nix`") && error.contains("`rustup` or `debian`"), "{error}");
}

#[test]
fn without_a_toolchain_one_message_says_what_to_install() {
    let nothing = with("PATH", "/nonexistent");
    let error = Toolchain::find(Path::new("/"), Choice::Rustup, &nothing).unwrap_err().to_string();
    assert!(error.contains("the active toolchain: `rustc` does not run"), "{error}");
    assert!(error.contains("rustup target add") && error.contains("rustc-web"), "{error}");
}

#[test]
fn a_toolchain_without_programs_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let reason = Toolchain::probe(dir.path(), None, &Environment::default()).unwrap_err();
    assert!(reason.contains("bin/rustc is not there"), "{reason}");
}

#[test]
fn the_library_is_probed_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    assert!(!has_library(&dir.path().join("absent")) && !has_library(dir.path()));
    std::fs::write(dir.path().join("libstd-0123.rlib"), b"").unwrap();
    assert!(has_library(dir.path()));
}
