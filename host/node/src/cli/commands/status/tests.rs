//! Unit tests of `commands::status`.
use super::*;
use synod_client::api::Header;

fn status() -> StatusReply {
    let a = MemberStatus {
        id: 1,
        name: "a".into(),
        role: Role::Leader as i32,
        reachable: true,
        term: 3,
        applied_index: 41,
        counts: Some(Counts {
            spaces: 4,
            sessions: 12,
            waiting: 5,
            events: 9,
            event_bytes: 2_048,
            ..Counts::default()
        }),
        watches: 7,
        chain_digest: vec![0xaa; 32],
        ..MemberStatus::default()
    };
    let b = MemberStatus {
        id: 2,
        name: "b".into(),
        problem: "connection refused".into(),
        ..MemberStatus::default()
    };
    let header = Header { cluster_id: vec![1; 16], term: 3, revision: 40, ..Header::default() };
    StatusReply { header: Some(header), leader_id: 1, members: vec![a, b] }
}

#[test]
fn people_see_the_leader_and_who_is_down() {
    let text = text(&status());
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].ends_with("leader a, term 3, revision 40"), "{text}");
    assert_eq!(lines[1..3], ["12 sessions, 5 waiting calls, 0 timers", "9 events in 2.0 KiB, 7 watches"]);
    assert!(
        lines[5].starts_with("a")
            && lines[5].contains("leader")
            && lines[5].contains("41")
            && lines[5].contains("aaaaaaaaaaaa"),
        "{text}"
    );
    assert!(
        lines[6].contains("unreachable")
            && lines[6].contains("connection refused")
            && !lines[6].contains('0'),
        "{text}"
    );
}

#[test]
fn programs_see_everything() {
    let json = to_json(&status());
    assert_eq!(
        (&json["leader"], &json["sessions"], &json["members"][0]["waiting"]),
        (&json!("a"), &json!(12), &json!(5))
    );
    assert_eq!(
        (&json["events"], &json["event_bytes"], &json["members"][0]["watches"]),
        (&json!(9), &json!(2_048), &json!(7))
    );
    assert_eq!((&json["spaces"], &json["members"][1]["spaces"]), (&json!(4), &json!(0)));
    assert_eq!(json["members"][0]["chain_digest"].as_str().map(str::len), Some(64));
    assert_eq!(json["members"][1]["reachable"], false);
}
