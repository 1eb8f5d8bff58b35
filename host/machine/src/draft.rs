//! The uncommitted writes of an entry: rows, counts, effects, and the marks to return to.
//!
//! It offers the steps that commands are made of (emit, set a timer, park, complete a call) and runs
//! no recipe.
pub(crate) mod draft;
pub(crate) mod emission;
pub(crate) mod tickets;
