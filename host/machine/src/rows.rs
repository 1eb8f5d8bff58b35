//! What is stored and how it is encoded: keys, records, digests, and the overlay of an entry.
//!
//! The readers here work on any [`StateView`](crate::StateView), so that the service reads the same
//! rows as the machine. They decide nothing.
pub(crate) mod codec;
pub(crate) mod counter;
pub(crate) mod counts;
pub(crate) mod digest;
pub mod directory;
pub mod events;
pub(crate) mod head;
pub(crate) mod memory;
pub(crate) mod overlay;
pub mod owed;
pub(crate) mod scan;
pub mod sessions;
pub(crate) mod timers;
pub(crate) mod verify;
