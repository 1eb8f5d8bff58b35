//! From the log to the rows, and to everyone who waits for them.
mod executor;
pub(crate) mod logs;

pub(crate) use executor::Listeners;
pub use executor::{Committed, Executor, MachineReplica, Payload};
pub use logs::{LogRecord, LogRing};
