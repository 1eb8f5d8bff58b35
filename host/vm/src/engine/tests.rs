//! Unit tests of `engine`.
use super::*;

#[test]
fn two_engines_of_a_kind_have_one_fingerprint() {
    let [one, two] = [engine(Kind::Apply).expect("engine"), engine(Kind::Apply).expect("engine")];
    assert_eq!(fingerprint(&one), fingerprint(&two));
    assert_eq!(compatibility(&one), compatibility(&two));
}

#[test]
fn code_for_queries_does_not_fit_the_apply_engine() {
    let [apply, query] = [engine(Kind::Apply).expect("engine"), engine(Kind::Query).expect("engine")];
    assert_ne!(compatibility(&apply), compatibility(&query));
}

#[test]
fn every_part_changes_the_fingerprint() {
    let base = || fingerprint_of("1", 1, &[("A", 1)], "costs", &[0; 32]);
    assert_eq!(base(), base());
    for other in [
        fingerprint_of("2", 1, &[("A", 1)], "costs", &[0; 32]),
        fingerprint_of("1", 2, &[("A", 1)], "costs", &[0; 32]),
        fingerprint_of("1", 1, &[("A", 2)], "costs", &[0; 32]),
        fingerprint_of("1", 1, &[("B", 1)], "costs", &[0; 32]),
        fingerprint_of("1", 1, &[("A", 1)], "other", &[0; 32]),
        fingerprint_of("1", 1, &[("A", 1)], "costs", &[1; 32]),
    ] {
        assert_ne!(base(), other);
    }
}

#[test]
fn every_limit_that_decides_an_outcome_is_part_of_the_fingerprint() {
    const LOCAL: [&str; 8] = [
        "ENTRY_COMMANDS",
        "ENTRY_BYTES",
        "ENTRY_FUEL",
        "SESSION_TTL_FLOOR_MS",
        "SESSION_TTL_CEILING_MS",
        "SESSION_TTL_DEFAULT_MS",
        "LOG_LINE_BYTES",
        "LOG_RING_LINES",
    ];
    let source = include_str!("../../../../guest-sdk/abi/src/limits.rs");
    let declared = source
        .lines()
        .filter_map(|line| line.strip_prefix("pub const ")?.split_once(':'))
        .map(|(name, _)| name);
    let mut expected: Vec<_> = declared.filter(|name| !LOCAL.contains(name)).collect();
    let mut covered: Vec<_> = limits().iter().map(|(name, _)| *name).collect();
    expected.sort_unstable();
    covered.sort_unstable();
    assert_eq!(covered, expected, "what no outcome depends on is named in this test");
}

#[test]
fn the_manifest_pins_the_version_that_is_fingerprinted() {
    let manifest = include_str!("../../../../Cargo.toml");
    assert!(manifest.contains(&format!("wasmtime = {{ version = \"={WASMTIME_VERSION}\"")));
}
