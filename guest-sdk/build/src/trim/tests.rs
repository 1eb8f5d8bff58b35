//! Unit tests of `trim`.
use super::*;

const MANIFEST: &str = r#"[workspace]
resolver = "3"
members = [
    "guest-sdk/abi",
    "host/node",
]
default-members = ["host/node"]

[workspace.package]
version = "1.2.3"

# Why.
[workspace.dependencies]
synod-abi = { path = "guest-sdk/abi" }

[workspace.lints.rust]
warnings = { level = "deny" }

[profile.dev]
opt-level = 2
"#;

const TRIMMED: &str = r#"# Synod's SDK, unpacked by `synod`. It is replaced when it is changed.
[workspace]
resolver = "3"
members = [
    "guest-sdk/abi",
]

[workspace.package]
version = "1.2.3"

[workspace.dependencies]
synod-abi = { path = "guest-sdk/abi" }

[workspace.lints.rust]
warnings = "allow"
"#;

#[test]
fn what_members_inherit_stays_and_the_rest_goes() {
    assert_eq!(trim(MANIFEST, &["guest-sdk/abi"]), TRIMMED);
}

#[test]
fn trimming_twice_is_trimming_once() {
    assert_eq!(trim(TRIMMED, &["guest-sdk/abi"]), TRIMMED);
}
