//! Every bundled recipe passes its own tests as the module that is bundled, on the engine that
//! members use.
//!
//! The tests are those of the recipes' crates, taken in as modules, so that this is the one binary
//! that is linked with the engine. As modules they run natively, once more; the test below runs
//! this binary again with `SYNOD_TEST_WASM` set.
use std::process::Command;

use synod_bundle::{Bundled, RECIPES};

#[path = "../../audit/tests/audit.rs"]
mod audit;
#[path = "../../counter/tests/counter.rs"]
mod counter;
#[path = "../../election/tests/election/main.rs"]
mod election;
#[path = "../../kv/tests/kv.rs"]
mod kv;
#[path = "../../lock/tests/lock/main.rs"]
mod lock;

/// How many tests of `recipe` pass on its module.
fn passed(recipe: &Bundled) -> usize {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let module = dir.path().join(format!("{}.wasm", recipe.name));
    std::fs::write(&module, recipe.module).expect("the folder is writable");
    let mut again = Command::new(std::env::current_exe().expect("a test is a program"));
    let output =
        again.arg(format!("{}::", recipe.name)).env("SYNOD_TEST_WASM", &module).output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{} fails its tests as a module:\n{text}", recipe.name);
    text.lines().filter(|line| line.starts_with("test ") && line.ends_with(" ... ok")).count()
}

#[test]
fn every_recipe_passes_its_tests_as_a_module() {
    for recipe in RECIPES {
        assert!(
            passed(recipe) > 0,
            "{} has no tests here: take the file in its tests folder in as a module",
            recipe.name
        );
    }
}
