//! Unit tests of `commands::elect`.
use super::*;
use crate::cli::values::parse::parse;
use synod_client::Refusal;

#[test]
fn everything_behind_the_dashes_is_the_command() {
    let args = parse::<ElectArgs>("elect main --wait 0.5 --ttl 6 --candidate me --value v -- sh -c --ttl")
        .expect("good");
    assert_eq!(args.held.command, ["sh", "-c", "--ttl"]);
    assert_eq!(
        (args.name.as_str(), args.space.as_str(), args.candidate.as_deref()),
        ("main", "election", Some("me"))
    );
    assert_eq!(
        (args.held.wait, args.held.session.ttl),
        (Some(Duration::from_millis(500)), Some(Duration::from_secs(6)))
    );
    for line in ["elect main", "elect main --", "elect -- echo", "elect main --grace long -- echo"] {
        assert!(parse::<ElectArgs>(line).is_err(), "{line}");
    }
}

#[test]
fn a_leadership_ends_with_another_or_with_none() {
    let blob = || Blob(vec![]);
    let elected =
        |token| ElectionEvent::Elected { candidate: "b".into(), value: blob(), token: Token(token) };
    let table = [
        (elected(7), false),
        (elected(8), true),
        (ElectionEvent::Vacant { token: Token(6) }, false),
        (ElectionEvent::Vacant { token: Token(7) }, true),
        (ElectionEvent::Proclaimed { value: blob(), token: Token(7) }, false),
    ];
    for (event, expected) in table {
        assert_eq!(ends(&event, Token(7)), expected, "{event:?}");
    }
    let refused = |reason: &str| {
        WatchError::Failed(Error::Refused(Refusal { reason: reason.to_owned(), ..Refusal::default() }))
    };
    assert!(
        is_gone(&refused("UNKNOWN_SPACE")) && is_gone(&WatchError::SpaceDeleted { message: String::new() })
    );
    assert!(
        !is_gone(&refused("SCHEMA_MISMATCH"))
            && !is_gone(&WatchError::Failed(Error::Unavailable(String::new())))
    );
    assert!(leads("{\"token\":\"7\"}", Token(7)) && leads("no JSON", Token(7)) && leads("{}", Token(7)));
    assert!(!leads("null", Token(7)) && !leads("{\"token\":\"8\"}", Token(7)));
}
