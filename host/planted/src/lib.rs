//! Faults that are planted on purpose, to prove that the simulator finds them.
//!
//! Each is a line in the host that does what is wrong while its bug is planted. A process plants
//! one at a time. Builds without debug assertions, as releases are, have none: there the question
//! is a constant, and the lines are gone. Everything outside of tests sees the host as it is.
//!
//! A new one: a line in the table, an `if is_planted(…)` where it belongs, and a line in
//! `tests/sim/tests/planted.rs` that says which checker has to report it.
#![no_std]
#![forbid(unsafe_code)]

use core::sync::atomic::{AtomicU32, Ordering};

macro_rules! bugs {
    ($($(#[$doc:meta])* $bug:ident $name:literal),* $(,)?) => {
        /// A bug that can be planted.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(u32)]
        pub enum Bug { $($(#[$doc])* $bug),* }

        impl Bug {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$bug),*];

            /// What it is called on the command line.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$bug => $name),* }
            }
        }
    };
}

bugs! {
    /// The log is not cut where it contradicts the leader's.
    TruncationLost "truncation-lost",
    /// A read index is given without asking a majority.
    ReadWithoutMajority "read-without-majority",
    /// A read does not wait until its index is applied.
    ReadBeforeApply "read-before-apply",
    /// A row of an entry is not written.
    RowNotWritten "row-not-written",
    /// After a snapshot the machine goes on from what it knew before.
    SnapshotNotLoaded "snapshot-not-loaded",
    /// Sessions end after a part of their time to live.
    SessionEndsEarly "session-ends-early",
    /// A touch is answered, and does not count.
    TouchNotCounted "touch-not-counted",
    /// Fencing tokens do not grow.
    TokenRepeats "token-repeats",
    /// Recipes do not hear of a session's end.
    SessionEndNotTold "session-end-not-told",
    /// A request that has its outcome is run again.
    OutcomeIgnored "outcome-ignored",
    /// An instance outlives its entry, and remembers earlier calls.
    InstanceRemembers "instance-remembers",
    /// Rows are read in another order now and then, on one member.
    OrderOfRows "order-of-rows",
    /// A watch begins one revision later than it is to.
    WatchSkips "watch-skips",
    /// A watch begins one revision sooner than it is to.
    WatchRepeats "watch-repeats",
    /// An event is not published now and then.
    EventLost "event-lost",
    /// A vote is given, and not written.
    VoteForgotten "vote-forgotten",
    /// Entries count as written before they are.
    WrittenTooEarly "written-too-early",
    /// The log is cut one entry too early.
    TruncatesTooMuch "truncates-too-much",
    /// The state says that it lacks its last entry.
    AppliedTwice "applied-twice",
    /// After a link broke the leader takes a command again that it has.
    ForwardedTwice "forwarded-twice",
    /// A command that may be in the log is called surely not applied.
    UnknownIsRefused "unknown-is-refused",
    /// A read shares an index that was asked for before it came.
    ReadIndexShared "read-index-shared",
    /// A read of one member does not wait for the revision that it asks for.
    RevisionNotAwaited "revision-not-awaited",
    /// A leader takes its own wall clock for the cluster's.
    TimeOfOneClock "time-of-one-clock",
    /// A new leader counts sessions as untouched for their time to live.
    TermGrantsNothing "term-grants-nothing",
    /// A watch of what is forgotten begins with what is not.
    ForgottenNotTold "forgotten-not-told",
    /// A handler does not hear of an event now and then.
    HandlerSkipped "handler-skipped",
    /// A watch is told that it has everything one revision too early.
    ProgressTooEarly "progress-too-early",
}

static PLANTED: AtomicU32 = AtomicU32::new(u32::MAX);
static ASKED: AtomicU32 = AtomicU32::new(0);

/// Plants a bug in this process in place of the one before; `None`: none is planted.
pub fn plant(bug: Option<Bug>) {
    PLANTED.store(bug.map_or(u32::MAX, |bug| bug as u32), Ordering::Relaxed);
    ASKED.store(0, Ordering::Relaxed);
}

/// Whether the bug is planted: never in a build without debug assertions.
#[inline]
pub fn is_planted(bug: Bug) -> bool {
    cfg!(debug_assertions) && PLANTED.load(Ordering::Relaxed) == bug as u32
}

/// The same, at every so many questions.
#[inline]
pub fn happens(bug: Bug, every: u32) -> bool {
    is_planted(bug) && ASKED.fetch_add(1, Ordering::Relaxed) % every == every - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bug_is_planted_at_a_time() {
        assert!(Bug::ALL.iter().all(|bug| !is_planted(*bug)));
        plant(Some(Bug::TokenRepeats));
        assert!(is_planted(Bug::TokenRepeats) && !is_planted(Bug::EventLost));
        let asked = [(); 6].map(|()| happens(Bug::TokenRepeats, 3));
        assert_eq!(asked, [false, false, true, false, false, true]);
        plant(None);
        assert!(!is_planted(Bug::TokenRepeats) && !happens(Bug::TokenRepeats, 1));
    }
}
