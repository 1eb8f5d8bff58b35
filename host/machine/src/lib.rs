//! What a committed command means: a pure function of state and entry.
//!
//! [`Machine::apply`] reads committed state through [`StateView`], runs recipes through [`Vm`], and
//! returns an [`Applied`]: rows to write, outcomes, the new head with its digests. Effects are
//! values; nothing here touches a disk, a socket, a clock, a thread, or a random source, and no
//! hash order or float decides anything. So every member that applies the same entry to the same
//! state gets the same bytes.
//!
//! The rooms, from the top; each imports only rooms below it, and no two files import each other:
//!
//! 1. `apply`, `query`: an entry on every member, a query on one
//! 2. `commands`: what each family of commands does
//! 3. `upgrade`: whether a recipe's version may follow another
//! 4. `run`: calls, hooks and deliveries within a command, and its budget
//! 5. `draft`: a command's uncommitted writes
//! 6. `access`: what a command touches
//! 7. `rows`: what is stored, and how it is encoded
//! 8. `ports`: the state and the engine, as this crate asks for them
//! 9. `log`: what an entry says, and what its commands come to
//!
//! It does not know Raft: payloads are bytes, positions are numbers given to it.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate self as synod_machine;

mod access;
mod apply;
mod commands;
mod draft;
mod log;
mod ports;
mod query;
mod rows;
mod run;
mod upgrade;

pub use access::{AccessSet, Right, access_set};
pub use apply::applied::Applied;
pub use draft::draft::Draft;
pub use draft::effects::{Completed, Emitted, EventLogChange, LogLine, SessionChange};
pub use log::command::{
    Action, Binding, Call, Caller, Command, DigestRecord, EndCause, Entry, EventRetention, OnFailure,
    OpenSession, Origin, Principal, Request, SessionBounds, SessionCall, Settling, TtlPolicy,
};
pub use log::environment::Environment;
pub use log::outcome::{Cancelled, CommandOutcome, Outcome, Reply, Settled};
pub use log::rejection::{Change, Counted, DeliveryFailure, Incompatible, Rejection};
pub use ports::{
    Admitted, Completion, Fatal, Invocation, QueryVm, RangeLimit, Row, StateView, Table, Vm, Write,
};
pub use query::{Answer, Query, query};
pub use rows::digest::{RowSum, module_hash};
pub use rows::memory::MemoryState;
pub use rows::scan::Scan;
pub use rows::verify::{Damage, RowsRead, Scrub, Scrubbed, verify, verify_cluster};
pub use rows::{directory, events, owed, sessions};
pub use run::machine::Machine;
pub use upgrade::{Notice, UpgradeNote, check_upgrade, upgrade_notes};

#[cfg(test)]
mod golden;
#[cfg(test)]
mod testing;
