//! Runs a recipe's own tests, natively or against its compiled module.
//!
//! The tests are the same: `synod_test::TestHost` runs the module that [`MODULE_VARIABLE`] names,
//! and the recipe's Rust code where it names none. The engine for modules is a feature of it,
//! because wasmtime takes minutes to compile. They run as `cargo test` runs them, in the user's
//! environment and terminal; only the module is built apart.
use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, ExitStatus};

use crate::build::{self, Options};
use crate::error::BuildError;
use crate::scaffold;

/// Names the compiled module that tests run against, by its path.
pub const MODULE_VARIABLE: &str = "SYNOD_TEST_WASM";
/// What of a recipe's dependencies runs compiled modules.
const FEATURE: &str = "synod-test/wasm";

/// What the tests run against.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Against {
    /// The recipe's code, compiled for this machine: fast to build, and debuggers work.
    #[default]
    Native,
    /// The module, on the engine that members use.
    Wasm,
}

/// Runs `cargo test` in the folder of a recipe, with further `args`, and returns how it ended.
///
/// # Errors
/// [`BuildError`] if the module does not build or cargo does not run; failing tests are an
/// [`ExitStatus`].
pub fn run(
    dir: &Path,
    against: Against,
    args: &[OsString],
    options: &Options,
) -> Result<ExitStatus, BuildError> {
    scaffold::restore_link(dir, &options.environment)?;
    let module = match against {
        Against::Native => None,
        Against::Wasm => Some(build::recipe(dir, options)?.path),
    };
    command(dir, args, module.as_deref()).status().map_err(BuildError::io("run", "cargo"))
}

fn command(dir: &Path, args: &[OsString], module: Option<&Path>) -> Command {
    let mut command = Command::new("cargo");
    command.arg("test").current_dir(dir).env_remove(MODULE_VARIABLE);
    if let Some(module) = module {
        command.args(["--features", FEATURE]).env(MODULE_VARIABLE, module);
    }
    command.args(args);
    command
}
