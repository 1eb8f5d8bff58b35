//! Running recipes within a command: calls, hooks, and the deliveries that they set off.
//!
//! [`Run`](run::Run) carries what all of it shares. Which command runs what is decided above, in
//! `commands`.
pub(crate) mod call;
pub(crate) mod delivery;
pub(crate) mod find;
pub(crate) mod hook;
pub(crate) mod lend;
pub(crate) mod machine;
pub(crate) mod round;
pub(crate) mod run;
pub(crate) mod targets;
