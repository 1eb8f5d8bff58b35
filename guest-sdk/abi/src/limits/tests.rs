//! Unit tests of `limits`.
use super::*;

#[test]
fn every_limit_that_decides_an_outcome_is_replicated() {
    const LOCAL: [&str; 7] = [
        "ENTRY_COMMANDS",
        "ENTRY_BYTES",
        "SESSION_TTL_FLOOR_MS",
        "SESSION_TTL_CEILING_MS",
        "SESSION_TTL_DEFAULT_MS",
        "LOG_LINE_BYTES",
        "LOG_RING_LINES",
    ];
    let source = include_str!("../limits.rs");
    let declared = source
        .lines()
        .filter_map(|line| line.strip_prefix("pub const ")?.split_once(':'))
        .map(|(name, _)| name)
        .filter(|name| *name != "REPLICATED");
    let mut expected: alloc::vec::Vec<_> = declared.filter(|name| !LOCAL.contains(name)).collect();
    let mut covered: alloc::vec::Vec<_> = REPLICATED.iter().map(|limit| limit.name).collect();
    expected.sort_unstable();
    covered.sort_unstable();
    assert_eq!(covered, expected, "what no outcome depends on is named in this test");
}
