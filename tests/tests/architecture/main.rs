//! Who may import whom: crates by `cargo metadata`, and inside the large crates rooms and files by
//! what their text imports.
//!
//! `crates` compares with section 3 of the design, `rooms` with the order that the header of each
//! crate or folder states, and `circles` with no order but that files do not import each other in a
//! circle. `modules` reads the imports.
mod circles;
mod crates;
mod modules;
mod rooms;
mod text;

/// Fails with `rule` and everything that breaks it.
fn complain(rule: &str, found: &[String]) {
    assert!(found.is_empty(), "{rule}:\n  {}", found.join("\n  "));
}
