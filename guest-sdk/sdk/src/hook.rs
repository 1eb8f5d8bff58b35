//! What a hook answers: that it is done, or that there is more.
use alloc::vec::Vec;

use synod_abi::{REPLY_MORE, REPLY_RESULT};

/// What `#[on_session_end]`, `#[on_timer]` and `#[on_cancel]` may return instead of nothing, to do
/// their work in parts.
///
/// A call writes a bounded number of rows, so a hook that releases what a session holds may have to
/// stop halfway: with `Hook::More` what it has done stays, and it runs again, with the same
/// arguments, in a later command. Its parts run in order; calls of others may come between, so that
/// what it has not released yet is still held then. A part that fails is tried again, like any hook
/// that fails.
///
/// ```
/// use synod_sdk::prelude::*;
///
/// /// Rows that go when the session that put them ends.
/// #[recipe(name = "notes", version = 1)]
/// pub struct Notes {
///     of: Map<(SessionId, u64), String>,
/// }
///
/// #[ops]
/// impl Notes {
///     /// Puts a note; fails without a session.
///     #[op]
///     fn put(&self, cx: &mut Ctx, number: u64, text: String) -> bool {
///         let Some(session) = cx.session() else { return false };
///         self.of.put(cx, &(session, number), &text);
///         true
///     }
///
///     /// Deletes 1,000 notes in each part.
///     #[on_session_end]
///     fn ended(&self, cx: &mut Ctx, session: SessionId) -> Hook {
///         let notes = self.of.prefix(cx, &session).take(1_000);
///         let keys: Vec<_> = notes.map(|(key, _)| key).collect();
///         for key in &keys {
///             self.of.delete(cx, key);
///         }
///         if keys.len() < 1_000 { Hook::Done } else { Hook::More }
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Hook {
    /// It is done.
    Done,
    /// It has more to do, and runs again.
    More,
}

/// What a hook may return.
#[diagnostic::on_unimplemented(
    message = "a hook returns nothing, or `Hook`",
    note = "nobody waits for the answer of a hook: `Hook::More` has it run again, `Hook::Done` not"
)]
pub trait HookAnswer {
    /// The same as a [`Hook`].
    fn hook(self) -> Hook;
}

impl HookAnswer for () {
    fn hook(self) -> Hook {
        Hook::Done
    }
}

impl HookAnswer for Hook {
    fn hook(self) -> Hook {
        self
    }
}

/// The reply of a hook.
pub fn hooked(answer: impl HookAnswer) -> Vec<u8> {
    Vec::from(match answer.hook() {
        Hook::Done => [REPLY_RESULT],
        Hook::More => [REPLY_MORE],
    })
}
