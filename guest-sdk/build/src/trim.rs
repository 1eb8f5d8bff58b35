//! Trims the workspace's manifest to the crates that the SDK carries.
//!
//! Their manifests inherit from it, so what they inherit stays as it is. Lints go: a compiler newer
//! than the SDK may warn of more, and must not fail a user's build. The text is cut by section
//! headers, which the root manifest keeps at the beginning of lines; it is no TOML parser. A
//! trimmed manifest stays the same when it is trimmed again, because unpacked sources embed
//! themselves.

/// Cuts `manifest` down to `members`.
#[allow(dead_code, reason = "the build script trims, the library only tests it")]
pub(crate) fn trim(manifest: &str, members: &[&str]) -> String {
    let mut trimmed = String::from(
        "# Synod's SDK, unpacked by `synod`. It is replaced when it is changed.\n[workspace]\nresolver = \
            \"3\"\nmembers = [\n",
    );
    for member in members {
        trimmed.push_str(&format!("    \"{member}\",\n"));
    }
    trimmed.push_str("]\n");
    let mut kept = false;
    for line in manifest.lines() {
        if line.starts_with('[') {
            let dropped =
                line == "[workspace]" || line.starts_with("[workspace.lints") || line.starts_with("[profile");
            kept = !dropped;
            if kept {
                trimmed.push('\n');
            }
        }
        if kept && !line.trim().is_empty() && !line.starts_with('#') {
            trimmed.push_str(line);
            trimmed.push('\n');
        }
    }
    trimmed.push_str("\n[workspace.lints.rust]\nwarnings = \"allow\"\n");
    trimmed
}

#[cfg(test)]
// build.rs includes this file by its path, which moves where `mod tests;` alone would look.
#[path = "trim/tests.rs"]
mod tests;
