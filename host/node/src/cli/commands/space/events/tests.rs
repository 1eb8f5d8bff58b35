//! Unit tests of `space_events`.
use super::super::{Cli, Command};
use super::*;
use crate::cli::space::SpaceCommand;
use clap::Parser;

fn parse(line: &str) -> Result<SpaceCommand, clap::Error> {
    let Command::Space(command) = Cli::try_parse_from(line.split_whitespace())?.command else {
        panic!("a space")
    };
    Ok(command)
}

#[test]
fn a_binding_is_written_as_it_is_shown() {
    let table = [
        ("kv:config/", "config/", true, "kv:config/"),
        ("team/kv", "", true, "team/kv"),
        ("kv:a", "a", false, "kv:a"),
        ("kv:a*", "a", true, "kv:a*"),
    ];
    for (text, topic, prefix, shown) in table {
        let SpaceCommand::Bind { binding, on_failure } =
            parse(&format!("synod space bind audit --on {text} --on-failure skip")).expect(text)
        else {
            panic!("a binding")
        };
        let binding = binding.binding(on_failure);
        assert_eq!(
            (binding.space.as_str(), binding.topic.as_str(), binding.prefix),
            ("audit", topic, prefix)
        );
        assert_eq!((source_text(&binding).as_str(), binding.on_failure()), (shown, api::OnFailure::Skip));
    }
    let long = format!("synod space bind audit --on kv:{}", "x".repeat(513));
    for bad in
        ["synod space bind audit", "synod space bind audit --on KV", "synod space bind audit --on :a", &long]
    {
        assert!(parse(bad).is_err(), "{bad}");
    }
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

#[test]
fn a_space_is_described_from_both_sides() {
    let retention = Retention { events: Some(10), bytes: Some(1 << 20), age_ms: Some(86_400_000) };
    let log = EventLog {
        events: 2,
        bytes: 80,
        oldest_at_ms: 1_000,
        compacted_revision: 4,
        last_revision: 9,
        retention: Some(retention),
    };
    let binding = |space: &str, source: &str| Binding {
        space: space.into(),
        source: source.into(),
        prefix: true,
        ..Binding::default()
    };
    let failed = HookFailures {
        count: 3,
        revision: 9,
        why: "it refused with code 7".into(),
        ..HookFailures::default()
    };
    let space = SpaceInfo {
        name: "kv".into(),
        events: Some(log),
        bindings: vec![binding("kv", "lock"), binding("audit", "kv")],
        hook_failures: Some(failed),
        ..SpaceInfo::default()
    };
    let expected = "events of kv: 2 in 80 B, since 1970-01-01T00:00:01.000Z; the last at revision 9; \
        forgotten up to revision 4\n  \
                    keeps at most 10 of them, 1.0 MiB, for 1 d\nhears of lock; calls are rejected when it fails\n\
                    is heard by audit, of *; calls are rejected when it fails\n\
                    3 of its hooks and handlers failed, the last at revision 9: it refused with code 7";
    assert_eq!(text(&space), expected);
    assert_eq!(log_json(&log)["retention"]["age_ms"], 86_400_000);
    assert_eq!(binding_json(&space.bindings[1])["topics"], "*");
}
