//! Who may import whom: crates, by `cargo metadata`.
mod crates;

/// Fails with `rule` and everything that breaks it.
fn complain(rule: &str, found: &[String]) {
    assert!(found.is_empty(), "{rule}:\n  {}", found.join("\n  "));
}
