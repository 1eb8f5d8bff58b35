//! Every bundled recipe passes its own tests as the module that is bundled, on the engine that
//! members use.
//!
//! The tests are those of the recipes' crates, taken in as modules, so that this is the one binary
//! that is linked with the engine. As modules they run natively, once more; the test below runs
//! this binary again with `SYNOD_TEST_WASM` set. No call in them may cost more than a tenth of its
//! budget.
use std::process::Command;

use synod_abi::limits;
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
    again.arg(format!("{}::", recipe.name));
    again.env("SYNOD_TEST_WASM", &module).env("SYNOD_TEST_FUEL", (limits::CALL_FUEL / 10).to_string());
    let output = again.output().expect("it runs");
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
