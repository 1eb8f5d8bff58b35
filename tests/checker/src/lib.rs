//! Checkers of what a cluster did, independent of the server.
//!
//! The simulator and tests with real processes record what clients, watches and sessions saw as
//! plain values: times are `u64`, nanoseconds or ordinals, and only their order counts. Each module
//! checks one kind of record and is a pure function of it. A fault is a [`Violation`]: the
//! [`Property`] that does not hold, and a text that names the operations.
//!
//! - [`history`]: operations with their intervals and outcomes, and JSON lines to keep them.
//! - [`linear`]: linearizability, without trust in anything that the server says of itself.
//! - [`witness`]: the same operations against the log that the cluster committed, in linear time.
//! - [`watch`]: what watches delivered against the events that happened.
//! - [`sessions`]: sessions' lives, holders of locks, tokens, what is left of a dead session.
//! - [`exactly_once`]: sums of increments, and what came out of a queue of what went in.
//! - [`coverage`]: whether a run did enough to prove anything.
//! - [`model`], [`models`]: what the objects do: keys and values, counters, locks, queues.
//!
//! No crate of Synod is imported: a checker that shared code with the server would share its
//! faults.
pub mod coverage;
pub mod exactly_once;
pub mod history;
pub mod linear;
pub mod model;
pub mod models;
pub mod sessions;
mod violation;
pub mod watch;
pub mod witness;

pub use violation::{Checker, Property, Violation};
