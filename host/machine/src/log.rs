//! What an entry of the log says: its commands, their outcomes, why a command is rejected.
//!
//! Values and their encodings; nothing here reads a row or decides anything.
pub(crate) mod command;
pub(crate) mod environment;
pub(crate) mod outcome;
pub(crate) mod rejection;
