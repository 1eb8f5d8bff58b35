//! The execution environment: everything that decides what a recipe's call means beside its bytes.
//! Replicated, so that a member whose binary can't mean the same by it stops instead of differing.
//!
//! A binary supports one or several. Which of them holds changes by a command, from one entry to
//! the next, when every member supports the new one: so a cluster moves to another while its
//! binaries are replaced one by one.
use core::fmt;

use serde::{Deserialize, Serialize};
use synod_abi::ModuleHash;

/// An execution environment. A member that does not support the cluster's does not apply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Environment {
    /// Version of the machine's semantics: counted up with every change that a replica could
    /// observe.
    pub semantics: u32,
    /// Hash of engine version, engine configuration, fuel table, instrumentation, limits and
    /// costs.
    pub engine: [u8; 32],
}

impl Environment {
    /// The semantics of this build.
    pub const SEMANTICS: u32 = 8;
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "semantics {} and engine {}", self.semantics, ModuleHash(self.engine))
    }
}
