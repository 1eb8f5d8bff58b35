//! The `synod` binary: a member of a cluster, and the command line to clusters and recipes.
//!
//! This file only starts: it reads the command line, makes the runtime, runs the command, and ends
//! with the exit code that tells scripts what happened.

mod cli;
mod options;
mod server;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
