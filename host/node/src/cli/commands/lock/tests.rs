//! Unit tests of `commands::lock`.
use std::time::Duration;

use super::*;
use crate::cli::values::parse::parse;

#[test]
fn everything_behind_the_dashes_is_the_command() {
    let args = parse::<LockArgs>("lock db --wait 0.5 --ttl 6 --owner me -- sh -c --ttl").expect("good");
    assert_eq!(args.held.command, ["sh", "-c", "--ttl"]);
    assert_eq!((args.name.as_str(), args.space.as_str(), args.owner.as_deref()), ("db", "lock", Some("me")));
    assert_eq!(
        (args.held.wait, args.held.session.ttl),
        (Some(Duration::from_millis(500)), Some(Duration::from_secs(6)))
    );
    assert_eq!(args.held.grace, Duration::from_secs(3));
}

#[test]
fn a_lock_without_a_command_is_wrong_usage() {
    for line in ["lock db", "lock db --", "lock db echo", "lock -- echo", "lock db --wait soon -- echo"] {
        assert!(parse::<LockArgs>(line).is_err(), "{line}");
    }
}
