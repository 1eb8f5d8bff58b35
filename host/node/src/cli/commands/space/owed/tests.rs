//! Unit tests of `owed`.
use synod_client::api::OwedTimer;

use super::*;

#[test]
fn hooks_are_shown_with_their_failure_and_their_next_try() {
    let failed = OwedHook {
        number: 3,
        call: Some(Call::Timer(OwedTimer { id: 7, payload: vec![1] })),
        since_revision: 12,
        tries: 2,
        next_try_ms: 1_000,
        why: "it panicked".into(),
        ..OwedHook::default()
    };
    let going_on =
        OwedHook { number: 4, call: Some(Call::SessionEnd(vec![0xab; 16])), ..OwedHook::default() };
    let shown = owed_table(&[failed, going_on]);
    let lines: Vec<_> = shown.lines().collect();
    assert!(
        lines[1].contains("on_timer of timer 7")
            && lines[1].ends_with("1970-01-01T00:00:01.000Z  it panicked"),
        "{shown}"
    );
    assert!(lines[2].contains(&format!("on_session_end of {}", "ab".repeat(16))), "{shown}");
    assert!(lines[2].ends_with("it has more to do"), "{shown}");
}
