//! Unit tests of `environment`.
use super::*;

fn of(variables: &[(&str, &str)]) -> Environment {
    Environment::of(variables.iter().map(|(name, value)| (name.into(), value.into())))
}

#[test]
fn what_an_outer_cargo_sets_is_dropped() {
    let outer = of(&[
        ("CARGO", "/x/cargo"),
        ("CARGO_BUILD_TARGET", "x"),
        ("CARGO_ENCODED_RUSTFLAGS", "--cfg\x1fx"),
        ("CARGO_INCREMENTAL", "1"),
        ("CARGO_MANIFEST_DIR", "/x"),
        ("CARGO_PROFILE_RELEASE_LTO", "off"),
        ("CARGO_TARGET_DIR", "/x"),
        ("LD_LIBRARY_PATH", "/x"),
        ("OUT_DIR", "/x"),
        ("RUSTC", "/x/rustc"),
        ("RUSTC_WORKSPACE_WRAPPER", "/x/clippy-driver"),
        ("RUSTC_WRAPPER", "/x/sccache"),
        ("RUSTFLAGS", "--cfg x"),
        ("TARGET", "x"),
    ]);
    assert_eq!(outer, Environment::default());
}

#[test]
fn what_reaches_the_network_and_the_jobserver_passes() {
    let names = [
        "CARGO_MAKEFLAGS",
        "CARGO_NET_OFFLINE",
        "CARGO_REGISTRIES_OURS_INDEX",
        "CARGO_HTTP_CAINFO",
        "https_proxy",
        "SSL_CERT_FILE",
    ];
    let environment = of(&names.map(|name| (name, "x")));
    assert_eq!(environment.variables.len(), names.len());
}

#[test]
fn the_list_is_sorted_for_its_search() {
    assert!(PASSED.is_sorted());
}

#[test]
fn a_cache_is_in_an_absolute_folder_or_nowhere() {
    assert_eq!(of(&[("XDG_CACHE_HOME", "/c"), ("HOME", "/h")]).cache_home(), Some("/c".into()));
    assert_eq!(of(&[("XDG_CACHE_HOME", "c"), ("HOME", "/h")]).cache_home(), Some("/h/.cache".into()));
    assert_eq!(of(&[("HOME", "")]).cache_home(), None);
}

#[test]
fn an_empty_choice_is_none() {
    assert_eq!(of(&[(CHOICE, "")]).choice(), None);
    assert_eq!(of(&[(CHOICE, "debian")]).choice(), Some("debian"));
}
