//! What a member runs with: the contract between the command line, which reads flags and config
//! file, and the server, which runs on the result.
//!
//! Depends on neither of them. Addresses are only checked for their form here; the server resolves
//! and binds them.

mod address;
mod flags;
pub(crate) mod fuzzing;
mod kill;
mod options;

pub(crate) use address::{HostPort, PeerSpec};
pub(crate) use flags::{Invalid, Mode, Settings};
pub(crate) use kill::KillPoint;
pub(crate) use options::{LogFormat, ServerOptions, StartError};
