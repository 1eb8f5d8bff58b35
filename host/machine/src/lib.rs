//! What a committed command means: a pure function of state and entry.
//!
//! `Machine::apply` reads committed state through [`StateView`], runs recipes through [`Vm`], and returns an
//! [`Applied`]: rows to write, outcomes, the new head with its digests. Effects are values; nothing here touches a
//! disk, a socket, a clock, a thread, or a random source, and no hash order or float decides anything. So every
//! member that applies the same entry to the same state gets the same bytes.
//!
//! It does not know Raft: payloads are bytes, positions are numbers given to it.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

mod command;
mod environment;
mod outcome;
mod ports;

pub use command::{Action, Call, Caller, Command, Entry, Origin, Principal};
pub use environment::Environment;
pub use outcome::{Applied, CommandOutcome, Outcome, Rejection, Reply};
pub use ports::{Admitted, Completion, Fatal, Invocation, RangeLimit, Row, StateView, Table, Vm, Write};
