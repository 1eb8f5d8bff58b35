//! Unit tests of `commands::watch`.
use super::*;
use crate::cli::values::parse::parse;

fn event(revision: u64, topic: &str, payload: &str) -> WatchEvent<String> {
    WatchEvent { revision, number: 1, time_ms: 1_500, topic: topic.to_owned(), payload: payload.to_owned() }
}

#[test]
fn a_watch_begins_now_unless_told_otherwise() {
    let plain = parse::<WatchArgs>("watch locks").expect("good");
    assert_eq!((plain.topic.as_str(), plain.from, plain.query, plain.events), ("*", None, None, None));
    let from = parse::<WatchArgs>("watch kv config/ --from 813 --events 2 --progress").expect("good");
    assert_eq!(
        (from.topic.as_str(), from.from, from.events, from.progress),
        ("config/", Some(From::Revision(813)), Some(2), true)
    );
    assert_eq!(parse::<WatchArgs>("watch kv --from oldest").expect("good").from, Some(From::Oldest));
    let query = parse::<WatchArgs>("watch kv --query list --args {}").expect("good");
    assert_eq!((query.query.as_deref(), query.args.as_str()), (Some("list"), "{}"));
}

#[test]
fn nonsense_is_wrong_usage() {
    let lines = [
        "watch",
        "watch kv --from 0",
        "watch kv --from -1",
        "watch kv --from newest",
        "watch kv --from 1 --query list",
        "watch kv --args {}",
        "watch kv --events 0",
    ];
    for line in lines {
        assert!(parse::<WatchArgs>(line).is_err(), "{line}");
    }
}

#[test]
fn people_see_aligned_lines() {
    let mut lines = Lines::new(Format::Table);
    let text: Vec<_> = [event(9, "longer\n", "{\"a\": 1}"), event(10, "b", "null")]
        .iter()
        .map(|e| lines.event(e).expect("JSON"))
        .collect();
    assert_eq!(text[0], "9  1970-01-01T00:00:01.500Z  longer\\n  {\"a\":1}");
    assert_eq!(text[1], "10  1970-01-01T00:00:01.500Z  b         null");
    assert_eq!(lines.progress(7, 0), " 7  1970-01-01T00:00:00.000Z  (progress)");
}

#[test]
fn programs_see_an_object_a_line() {
    let mut lines = Lines::new(Format::Json);
    let text = lines.event(&event(9, "a", "{\"n\": 18446744073709551615}")).expect("JSON");
    let json: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(
        json,
        json!({"revision": 9, "number": 1, "time_ms": 1_500, "topic": "a", "payload": {"n": u64::MAX}})
    );
    let answer = Answer { value: "[1]".to_owned(), revision: 4, time_ms: 5, member_id: 1 };
    assert_eq!(
        lines.result("list", answer).expect("JSON"),
        json!({"result": [1], "revision": 4, "time_ms": 5}).to_string()
    );
    assert!(!text.contains('\n') && lines.event(&event(1, "a", "no")).is_err());
}

#[test]
fn a_compacted_watch_says_where_to_go_on() {
    let args = parse::<WatchArgs>("watch kv config/ --from 3").expect("good");
    let error = WatchError::Compacted { compacted_revision: 40, resume_revision: 41, message: "m".into() };
    let failed = failed(&args, error);
    assert_eq!((failed.exit, failed.json()["error"]["reason"].as_str()), (Exit::Rejected, Some("COMPACTED")));
    assert!(failed.next.is_some_and(|next| next.starts_with("`synod watch kv 'config/' --from 41`")));
}
