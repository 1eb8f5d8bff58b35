//! What a committed command means: a pure function of state and entry.
//!
//! [`Machine::apply`] reads committed state through [`StateView`], runs recipes through [`Vm`], and
//! returns an [`Applied`]: rows to write, outcomes, the new head with its digests. Effects are
//! values; nothing here touches a disk, a socket, a clock, a thread, or a random source, and no
//! hash order or float decides anything. So every member that applies the same entry to the same
//! state gets the same bytes.
//!
//! It does not know Raft: payloads are bytes, positions are numbers given to it.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

mod access;
mod administer;
mod apply;
mod bindings;
mod call;
mod command;
mod delivery;
mod digest;
pub mod directory;
mod emission;
mod environment;
pub mod events;
mod hook;
mod memory;
mod outcome;
mod overlay;
mod ports;
mod query;
mod rejection;
mod request;
mod retention;
mod session;
pub mod sessions;
mod timers;
mod upgrade;
mod waiting;
mod workspace;

pub use access::{AccessSet, Right, access_set};
pub use apply::Machine;
pub use command::{
    Action, Binding, Call, Caller, Command, EndCause, Entry, EventRetention, OnFailure, OpenSession, Origin,
    Principal, Request, SessionBounds, SessionCall, TtlPolicy,
};
pub use digest::{RowSum, module_hash, verify};
pub use environment::Environment;
pub use memory::MemoryState;
pub use outcome::{
    Applied, Cancelled, CommandOutcome, Completed, Emitted, EventLogChange, LogLine, Outcome, Reply,
    SessionChange,
};
pub use ports::{Admitted, Completion, Fatal, Invocation, RangeLimit, Row, StateView, Table, Vm, Write};
pub use query::{Answer, Query, query};
pub use rejection::{Change, DeliveryFailure, Incompatible, Rejection};
pub use upgrade::check_upgrade;
pub use workspace::Workspace;

#[cfg(test)]
mod golden;
#[cfg(test)]
mod testing;
