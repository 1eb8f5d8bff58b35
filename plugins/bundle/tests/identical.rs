//! The bundle has the same bytes whatever the build around it is: check, clippy, other flags,
//! another target directory.
//!
//! It runs cargo on this crate in a target directory of its own, and compares what the build script
//! left there with what this test was linked with. It says nothing about two toolchains, whose
//! bytes do differ.
use std::path::{Path, PathBuf};
use std::process::Command;

use synod_bundle::RECIPES;

/// Variables that an outer build may set, and that must not reach the guests.
const LEAKS: [(&str, &str); 4] = [
    ("RUSTFLAGS", "--cfg x"),
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0"),
    ("CARGO_INCREMENTAL", "1"),
    ("CARGO_PROFILE_RELEASE_LTO", "off"),
];

fn out_dir(tool: &str, target_dir: &Path, variables: &[(&str, &str)]) -> PathBuf {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args([
        tool,
        "--locked",
        "--manifest-path",
        concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"),
        "--message-format",
        "json",
    ]);
    cargo.env("CARGO_TARGET_DIR", target_dir).envs(variables.iter().copied());
    let output = cargo.output().expect("cargo runs");
    assert!(output.status.success(), "cargo {tool}: {}", String::from_utf8_lossy(&output.stderr));
    let mut messages = output
        .stdout
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<serde_json::Value>(line).ok());
    let executed = |message: &serde_json::Value| {
        message["reason"] == "build-script-executed"
            && message["package_id"].as_str().is_some_and(|id| id.contains("plugins/bundle"))
    };
    let message = messages.rfind(executed).expect("the bundle has a build script");
    PathBuf::from(message["out_dir"].as_str().expect("cargo names the folder"))
}

#[test]
fn every_build_around_it_gives_the_same_modules() {
    let target_dir = tempfile::tempdir().expect("a temporary folder");
    for (tool, variables) in [("check", &[][..]), ("clippy", &[]), ("check", &LEAKS)] {
        let out = out_dir(tool, target_dir.path(), variables);
        for recipe in RECIPES {
            let module = std::fs::read(out.join(format!("{}.wasm", recipe.name)))
                .expect("the build script wrote the module");
            assert!(
                module == recipe.module,
                "cargo {tool} with {variables:?} gives another module {}",
                recipe.name
            );
        }
    }
}

#[test]
fn an_empty_bundle_is_made_only_on_request() {
    let target_dir = tempfile::tempdir().expect("a temporary folder");
    let out = out_dir("check", target_dir.path(), &[("SYNOD_EMPTY_BUNDLE", "1")]);
    assert!(!out.join("counter.wasm").exists());
    assert!(!RECIPES.is_empty());
}
