//! Unit tests of `commands::space::events`.
use super::*;
use crate::cli::Cli;
use crate::cli::commands::Command;
use crate::cli::commands::space::SpaceCommand;
use clap::Parser;

fn parse(line: &str) -> Result<SpaceCommand, clap::Error> {
    let Command::Space(command) = Cli::try_parse_from(line.split_whitespace())?.command else {
        panic!("a space")
    };
    Ok(command)
}

#[test]
fn retention_has_units() {
    let SpaceCommand::Retention(args) =
        parse("synod space retention kv --bytes 64MiB --age 24h").expect("good")
    else {
        panic!()
    };
    assert_eq!(
        (args.events, args.bytes, args.age),
        (None, Some(64 << 20), Some(Duration::from_secs(86_400)))
    );
    for bad in [
        "synod space retention kv --age 24",
        "synod space retention kv --bytes 1MB",
        "synod space compact kv --through 0",
    ] {
        assert!(parse(bad).is_err(), "{bad}");
    }
}
