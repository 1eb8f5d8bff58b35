//! The uncommitted writes of an entry: rows, counts, effects, and the marks to return to.
//!
//! It offers the steps that commands are made of (emit, set a timer, park, complete a call) and
//! runs no recipe.
pub(crate) mod budget;
pub(crate) mod draft;
pub(crate) mod effects;
pub(crate) mod emission;
pub(crate) mod event_log;
pub(crate) mod host_calls;
pub(crate) mod lines;
pub(crate) mod numbers;
pub(crate) mod owed;
pub(crate) mod spaces;
pub(crate) mod stop;
pub(crate) mod tickets;
pub(crate) mod timers;
