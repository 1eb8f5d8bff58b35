//! Builds the bundled recipes to WebAssembly and lists them for the library.
//!
//! It goes through `synod-build`, which shuts out what the cargo around it sets: check, clippy,
//! other flags and another target directory all get the same bytes. Without a toolchain for guests
//! the build fails and says what to install; only documentation builds that ask for it get an empty
//! bundle. It installs nothing.
use std::error::Error;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use synod_build::{Options, build};

/// Folders in `plugins/`, which are the recipes' names.
const RECIPES: [&str; 5] = ["audit", "counter", "election", "kv", "lock"];
/// What a recipe's bytes depend on, beside its folder.
const SOURCES: [&str; 5] = ["guest-sdk/abi", "guest-sdk/macros", "guest-sdk/sdk", "Cargo.toml", "Cargo.lock"];
/// Variables that change what is built or where.
const VARIABLES: [&str; 6] = [
    "SYNOD_GUEST_TOOLCHAIN",
    "SYNOD_EMPTY_BUNDLE",
    "DOCS_RS",
    "RUSTUP_TOOLCHAIN",
    "XDG_CACHE_HOME",
    "CARGO_HOME",
];

fn main() {
    if let Err(error) = bundle() {
        println!("cargo::error=the bundled recipes were not built");
        for line in error.to_string().lines() {
            println!("cargo::error={line}");
        }
        std::process::exit(1);
    }
}

fn bundle() -> Result<(), Box<dyn Error>> {
    let root = Path::new(&std::env::var("CARGO_MANIFEST_DIR")?).join("../..").canonicalize()?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    println!("cargo::rerun-if-changed=build.rs");
    for variable in VARIABLES {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    let plugins = RECIPES.map(|name| format!("plugins/{name}"));
    for source in SOURCES.into_iter().chain(plugins.iter().map(String::as_str)) {
        println!("cargo::rerun-if-changed={}", root.join(source).display());
    }

    let recipes: &[&str] = if is_set("DOCS_RS") || is_set("SYNOD_EMPTY_BUNDLE") { &[] } else { &RECIPES };
    let mut list = String::from("&[\n");
    for name in recipes {
        let built = build::recipe(&root.join("plugins").join(name), &Options::default())?;
        built.write_to(&out.join(format!("{name}.wasm")))?;
        writeln!(
            list,
            "    Bundled {{ name: {name:?}, module: include_bytes!(concat!(env!(\"OUT_DIR\"), \
                \"/{name}.wasm\")) }},"
        )?;
    }
    list.push_str("]\n");
    synod_build::build::write_if_changed(&out.join("recipes.rs"), list.as_bytes())?;
    Ok(())
}

fn is_set(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|value| !value.is_empty() && value != "0")
}
