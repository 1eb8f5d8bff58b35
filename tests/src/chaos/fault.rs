//! The list of faults: their names, and which of them exclude one another.
use clap::ValueEnum;

/// A fault. The command line names it in kebab case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
pub enum Fault {
    /// A member is killed.
    Kill,
    /// The leader is killed.
    KillLeader,
    /// All members are killed at once.
    KillAll,
    /// A member kills itself at a step of what it does on disk.
    Crash,
    /// A member stands still: SIGSTOP.
    Pause,
    /// The leader stands still.
    PauseLeader,
    /// A member is stopped in order and started again.
    Restart,
    /// All members are, one after the other.
    Rolling,
    /// A member loses its folder and is replaced.
    Lose,
    /// A bit of a stopped member's files is flipped; if it notices, it is replaced.
    FlipBit,
    /// The leader is cut off from all other members.
    IsolateLeader,
    /// A member that does not lead is.
    IsolateFollower,
    /// The members are in two parts that do not reach each other.
    Halves,
    /// Two members do not reach each other, and both reach all others.
    Bridge,
    /// Nobody can connect to a member, which still connects to all others.
    OneWay,
    /// What one member sends to another never arrives, and is taken.
    Swallow,
    /// What is sent to a member is held up.
    Hold,
    /// Everything between members comes late.
    Late,
    /// Little a second passes between members.
    Narrow,
    /// Connections between members are reset again and again.
    Flaky,
    /// Bits are flipped between members. Only drawn if it is asked for: messages between members
    /// have no checksum of their own, so that a flipped bit can become a member's row.
    Garble,
    /// Connections between two members are closed in one direction.
    HalfClose,
    /// Everything to and from clients comes late.
    ClientLate,
    /// Clients cannot connect to a member.
    ClientCut,
    /// What clients send to a member, or what it answers, is taken and never arrives.
    ClientHole,
    /// Connections of clients are reset again and again.
    ClientFlaky,
    /// Connections of clients are closed in one direction.
    ClientHalfClose,
    /// A member's disk fills up.
    Fill,
    /// All disks fill up.
    FillAll,
    /// A member's wall clock is hours or years off.
    ClockOffset,
    /// A member's clocks run at a slightly wrong rate.
    ClockRate,
    /// A recipe is installed in a new version, and a space upgraded to it.
    Upgrade,
    /// All members check their rows.
    Scrub,
}

/// Faults of one group exclude one another; those of different groups overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// What happens to processes and their files.
    Process,
    /// What happens between members.
    Peers,
    /// What happens between members and clients.
    Clients,
    /// Space on disk.
    Disk,
    /// Clocks.
    Clock,
    /// What an operator does.
    Operator,
}

impl Fault {
    /// Those that are drawn unless others are asked for.
    pub fn usual() -> Vec<Self> {
        Self::value_variants().iter().copied().filter(|fault| *fault != Self::Garble).collect()
    }

    /// Its name on the command line.
    pub fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// Whether it needs the right to mount.
    pub fn needs_a_mount(self) -> bool {
        self.group() == Group::Disk
    }

    /// With what it excludes.
    pub fn group(self) -> Group {
        use Fault::*;
        match self {
            Kill | KillLeader | KillAll | Crash | Pause | PauseLeader | Restart | Rolling | Lose
            | FlipBit => Group::Process,
            IsolateLeader | IsolateFollower | Halves | Bridge | OneWay | Swallow | Hold | Late | Narrow
            | Flaky | Garble | HalfClose => Group::Peers,
            ClientLate | ClientCut | ClientHole | ClientFlaky | ClientHalfClose => Group::Clients,
            Fill | FillAll => Group::Disk,
            ClockOffset | ClockRate => Group::Clock,
            Upgrade | Scrub => Group::Operator,
        }
    }
}
