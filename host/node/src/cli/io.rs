//! What a command has around it: the cluster it talks to, its standard streams, its signals, and
//! the ways in which it can fail.
//!
//! Depends on `values` and on no command.

pub(crate) mod cluster;
pub(crate) mod fail;
pub(crate) mod logging;
pub(crate) mod output;
pub(crate) mod progress;
pub(crate) mod session;
pub(crate) mod signals;
pub(crate) mod table;
