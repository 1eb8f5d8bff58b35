//! Unit tests of `commands::space::show`.
use super::*;
use synod_client::api::{Binding, EventLog, Retention};

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
        compacted up to revision 4\n  \
        keeps at most 10 of them, 1.0 MiB, for 1 d\n\
        reacts to lock; calls are rejected when it fails\n\
        audit reacts to *; calls are rejected when it fails\n\
        3 of its hooks and handlers failed, the last at revision 9: it refused with code 7";
    assert_eq!(text(&space), expected);
}
