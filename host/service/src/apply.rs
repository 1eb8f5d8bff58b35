//! From the log to the rows, and to everyone who waits for them: the executor, the order in which
//! an applied entry is published, and the log lines of recipes.
mod executor;
mod logs;
mod publish;

pub use executor::{Executor, MachineReplica};
pub use logs::{LogRecord, LogRing};
pub(crate) use publish::Listeners;
