//! Flags of one command from a line of text, for unit tests: they need no command line around them.
use clap::{Args, Command, Error};

/// The flags in `line`, whose first word is the command's name.
pub(crate) fn parse<A: Args>(line: &str) -> Result<A, Error> {
    let command = A::augment_args(Command::new("synod"));
    A::from_arg_matches(&command.try_get_matches_from(line.split_whitespace())?)
}
