//! What each command does: one file for each family of commands.
//!
//! They decide; what they write goes into the draft, and what recipes do is run below, in `run`.
pub(crate) mod bindings;
pub(crate) mod cluster;
pub(crate) mod open;
mod owed;
pub(crate) mod recipes;
pub(crate) mod requests;
pub(crate) mod retention;
pub(crate) mod sessions;
pub(crate) mod spaces;
pub(crate) mod ticks;
