//! What a run can be found to have done wrong, and which checker says so.
use std::fmt;
use std::time::Duration;

/// A checker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Check {
    /// At most one leader in a term.
    ElectionSafety,
    /// All members apply the same entries.
    StateMachineSafety,
    /// All members have the same digests after each entry, and a machine that applies the log
    /// again has them, too.
    Digests,
    /// Answers are those of one object that does one thing after the other.
    Linearizable,
    /// Answers are those that the log gives.
    Witness,
    /// No client sees an older state than it has seen.
    Monotonic,
    /// The cluster's time is not ahead of the clocks of most members.
    Time,
    /// Watches tell every event once, in order.
    Watch,
    /// A handler reacts to every event once, in order.
    Handlers,
    /// Sessions end no sooner than they may, and leave nothing.
    Sessions,
    /// A lock has one holder, and its tokens grow.
    Fencing,
    /// A cluster that can work does.
    Liveness,
    /// No member stops without a cause that it was given.
    MemberFailed,
    /// Nothing panics.
    Panicked,
    /// The run did what it was to do.
    Coverage,
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Who says so.
    pub check: Check,
    /// What is wrong.
    pub what: String,
    /// When it was found, in the world's time.
    pub at: Duration,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.check, self.what)
    }
}
