//! The tests' world: a virtual clock and executor, a replicated log that a test drives, a recipe in
//! native code, and members made of them on the real machine. Deterministic: one thread, no sleeps,
//! no randomness.
pub(crate) mod client;
pub(crate) mod cluster;
pub(crate) mod oracle;
pub(crate) mod recipe;
pub(crate) mod sim;
pub(crate) mod watching;
