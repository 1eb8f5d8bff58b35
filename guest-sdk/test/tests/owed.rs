//! Hooks that fail, and hooks that have more to do, under `TestHost`.
use synod_abi::SpaceName;
use synod_machine::{Action, Reply, Settled, Settling};
use synod_sdk::prelude::*;
use synod_test::TestHost;

/// Notes of sessions, which go with them.
#[recipe(name = "notes", version = 1)]
pub struct Notes {
    broken: Cell<bool>,
    of: Map<(SessionId, u64), u64>,
    ended: Cell<u64>,
}

#[ops]
impl Notes {
    /// Puts this many notes of the session.
    #[op]
    fn put(&self, cx: &mut Ctx, from: u64, count: u64) -> bool {
        let Some(session) = cx.session() else { return false };
        for number in from..from + count {
            self.of.put(cx, &(session, number), &number);
        }
        true
    }

    /// Breaks or repairs the hooks.
    #[op]
    fn set_broken(&self, cx: &mut Ctx, broken: bool) {
        self.broken.put(cx, &broken);
    }

    /// Sets a timer.
    #[op]
    fn alarm(&self, cx: &mut Ctx, after_ms: u64) {
        cx.set_timer(cx.now().plus_ms(after_ms), &7_u64);
    }

    /// How many sessions have ended, and whether notes are left.
    #[query]
    fn state(&self, cx: &QueryCtx) -> (u64, bool) {
        (self.ended.get(cx).unwrap_or(0), !self.of.is_empty(cx))
    }

    #[on_session_end]
    fn session_ended(&self, cx: &mut Ctx, session: SessionId) -> Hook {
        assert_ne!(self.broken.get(cx), Some(true), "it is broken");
        let notes: Vec<_> = self.of.prefix(cx, &session).take(1_000).map(|(key, _)| key).collect();
        for note in &notes {
            self.of.delete(cx, note);
        }
        if notes.len() == 1_000 {
            return Hook::More;
        }
        let ended = self.ended.get(cx).unwrap_or(0) + 1;
        self.ended.put(cx, &ended);
        Hook::Done
    }

    #[on_timer]
    fn due(&self, cx: &mut Ctx, _timer: TimerId, payload: u64) {
        assert_ne!(self.broken.get(cx), Some(true), "it is broken");
        self.ended.put(cx, &(100 * payload));
    }
}

#[test]
fn a_session_with_many_rows_ends_in_parts() {
    let host = TestHost::of::<Notes>();
    let session = host.open_session();
    for part in 0..4 {
        assert!(session.client().put(part * 1_000, 1_000).unwrap());
    }
    session.close();
    assert_eq!((host.client().state().unwrap(), host.head().counts.owed), ((0, true), 1));
    host.advance_ms(3);
    assert_eq!((host.client().state().unwrap(), host.head().counts.owed), ((0, false), 1));
    host.advance_ms(1);
    assert_eq!((host.client().state().unwrap(), host.head().counts.owed), ((1, false), 0));
}

#[test]
fn hooks_that_fail_run_again_when_they_are_repaired() {
    let host = TestHost::of::<Notes>();
    let session = host.open_session();
    let notes = host.client();
    session.client().put(0, 5).unwrap();
    notes.set_broken(true).unwrap();
    notes.alarm(10).unwrap();
    session.close();
    host.advance_ms(10_000);
    assert_eq!((notes.state().unwrap(), host.head().counts.owed), ((0, true), 2));
    notes.set_broken(false).unwrap();
    host.advance_ms(10_000);
    assert_eq!((notes.state().unwrap(), host.head().counts.owed), ((700, false), 0));
}

#[test]
fn an_operator_runs_a_hook() {
    let host = TestHost::of::<Notes>();
    host.client().set_broken(true).unwrap();
    host.client().alarm(10).unwrap();
    host.advance_ms(10);
    host.client().set_broken(false).unwrap();
    let name = SpaceName::new("notes").unwrap();
    let run = host.apply(Action::SettleHook { name, number: 1, how: Settling::Run });
    assert_eq!(run, Ok(Reply::Settled(Settled::Done)));
    assert_eq!(host.client().state().unwrap(), (700, false));
}
