//! Unit tests of `commands::status`.
use super::*;
use synod_client::api::Header;

fn engine(byte: u8) -> Environment {
    Environment { semantics: 8, engine: vec![byte; 32] }
}

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
        agreed_index: 40,
        scrub: Some(ScrubStatus {
            begun: 2,
            ended: 2,
            ended_ms: 1_700_000_000_000,
            ..ScrubStatus::default()
        }),
        chain_digest: vec![0xaa; 32],
        environment: Some(engine(0xcd)),
        environments: vec![engine(0xcd), engine(0xef)],
        ..MemberStatus::default()
    };
    let b = MemberStatus {
        id: 2,
        name: "b".into(),
        problem: "connection refused".into(),
        environments: vec![engine(0xcd)],
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
    assert_eq!(
        lines[1],
        "execution environment cdcdcdcdcdcd (semantics 8); \
         goes on to efefefefefef (semantics 8) when b can, too"
    );
    assert_eq!(lines[2], "digests of 1 of 2 members were equal up to entry 40");
    assert_eq!(lines[3], "last scrubs: a 2023-11-14T22:13:20.000Z, b unknown");
    assert_eq!(lines[4..6], ["12 sessions, 5 waiting calls, 0 timers", "9 events in 2.0 KiB, 7 watches"]);
    assert!(
        lines[8].starts_with("a")
            && lines[8].contains("leader")
            && lines[8].contains("41")
            && lines[8].contains("aaaaaaaaaaaa"),
        "{text}"
    );
    assert!(
        lines[9].contains("unreachable")
            && lines[9].contains("connection refused")
            && !lines[9].contains('0'),
        "{text}"
    );
}

#[test]
fn people_see_who_holds_up_a_newer_execution_environment() {
    let member = |name: &str, environments: &[u8], reachable: bool| MemberStatus {
        name: name.into(),
        reachable,
        environment: reachable.then(|| engine(1)),
        environments: environments.iter().copied().map(engine).collect(),
        ..MemberStatus::default()
    };
    for (members, expected) in [
        (vec![member("a", &[1], true), member("b", &[1], true)], "010101010101 (semantics 8)"),
        (
            vec![member("a", &[1, 2], true), member("b", &[1, 2], true)],
            "010101010101 (semantics 8), going on to 020202020202 (semantics 8)",
        ),
        (
            vec![member("a", &[1, 2], true), member("b", &[1], true), member("c", &[], false)],
            "010101010101 (semantics 8); goes on to 020202020202 (semantics 8) when b, c can, too",
        ),
    ] {
        assert_eq!(environment(&members), format!("execution environment {expected}"));
    }
    assert_eq!(environment(&[member("a", &[1], false)]), "no execution environment yet");
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
