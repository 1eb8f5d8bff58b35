//! Whether this member can do its work: the one state that refusals, hand-over of leadership, the
//! ends of waits and streams, health, status and logs follow from.
//!
//! It is level-triggered: [`Availability::of`] computes it from what is [`Observed`] now, and
//! nothing remembers how it came to be. [`Standing`] holds the present one, and wakes those who
//! follow it. What is observed comes from elsewhere: the disk from the node and the apply thread,
//! the rest from the member's own probe of its leader.
mod standing;

use std::fmt;
use std::time::Duration;

use crate::failure::{CallFailure, ProposalError, UnavailableReason};

pub use standing::Standing;

/// How long a member may go without a majority's confirmation of its leader: more than two
/// elections, and short, because until then those who wait at a member that is cut off wait for
/// nothing.
pub const UNCONFIRMED_LIMIT: Duration = Duration::from_millis(1_500);
/// How long a member may lack something committed.
pub const BEHIND_LIMIT: Duration = Duration::from_secs(3);

/// What is known about a member at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// It was told to stop.
    pub is_stopping: bool,
    /// Its state has the id of its cluster.
    pub is_formed: bool,
    /// While it led, the environment and the bundled recipes were there once.
    pub is_set_up: bool,
    /// It has applied everything committed at some moment since its start.
    pub has_caught_up: bool,
    /// Its disk has less space than the reserve.
    pub disk_is_full: bool,
    /// The apply thread waits for space.
    pub apply_waits_for_space: bool,
    /// Its digests differ from those of another member, and a majority has not confirmed them.
    pub diverges: bool,
    /// Its wall clock is wrong, compared with the other members'.
    pub wall_clock_is_off: bool,
    /// Its monotonic clock runs at a wrong rate, as a majority of the members says.
    pub clock_runs_wrong: bool,
    /// Time since it last asked for a read index that a majority confirmed, or since its start.
    pub unconfirmed: Duration,
    /// Time since it last asked for a read index that it has applied, or since its start.
    pub behind: Duration,
}

/// Why a member cannot do all of its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// It was told to stop.
    Stopping,
    /// It belongs to no cluster yet.
    Unformed,
    /// Its state may not be the cluster's.
    Divergence,
    /// No majority confirms a leader: there is none, or this member is cut off.
    NoMajority,
    /// It lacks what is committed, for longer than load explains.
    Behind,
    /// Its disk is full.
    DiskFull,
    /// Its monotonic clock runs too fast or too slow to lead.
    ClockRate,
    /// It has not caught up since its start.
    Starting,
    /// Its wall clock is wrong. It does all of its work.
    WallClock,
    /// It leads and still sets the cluster up. Without meaning for a member that follows.
    SettingUp,
}

impl Problem {
    /// All of them, what explains the others first.
    pub const ALL: [Self; 10] = [
        Self::Stopping,
        Self::Unformed,
        Self::Divergence,
        Self::NoMajority,
        Self::Behind,
        Self::DiskFull,
        Self::ClockRate,
        Self::Starting,
        Self::WallClock,
        Self::SettingUp,
    ];

    const fn bit(self) -> u16 {
        1 << self as u8
    }

    /// Why a request that meets it is refused.
    const fn refusal(self) -> (UnavailableReason, &'static str) {
        match self {
            Self::Stopping => (UnavailableReason::ShuttingDown, "this member is stopping; use another one"),
            Self::NoMajority => (
                UnavailableReason::NoLeader,
                "the cluster has no leader that this member can reach; is a majority of its members up \
                    and connected?",
            ),
            Self::Divergence => (
                UnavailableReason::NotReady,
                "the state of this member may be damaged, and it waits for a majority to confirm it; use \
                    another one",
            ),
            Self::DiskFull => (
                UnavailableReason::DiskFull,
                "the disk of this member is full; use another member, or free space",
            ),
            Self::Behind => (
                UnavailableReason::NotReady,
                "this member lacks what is committed and does not catch up in time; use another one",
            ),
            Self::Unformed | Self::Starting | Self::SettingUp | Self::ClockRate | Self::WallClock => {
                (UnavailableReason::NotReady, "this member is starting; try again shortly")
            }
        }
    }
}

impl fmt::Display for Problem {
    /// For the status of a member.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stopping => "it is stopping",
            Self::Unformed => "the cluster is not formed yet",
            Self::Divergence => {
                "its digests differ from another member's, and no majority has said yet which are right: it \
                    serves no clients until then"
            }
            Self::NoMajority => {
                "it reaches no leader with a majority: it serves no writes and no fresh reads"
            }
            Self::Behind => "it lacks what is committed: it serves no clients until it has caught up",
            Self::DiskFull => "its disk is full: it takes no writes until there is space",
            Self::ClockRate => {
                "its monotonic clock runs at another rate than those of the other members: it does not \
                    lead while another one can"
            }
            Self::WallClock => "its wall clock is wrong, compared with the other members': is NTP running?",
            Self::Starting => "it is starting and has not caught up yet",
            Self::SettingUp => "it sets the cluster up: bundled recipes are not all installed yet",
        })
    }
}

impl From<Problem> for CallFailure {
    fn from(problem: Problem) -> Self {
        let (reason, message) = problem.refusal();
        Self::unavailable(reason, message)
    }
}

impl From<Problem> for ProposalError {
    fn from(problem: Problem) -> Self {
        let (reason, message) = problem.refusal();
        Self::unavailable(reason, message)
    }
}

/// What a member can do: see the module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Availability(u16);

impl Availability {
    /// What follows from `observed`.
    pub fn of(observed: &Observed) -> Self {
        let has_majority = observed.unconfirmed < UNCONFIRMED_LIMIT;
        let is_behind = has_majority && observed.behind >= BEHIND_LIMIT;
        let holds = |problem: Problem| match problem {
            Problem::Stopping => observed.is_stopping,
            Problem::Unformed => !observed.is_formed,
            Problem::Divergence => observed.diverges,
            Problem::NoMajority => !has_majority,
            Problem::Behind => is_behind,
            Problem::DiskFull => observed.disk_is_full || observed.apply_waits_for_space,
            Problem::ClockRate => observed.clock_runs_wrong,
            Problem::Starting => !observed.has_caught_up,
            Problem::WallClock => observed.wall_clock_is_off,
            Problem::SettingUp => !observed.is_set_up,
        };
        let bits = Problem::ALL.into_iter().filter(|problem| holds(*problem)).map(Problem::bit);
        Self(bits.fold(0, |all, bit| all | bit))
    }

    /// Whether it has `problem`.
    pub const fn has(self, problem: Problem) -> bool {
        self.0 & problem.bit() != 0
    }

    fn first_of(self, problems: &[Problem]) -> Option<Problem> {
        problems.iter().copied().find(|problem| self.has(*problem))
    }

    /// The problem that explains the others, for people; `leads`: whether the member leads.
    pub fn problem(self, leads: bool) -> Option<Problem> {
        Problem::ALL
            .into_iter()
            .find(|problem| self.has(*problem) && (leads || *problem != Problem::SettingUp))
    }

    /// The same, of what keeps it from doing its work for clients. Wrong clocks do not.
    pub fn impairment(self, leads: bool) -> Option<Problem> {
        let mut others = Problem::ALL.into_iter().filter(|problem| self.has(*problem));
        others.find(|problem| match problem {
            Problem::ClockRate | Problem::WallClock => false,
            Problem::SettingUp => leads,
            _ => true,
        })
    }

    /// Why it takes no commands, if it does not. They are refused; those that were taken in before
    /// have their outcomes.
    pub fn refuses_commands(self) -> Option<Problem> {
        self.first_of(&[
            Problem::Stopping,
            Problem::Divergence,
            Problem::NoMajority,
            Problem::Behind,
            Problem::DiskFull,
        ])
    }

    /// Why it serves no linearizable reads, if it does not.
    pub fn refuses_reads(self) -> Option<Problem> {
        self.first_of(&[Problem::Divergence, Problem::NoMajority, Problem::Behind])
    }

    /// Why it takes no signs of life, if it does not: keep-alive streams end, so that their clients
    /// go to another member. A member that lacks what is committed takes them, since only the
    /// leader's word counts.
    pub fn refuses_touches(self) -> Option<Problem> {
        self.first_of(&[Problem::Stopping, Problem::Divergence, Problem::NoMajority])
    }

    /// Why it keeps no client, if it does not: waiting calls and watches end, so that their clients
    /// go to another member.
    pub fn leaves_clients(self) -> Option<Problem> {
        self.first_of(&[Problem::Stopping, Problem::Divergence, Problem::NoMajority, Problem::Behind])
    }

    /// Why commands that are queued and in no log are given back, if they are.
    pub(crate) fn gives_back(self) -> Option<Problem> {
        self.first_of(&[Problem::Divergence, Problem::NoMajority, Problem::Behind])
    }

    /// Whether it packs entries when it leads.
    pub(crate) fn packs(self) -> bool {
        self.first_of(&[Problem::Divergence, Problem::Behind, Problem::DiskFull]).is_none()
    }

    /// Whether it stays the leader while another member could be.
    pub fn may_lead(self) -> bool {
        self.packs() && !self.has(Problem::ClockRate)
    }
}

#[cfg(test)]
mod tests;
