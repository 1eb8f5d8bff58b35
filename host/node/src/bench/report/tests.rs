//! Unit tests of `report`.
use super::*;
use crate::cli::values::parse::parse;
use synod_client::api::MemberStatus;

fn status(fsyncs: u64, entries_applied: u64, commands_applied: u64) -> StatusReply {
    let member = MemberStatus {
        id: 1,
        name: "a".into(),
        reachable: true,
        fsyncs,
        entries_applied,
        commands_applied,
        ..MemberStatus::default()
    };
    StatusReply {
        members: vec![member, MemberStatus { id: 2, ..MemberStatus::default() }],
        ..StatusReply::default()
    }
}

#[test]
fn costs_are_differences_of_the_members_counters() {
    let args: BenchArgs = parse("bench kv-put --seconds 2").expect("parses");
    let mut outcome = Outcome { elapsed: Duration::from_secs(2), ..Outcome::default() };
    (0..300).for_each(|_| outcome.latencies.add(1_000));
    let report = Report::new(&args, "kv", &outcome, &status(10, 100, 100), &status(110, 200, 400));
    let json = report.json();
    assert_eq!(json["calls_per_second"], 150.0);
    assert_eq!(json["members"].as_array().map(Vec::len), Some(1), "who did not answer has no costs");
    assert_eq!(
        (json["members"][0]["fsyncs_per_second"].as_f64(), json["members"][0]["calls_per_entry"].as_f64()),
        (Some(50.0), Some(3.0))
    );
    assert_eq!(json["p50_us"], 1_000);
    let text = report.text();
    assert!(text.contains("150 calls/s   p50 1.00 ms"), "{text}");
}

#[test]
fn a_long_run_is_counted_in_windows_too() {
    let args: BenchArgs = parse("bench lock-contended --seconds 30").expect("parses");
    let elapsed = Duration::from_millis(30_500);
    let outcome = Outcome { elapsed, windows: vec![5_000, 4_760], ..Outcome::default() };
    let report = Report::new(&args, "lock", &outcome, &status(0, 0, 0), &status(0, 0, 0));
    let json = report.json();
    assert_eq!(json["calls_per_second_in_windows"], json!([500.0, 476.0, 0.0]), "nothing in the last one");
    assert_eq!((&json["window_seconds"], &json["unit"]), (&json!(10), &json!("hand-overs")));
    let text = report.text();
    assert!(text.contains("hand-overs/s in each 10 s: 500  476  0\n"), "{text}");
}
