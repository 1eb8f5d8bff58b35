//! Unit tests of `recipe`.
use super::*;

#[test]
fn recipes_are_named_with_or_without_a_version() {
    assert_eq!("kv".parse(), Ok(RecipeAt { name: "kv".into(), version: None }));
    assert_eq!("kv@3".parse(), Ok(RecipeAt { name: "kv".into(), version: Some(3) }));
    for bad in ["", "kv@", "kv@0", "kv@x", "K", "a/b"] {
        assert!(bad.parse::<RecipeAt>().is_err(), "{bad}");
    }
}

#[test]
fn a_log_line_says_when_where_and_how_much_was_lost() {
    let line = LogLine {
        time_ms: 5,
        space: "s".into(),
        entry_point: "take".into(),
        level: 1,
        text: "oh".into(),
        dropped: 2,
        ..LogLine::default()
    };
    assert_eq!(log_text(&line), "… 2 lines dropped …\n5 ERROR s.take [] oh");
    assert_eq!(log_json(&line)["dropped"], 2);
}
