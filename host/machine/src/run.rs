//! Running recipes within a command: calls, hooks, and the deliveries that they set off.
pub(crate) mod call;
pub(crate) mod delivery;
pub(crate) mod hook;
