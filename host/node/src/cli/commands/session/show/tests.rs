//! Unit tests of `commands::session::show`.
use super::*;

fn info() -> SessionInfo {
    SessionInfo {
        session: vec![0xab; 16],
        label: "me".into(),
        ttl_ms: 10_000,
        opened_at_ms: 1_000,
        requests: 3,
        waiting: 1,
        spaces: vec!["lock".into(), "kv".into()],
        ..SessionInfo::default()
    }
}

#[test]
fn people_see_whose_a_session_is_and_what_it_waits_for() {
    let text = list_text(&[info()], 62_000);
    let row: Vec<_> = text.lines().nth(1).expect("a row").split_whitespace().collect();
    assert_eq!(row, [&"ab".repeat(16), "me", "10", "s", "61", "s", "0", "3", "1", "lock,kv"]);
    let text = describe_text(&SessionInfo { spaces: vec![], ..info() }, 62_000);
    assert!(text.contains("outcomes kept     2,") && text.ends_with("spaces            none"), "{text}");
}

#[test]
fn programs_see_everything() {
    let json = to_json(&info());
    assert_eq!((json["session"].as_str().map(str::len), &json["spaces"]), (Some(32), &json!(["lock", "kv"])));
}

#[test]
fn ages_are_rough() {
    let table = [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7_200, "2 h"), (172_800, "2 d")];
    for (seconds, text) in table {
        assert_eq!(age(5_000, 5_000 + seconds * 1_000), text);
    }
    assert_eq!(age(9_000, 0), "0 s", "the cluster's clock may be ahead");
}
