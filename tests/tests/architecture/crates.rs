//! Which crate may import which: `cargo metadata` compared with section 3 of the design, which the
//! tables below repeat.
//!
//! What a crate is built of decides what it can do: a machine that cannot name a clock is
//! deterministic by more than discipline. Tests and benches may import more, so dev-dependencies
//! are not looked at. It cannot see what code does with what it imports.
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use synod_tests::source::root;

use super::complain;

/// Every crate, its folder, and which of our own crates it may depend on.
const OURS: [(&str, &str, &[&str]); 22] = [
    ("synod-abi", "guest-sdk/abi", &[]),
    ("synod-macros", "guest-sdk/macros", &[]),
    ("synod-sdk", "guest-sdk/sdk", &["synod-abi", "synod-macros"]),
    ("synod-test", "guest-sdk/test", &["synod-abi", "synod-sdk", "synod-machine", "synod-vm", "synod-build"]),
    ("synod-build", "guest-sdk/build", &[]),
    ("synod-planted", "host/planted", &[]),
    ("synod-machine", "host/machine", &["synod-abi", "synod-planted"]),
    ("synod-vm", "host/vm", &["synod-abi", "synod-machine", "synod-planted"]),
    ("synod-storage", "host/storage", &["synod-abi", "synod-machine"]),
    ("synod-consensus", "host/consensus", &["synod-abi", "synod-planted", "synod-storage"]),
    ("synod-service", "host/service", &["synod-abi", "synod-machine", "synod-planted"]),
    ("synod", "host/node", ANY),
    ("synod-api", "proto/api", &["synod-abi"]),
    ("synod-client", "proto/client", &["synod-abi", "synod-api"]),
    ("synod-bundle", "plugins/bundle", &["synod-build"]),
    ("synod-tests", "tests", ANY),
    ("synod-world", "tests/world", &[]),
    ("synod-sim", "tests/sim", ANY),
    // It judges the others, so it shares nothing with them.
    ("synod-checker", "tests/checker", &[]),
    ("synod-fuzz", "tests/fuzz", ANY),
    // It drives Synod as a user's program does, so it knows nothing of the host.
    (
        "synod-peers",
        "tests/peers",
        &[
            "synod-client",
            "synod-sdk",
            "synod-counter",
            "synod-election",
            "synod-kv",
            "synod-lock",
            "synod-tests",
        ],
    ),
    // Programs are no libraries; they import what a user would.
    ("synod-examples", "examples", &["synod-abi", "synod-client", "synod-sdk", "synod-counter", "synod-kv"]),
];
const ANY: &[&str] = &["*"];
/// What a recipe may depend on, ours and others'.
const OF_A_RECIPE: [&str; 1] = ["synod-sdk"];

/// Libraries, by the beginning of their names, and the only crates that may depend on them.
/// `synod-api` holds what tonic generates, and nothing that runs.
const ISOLATED: [(&str, &[&str]); 9] = [
    ("openraft", &["synod-consensus"]),
    ("rocksdb", &["synod-storage"]),
    ("librocksdb-sys", &[]),
    ("wasmtime", &["synod-vm"]),
    ("cranelift", &[]),
    ("tokio", &["synod", "synod-client", "synod-tests", "synod-peers", "synod-examples"]),
    ("tonic", &["synod", "synod-client", "synod-fuzz", "synod-tests", "synod-examples", "synod-api"]),
    ("prost", &["synod", "synod-client", "synod-fuzz", "synod-tests", "synod-api"]),
    ("clap", &["synod", "synod-sim", "synod-tests", "synod-peers", "synod-examples"]),
];
/// What the crates that every replica must agree on never depend on.
const PURE: [&str; 2] = ["synod-abi", "synod-machine"];
const IMPURE: [&str; 8] =
    ["serde_json", "rand", "getrandom", "chrono", "time", "tracing", "libc", "hashbrown"];

struct Package {
    name: String,
    folder: String,
    /// Dependencies by kind: `normal`, `build`, `dev`.
    dependencies: Vec<(String, String)>,
}

impl Package {
    fn shipped(&self) -> impl Iterator<Item = &str> {
        self.dependencies.iter().filter(|(kind, _)| kind != "dev").map(|(_, name)| name.as_str())
    }

    fn is_recipe(&self) -> bool {
        self.folder.starts_with("plugins/") && self.name != "synod-bundle"
    }
}

fn packages() -> Vec<Package> {
    let output = Command::new(env!("CARGO"))
        .current_dir(root())
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .output();
    let output = output.expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo answers in JSON");
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let package = |package: &Value| {
        let manifest = text(&package["manifest_path"]);
        let folder = Path::new(&manifest)
            .parent()
            .and_then(|folder| folder.strip_prefix(root()).ok())
            .expect("below the root");
        let dependencies = package["dependencies"].as_array().expect("a list").iter();
        Package {
            name: text(&package["name"]),
            folder: folder.display().to_string(),
            dependencies: dependencies
                .map(|d| (d["kind"].as_str().unwrap_or("normal").to_owned(), text(&d["name"])))
                .collect(),
        }
    };
    metadata["packages"].as_array().expect("a list").iter().map(package).collect()
}

#[test]
fn every_crate_lies_where_the_design_says() {
    let known: BTreeMap<&str, &str> = OURS.iter().map(|(name, folder, _)| (*name, *folder)).collect();
    let wrong = |package: &Package| match known.get(package.name.as_str()) {
        Some(folder) => package.folder != *folder,
        None => !package.is_recipe() || package.folder.matches('/').count() != 1,
    };
    let found: Vec<_> = packages()
        .iter()
        .filter(|package| wrong(package))
        .map(|p| format!("{} in {}", p.name, p.folder))
        .collect();
    complain("a new crate gets a line in this test and in the design", &found);
}

#[test]
fn crates_depend_on_each_other_only_as_the_design_says() {
    let packages = packages();
    let mut found = Vec::new();
    for package in &packages {
        let allowed = match OURS.iter().find(|(name, ..)| *name == package.name) {
            Some((.., allowed)) => *allowed,
            None => &OF_A_RECIPE,
        };
        for name in package.shipped().filter(|name| packages.iter().any(|package| package.name == *name)) {
            if allowed != ANY && !allowed.contains(&name) {
                found.push(format!("{} depends on {name}", package.name));
            }
        }
    }
    complain("a crate imports only what section 3 of the design lets it", &found);
}

#[test]
fn a_recipe_depends_on_the_sdk_alone() {
    let mut found = Vec::new();
    for package in packages().iter().filter(|package| package.is_recipe()) {
        found.extend(
            package
                .shipped()
                .filter(|name| !OF_A_RECIPE.contains(name))
                .map(|name| format!("{} depends on {name}", package.name)),
        );
    }
    complain("a recipe imports synod-sdk and nothing else", &found);
}

#[test]
fn large_libraries_are_named_in_one_place() {
    let mut found = Vec::new();
    for package in packages() {
        for name in package.shipped() {
            let rule = ISOLATED
                .iter()
                .find(|(library, _)| name == *library || name.starts_with(&format!("{library}-")));
            if rule.is_some_and(|(_, allowed)| !allowed.contains(&package.name.as_str())) {
                found.push(format!("{} depends on {name}", package.name));
            }
        }
    }
    complain("a library that decides what a crate is stays behind the crate that wraps it", &found);
}

#[test]
fn what_replicas_agree_on_is_pure() {
    for package in packages().iter().filter(|package| PURE.contains(&package.name.as_str())) {
        let impure: Vec<_> = package
            .shipped()
            .filter(|name| IMPURE.contains(name))
            .map(|name| format!("{} depends on {name}", package.name))
            .collect();
        complain("no clocks, randomness, hash order or I/O where replicas must agree", &impure);
        let lib = root().join(&package.folder).join("src/lib.rs");
        let text = std::fs::read_to_string(&lib)
            .unwrap_or_else(|error| panic!("cannot read {}: {error}", lib.display()));
        assert!(
            text.lines().any(|line| line.starts_with("#![") && line.contains("no_std")),
            "{} is no_std",
            package.name
        );
    }
}
