//! The command line: reads it, runs the command, and ends with an exit code that tells scripts what
//! happened.
//!
//! Rules for every command: only the answer goes to standard output; errors go to standard error
//! with the next step; `--output json` makes both machine-readable. What a call means is decided by
//! the members and the client library.
//!
//! Imports run down only, and no two files import each other:
//!
//! ```text
//! cli          reads the command line; `fuzzing` beside it tries values on any text
//! commands     one file per command; `commands.rs` registers them
//! bench        `synod bench` (`crate::bench`)
//! io           the cluster, standard streams, signals, failures
//! values       parsing and showing values
//! ```
//!
//! Beside them stands `crate::settings`, which imports none of these.

mod commands;
pub(crate) mod fuzzing;
pub(crate) mod io;
pub(crate) mod values;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

use commands::Command;
use io::cluster::Global;
use io::fail::{Exit, Failed};
use io::output::{self, Format};

const AFTER_HELP: &str = "\
Exit codes:
  0  done
  1  rejected: by a recipe's rules, a limit, or a rule of the cluster; nothing was changed
  2  wrong usage: flags, a config file, an argument that does not fit the schema
  3  unavailable: surely not applied, may be tried again
  4  outcome unknown: it may or may not have been applied
  5  internal error
  6  a call waited as long as it was allowed to: a lock was not acquired, an election not won
  7  the session was lost, or a leadership

Begin with `synod dev`, then `synod call counter add --key a --by 1` in another terminal.";

/// A coordination service whose recipes are WebAssembly modules of your own.
#[derive(Parser)]
#[command(name = "synod", version, after_help = AFTER_HELP, max_term_width = 120)]
pub(crate) struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Runs the command line of this process. A command does not wait for threads that look up a name
/// or read its input; a member closes its databases first.
pub(crate) fn main() -> ExitCode {
    let Cli { mut global, command } = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() && wants_json(std::env::args_os()) => {
            output::error(Format::Json, &misuse(&error));
            return Exit::Usage.into();
        }
        Err(error) => {
            let _unwritable = error.print();
            return if error.use_stderr() { Exit::Usage.into() } else { ExitCode::SUCCESS };
        }
    };
    let result = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failed::new(Exit::Internal, format!("cannot start threads: {error}")))
        .and_then(|runtime| {
            let is_member = command.is_member();
            let result = runtime.block_on(command.run(&mut global));
            if !is_member {
                runtime.shutdown_background();
            }
            result
        });
    match result {
        Ok(code) => code,
        Err(failed) => {
            output::error(global.output, &failed);
            failed.exit.into()
        }
    }
}

/// Whether a command line that is wrong asks for JSON: it was not understood, so its words are
/// looked at. They need not be UTF-8.
fn wants_json(words: impl Iterator<Item = OsString>) -> bool {
    let words = words.map(|word| word.to_string_lossy().into_owned());
    let words: Vec<String> = words.take_while(|word| word != "--").collect();
    let flag = |word: &str| matches!(word, "-o" | "--output");
    words.windows(2).any(|pair| flag(&pair[0]) && pair[1] == "json")
        || words.iter().any(|word| matches!(word.as_str(), "-ojson" | "-o=json" | "--output=json"))
}

/// Wrong usage: what is wrong comes first in clap's text, and what to do about it after that.
fn misuse(error: &clap::Error) -> Failed {
    let text = error.render().to_string();
    let text = text.trim();
    let (message, next) = text.split_once("\n\n").unwrap_or((text, ""));
    let failed = Failed::usage(message.strip_prefix("error: ").unwrap_or(message));
    if next.is_empty() { failed } else { failed.next(next) }
}

#[cfg(test)]
mod tests;
