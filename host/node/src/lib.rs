//! The `synod` binary: a member of a cluster, and the command line to clusters and recipes.
//!
//! Four parts: `cli` reads the command line and runs commands, `bench` is the load generator of
//! `synod bench`, `settings` describes what a member runs with, and `server` runs it. `server` and
//! `settings` know nothing of the command line. A member starts this program again to compile a
//! module: that process runs `server`'s compiler and nothing else.
//!
//! It is a library only so that tests can link what the binary runs; it offers no interface to
//! other programs.

mod bench;
mod cli;
#[doc(hidden)]
pub mod fuzzing;
mod server;
mod settings;

use std::process::ExitCode;

/// Runs this process as the command line says.
pub fn main() -> ExitCode {
    if server::is_compiler() {
        return server::run_compiler();
    }
    cli::main()
}
