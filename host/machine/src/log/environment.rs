//! The execution environment: everything that decides what a recipe's call means beside its bytes.
//! Replicated, so that a member whose binary means something else by it stops instead of differing.
use serde::{Deserialize, Serialize};

/// An execution environment. Two members agree on it, or one of them does not apply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    pub const SEMANTICS: u32 = 6;
}
