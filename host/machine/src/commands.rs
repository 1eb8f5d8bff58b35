//! What each command does: one file for each family of commands.
pub(crate) mod bindings;
pub(crate) mod requests;
pub(crate) mod retention;
pub(crate) mod sessions;
pub(crate) mod spaces;
pub(crate) mod ticks;
