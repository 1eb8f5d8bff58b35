//! Unit tests of `cli`.
use std::os::unix::ffi::OsStringExt;

use super::*;
use clap::CommandFactory;

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn arguments_of_an_operation_are_left_to_its_schema() {
    let cli = Cli::try_parse_from(["synod", "call", "limits", "take", "--key", "api", "--n", "-1"])
        .expect("parses");
    let Command::Call(args) = cli.command else { panic!("a call") };
    assert_eq!(args.target.rest, ["--key", "api", "--n", "-1"]);
}

#[test]
fn wrong_usage_is_told_in_json_if_that_is_asked_for() {
    let asks = |line: &str| wants_json(line.split(' ').map(OsString::from));
    for line in ["synod -o json nothing", "synod status --output=json --no", "synod -ojson"] {
        assert!(asks(line), "{line}");
    }
    for line in ["synod nothing", "synod -o table json", "synod lock a -- cat -o json"] {
        assert!(!asks(line), "{line}");
    }
    let not_text = OsString::from_vec(vec![0xff, 0xfe]);
    assert!(wants_json(["synod".into(), not_text, "-ojson".into()].into_iter()));
    let error = Cli::try_parse_from(["synod", "status", "--no"]).err().expect("no such flag");
    let json = misuse(&error).json();
    assert_eq!(json["error"]["kind"], "usage");
    assert_eq!(json["error"]["message"], "unexpected argument '--no' found");
    assert!(json["error"]["next"].as_str().is_some_and(|next| next.contains("Usage: synod status")));
}

#[test]
fn global_flags_stand_anywhere() {
    let cli =
        Cli::try_parse_from(["synod", "space", "list", "--output", "json", "-e", "h:1"]).expect("parses");
    assert_eq!((cli.global.output, cli.global.endpoint.as_str()), (Format::Json, "h:1"));
}

#[test]
fn a_calls_session_may_stand_before_the_space() {
    let token = format!("{}:{}", "0a".repeat(16), "0b".repeat(16));
    let line = ["synod", "call", "--session", &token, "--wait", "1.5", "lock", "acquire", "--name", "a"];
    let Command::Call(args) = Cli::try_parse_from(line).expect("parses").command else { panic!("a call") };
    assert_eq!(args.target.rest, ["--name", "a"]);
    assert!(Cli::try_parse_from(["synod", "call", "--session", "7", "lock", "acquire"]).is_err());
}

#[test]
fn sessions_are_named_by_id_or_token() {
    let id = "0a".repeat(16);
    let secret = "0b".repeat(16);
    for name in [id.clone(), format!("{id}:{secret}")] {
        assert!(Cli::try_parse_from(["synod", "session", "close", &name]).is_ok(), "{name}");
    }
    assert!(Cli::try_parse_from(["synod", "session", "close", "7"]).is_err());
    assert!(Cli::try_parse_from(["synod", "session", "bounds", "--min-s", "1", "--max-s", "60"]).is_ok());
    assert!(
        Cli::try_parse_from([
            "synod",
            "session",
            "open",
            "--ttl",
            "5",
            "--nearest",
            "--detach",
            "--label",
            "me"
        ])
        .is_ok()
    );
}
