//! What goes wrong, and what is changed on purpose while clients work. A seed draws which kinds a
//! run has, so that some runs have few of them, often.
use std::fmt;

mod nemesis;
mod plan;

pub use nemesis::{Clients, Nemesis};
pub use plan::Plan;

macro_rules! faults {
    ($($(#[$doc:meta])* $kind:ident $name:literal),* $(,)?) => {
        /// A kind of fault or change.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Fault { $($(#[$doc])* $kind),* }

        impl Fault {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$kind),*];

            /// What it is called in the trace, in counts and on the command line.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$kind => $name),* }
            }
        }
    };
}

faults! {
    /// A member ends, and loses a part of what it had not synced.
    Crash "crash",
    /// The same of the leader.
    CrashLeader "crash-leader",
    /// Power is lost everywhere at once.
    PowerLoss "power-loss",
    /// A majority crashes, one after the other.
    CrashMajority "crash-majority",
    /// A member ends again as soon as it has started.
    CrashTwice "crash-twice",
    /// A member is lost with its disk, and another takes its place.
    Replace "replace",
    /// A member stands still, as with SIGSTOP.
    Pause "pause",
    /// The same of the leader.
    PauseLeader "pause-leader",
    /// Two groups of members don't reach each other.
    Partition "partition",
    /// One direction of one link is cut.
    OneWay "one-way",
    /// Nobody hears the leader, which hears all.
    MuteLeader "mute-leader",
    /// The leader hears nobody, and all hear it.
    DeafLeader "deaf-leader",
    /// A member reaches no other.
    Isolate "isolate",
    /// The leader reaches no other.
    IsolateLeader "isolate-leader",
    /// Two groups reach each other only by one member that is in both.
    Bridge "bridge",
    /// Links are cut one after the other, and come back in another order.
    Swizzle "swizzle",
    /// Connections between two members break.
    Reset "reset",
    /// A link is slow.
    SlowLink "slow-link",
    /// Much is lost, and comes later.
    Loss "loss",
    /// Requests arrive twice.
    Repeat "repeat",
    /// Members are far from each other.
    FarApart "far-apart",
    /// A wall clock jumps.
    ClockJump "clock-jump",
    /// A clock runs fast or slow.
    ClockDrift "clock-drift",
    /// A disk is slow.
    SlowDisk "slow-disk",
    /// A disk is full.
    FullDisk "full-disk",
    /// A disk fails; the member ends, and comes back on what it had synced.
    BrokenDisk "broken-disk",
    /// A bit of a row flips. The member ends when it reads the row, and is lost with its disk.
    Flip "flip",
    /// A member applies slowly.
    SlowApply "slow-apply",
    /// Leadership is handed over.
    Transfer "transfer",
    /// The log is compacted to its end, so that who lacks entries gets a snapshot.
    Compact "compact",
    /// Events are forgotten, up to the present.
    CompactEvents "compact-events",
    /// A client's process ends.
    KillClient "kill-client",
    /// A client reaches no member.
    CutClient "cut-client",
    /// A client's connections break.
    ResetClient "reset-client",
    /// A client stands still.
    PauseClient "pause-client",
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Fault {
    type Err = String;
    fn from_str(name: &str) -> Result<Self, String> {
        let all = || Self::ALL.iter().map(|fault| fault.name()).collect::<Vec<_>>().join(", ");
        let found = Self::ALL.iter().copied().find(|fault| fault.name() == name);
        found.ok_or_else(|| format!("there is no fault `{name}`; there are {}", all()))
    }
}
