//! From a command to the log: the queue of a member's commands, the entries that a leader packs of
//! them, and the link over which a follower hands them to its leader.
//!
//! The [`ledger`] decides and has no futures; the [`driver`] does what it decides; callers have a
//! [`Proposer`].
mod delivery;
mod driver;
mod forward;
pub(crate) mod fuel;
pub(crate) mod fuzzing;
mod ledger;
mod limits;
mod packing;
mod proposer;
mod waiters;

pub(crate) use delivery::{DeliveryResult, Room, deliver};
pub(crate) use forward::serve as serve_forward;
pub use forward::{FORWARD_FRAME_BYTES, ForwardError};
pub use limits::{
    ENTRIES_IN_FLIGHT, FORWARDED_BYTES, FORWARDED_COMMANDS, OWN_BYTES, OWN_COMMANDS, ProposerLimits,
    ProposerStats,
};
pub use proposer::Proposer;
