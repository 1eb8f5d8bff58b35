//! Builds real crates with the toolchain of this machine: what the bytes depend on, and what the
//! errors say.
//!
//! The crates are tiny, but for the one that `scaffold` makes. Whether a module is admitted is not
//! asked here.
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use synod_build::{BuildError, Built, Environment, Lock, Options, build, scaffold};

const CODE: &str = r#"
use std::panic::Location;
#[unsafe(no_mangle)]
pub extern "C" fn answer(at: usize) -> u32 {
    let place: &'static str = Location::caller().file();
    let flag = if cfg!(x) { "leaked" } else { "kept" };
    let bytes: Vec<u8> = place.bytes().chain(flag.bytes()).collect();
    u32::from(bytes[at]) + helper::helper(at)
}
"#;
const HELPER: &str = "#[inline(never)] pub fn helper(at: usize) -> u32 { u32::from(file!().as_bytes()[at]) }";

struct Sandbox {
    dir: tempfile::TempDir,
}

impl Sandbox {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a temporary folder") }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("the folder is made");
        fs::write(path, text).expect("the file is written");
    }

    /// A recipe in `dir`, and beside it, outside of its workspace, a crate that it depends on.
    fn recipe(&self, dir: &str) -> PathBuf {
        self.write(
            &format!("{dir}/helper/Cargo.toml"),
            "[package]\nname = \"helper\"\nversion = \"1.0.0\"\nedition = \"2024\"\n[workspace]\n",
        );
        self.write(&format!("{dir}/helper/src/lib.rs"), HELPER);
        let manifest = "[package]\nname = \"tiny\"\nversion = \"1.0.0\"\nedition = \
            \"2024\"\n[workspace]\n[dependencies]\nhelper = { path = \"../helper\" }\n";
        self.write(&format!("{dir}/tiny/Cargo.toml"), manifest);
        self.write(&format!("{dir}/tiny/src/lib.rs"), CODE);
        self.path(dir).join("tiny")
    }

    /// Options with a target directory for the recipe in `dir` alone: to cargo, recipes in two
    /// places are the same one.
    fn options(&self, dir: &Path) -> Options {
        let name = dir.display().to_string().replace('/', "_");
        Options { target_dir: Some(self.path("target").join(name)), ..Options::default() }
    }

    fn build(&self, dir: &Path, variables: &[(&str, &str)]) -> Built {
        let variables = std::env::vars_os()
            .chain(variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))));
        let options = Options { environment: Environment::of(variables), ..self.options(dir) };
        build::recipe(dir, &options).unwrap_or_else(|error| panic!("{error}"))
    }
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn what_an_outer_build_sets_changes_no_byte() {
    let sandbox = Sandbox::new();
    let recipe = sandbox.recipe("a");
    let plain = sandbox.build(&recipe, &[]);
    assert_eq!(plain.package, "tiny");
    assert!(plain.wasm.starts_with(b"\0asm"));
    for leaks in [
        &[
            ("RUSTFLAGS", "--cfg x"),
            ("CARGO_ENCODED_RUSTFLAGS", "--cfg\x1fx"),
            ("CARGO_BUILD_RUSTFLAGS", "--cfg x"),
        ][..],
        &[("CARGO_TARGET_DIR", "/nonexistent"), ("CARGO_BUILD_TARGET", "x86_64-unknown-linux-gnu")],
        &[
            ("RUSTC", "/nonexistent"),
            ("RUSTC_WRAPPER", "/nonexistent"),
            ("RUSTC_WORKSPACE_WRAPPER", "/nonexistent"),
        ],
        &[
            ("CARGO_PROFILE_SYNOD_GUEST_OPT_LEVEL", "0"),
            ("CARGO_PROFILE_RELEASE_DEBUG", "true"),
            ("CARGO_INCREMENTAL", "1"),
        ],
    ] {
        assert!(sandbox.build(&recipe, leaks).wasm == plain.wasm, "{leaks:?}");
    }
}

#[test]
fn where_the_recipe_lies_changes_no_byte_of_its_own() {
    let sandbox = Sandbox::new();
    let built = ["here", "over/there"].map(|dir| sandbox.build(&sandbox.recipe(dir), &[]));
    for built in &built {
        assert!(
            !holds(&built.wasm, sandbox.dir.path().to_str().expect("UTF-8")),
            "a path of this machine is in the module"
        );
    }
}

#[test]
fn a_release_profile_of_the_workspace_changes_no_byte() {
    let sandbox = Sandbox::new();
    let recipe = sandbox.recipe("a");
    let plain = sandbox.build(&recipe, &[]);
    let manifest = fs::read_to_string(recipe.join("Cargo.toml")).expect("the manifest");
    let profile = "[profile.release]\nopt-level = 0\nlto = false\npanic = \"unwind\"\ndebug = \
        true\noverflow-checks = false\n";
    sandbox.write("a/tiny/Cargo.toml", &format!("{manifest}{profile}"));
    assert!(sandbox.build(&recipe, &[]).wasm == plain.wasm);
}

#[test]
fn an_error_of_the_compiler_is_in_the_message() {
    let sandbox = Sandbox::new();
    let recipe = sandbox.recipe("a");
    sandbox.write("a/tiny/src/lib.rs", "pub fn f() -> u32 { \"text\" }");
    let error = build::recipe(&recipe, &sandbox.options(&recipe)).expect_err("it does not compile");
    assert!(matches!(error, BuildError::Cargo { .. }));
    let text = error.to_string();
    assert!(text.contains("could not build tiny") && text.contains("mismatched types"), "{text}");
}

#[test]
fn a_lock_file_that_does_not_fit_is_kept_or_updated_as_asked() {
    let sandbox = Sandbox::new();
    let recipe = sandbox.recipe("a");
    sandbox.build(&recipe, &[]);
    let manifest = fs::read_to_string(recipe.join("Cargo.toml")).expect("the manifest");
    sandbox.write("a/tiny/Cargo.toml", &manifest.replace("1.0.0", "1.0.1"));
    let error = build::recipe(&recipe, &sandbox.options(&recipe)).expect_err("the lock is stale");
    assert!(matches!(error, BuildError::StaleLock { .. }), "{error}");
    assert!(error.to_string().contains("cargo update --workspace"), "{error}");
    build::recipe(&recipe, &Options { lock: Lock::Update, ..sandbox.options(&recipe) })
        .expect("the lock is updated");
    build::recipe(&recipe, &sandbox.options(&recipe)).expect("the lock fits");
}

#[test]
fn folders_that_are_no_recipe_are_named() {
    let sandbox = Sandbox::new();
    sandbox.write("program/Cargo.toml", "[package]\nname = \"program\"\nedition = \"2024\"\n[workspace]\n");
    sandbox.write("program/src/main.rs", "fn main() {}");
    sandbox.write("many/Cargo.toml", "[workspace]\nresolver = \"3\"\nmembers = [\"one\"]\n");
    sandbox.write("many/one/Cargo.toml", "[package]\nname = \"one\"\nedition = \"2024\"\n");
    sandbox.write("many/one/src/lib.rs", "");
    sandbox.write("broken/Cargo.toml", "[package");
    for (dir, reason) in [
        ("program", "no library"),
        ("many", "workspace of several"),
        ("broken", "could not read the manifest"),
    ] {
        let folder = sandbox.path(dir);
        let error =
            build::recipe(&folder, &sandbox.options(&folder)).expect_err("it is no recipe").to_string();
        assert!(error.contains(reason) && error.contains(dir), "{error}");
    }
}

#[test]
fn a_new_recipe_builds_to_the_same_module_wherever_it_lies() {
    let sandbox = Sandbox::new();
    let built = ["here/limits", "over/there/limits"].map(|dir| {
        let dir = sandbox.path(dir);
        scaffold::create("limits", &dir, None).unwrap_or_else(|error| panic!("{error}"));
        build::recipe(&dir, &Options { lock: Lock::Update, ..sandbox.options(&dir) })
            .unwrap_or_else(|error| panic!("{error}"))
    });
    assert!(holds(&built[0].wasm, "synod_schema"));
    assert!(built[0].wasm == built[1].wasm);
}
