//! Why the machinery of recipes cannot be set up, or a module not be made ready.
use std::io;

use synod_abi::{AdmissionError, Limit, ModuleHash};

/// Why the machinery of recipes does not work on this host.
#[derive(Debug, thiserror::Error)]
pub enum VmError {
    /// wasmtime refuses its configuration, or the host has too little address space for it.
    #[error("the WebAssembly engine does not start: {0}; it reserves {reserve} GiB of address space, so no \
        RLIMIT_AS may be set", reserve = RESERVED_GIB)]
    Engine(String),
    /// A thread cannot be started.
    #[error("a thread cannot be started: {0}; is vm.overcommit_memory 2, or a limit on tasks reached?")]
    Thread(io::Error),
}

/// What the pools of both engines reserve: a slot is 4 GiB of memory and the guard behind it.
const RESERVED_GIB: u64 = (crate::engine::APPLY_SLOTS as u64 + crate::engine::QUERY_SLOTS as u64) * 4;

impl VmError {
    pub(crate) fn engine(error: wasmtime::Error) -> Self {
        Self::Engine(format!("{error:?}"))
    }
}

/// Why a module cannot be made ready.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrepareError {
    /// It is not admitted; no member will take it.
    #[error("the module is not admitted: {0}")]
    NotAdmitted(AdmissionError),
    /// The bytes are not those of the hash.
    #[error("the bytes of module {expected} hash to {actual}; fetch them again")]
    WrongHash {
        /// What was asked for.
        expected: ModuleHash,
        /// What the bytes are.
        actual: ModuleHash,
    },
    /// Too many other modules wait to be compiled, or are compiled all the time.
    #[error("this member is busy compiling other modules; try again")]
    Busy,
    /// It takes more to compile than a module may before it is proposed.
    #[error(
        "module {hash} does not compile within {} = {}; split its large functions, or make it smaller",
        limit.name,
        limit.value
    )]
    TooCostly {
        /// Which.
        hash: ModuleHash,
        /// A limit of [`compile`](crate::compile).
        limit: Limit,
    },
    /// Whoever wanted the module has gone.
    #[error("nobody waits for the module any more; install it again")]
    Abandoned,
    /// Its compiler was ended by something outside of it, or did not start.
    #[error("module {hash} was not compiled on this member: {cause}; try again")]
    CompilerDied {
        /// Which.
        hash: ModuleHash,
        /// For people.
        cause: String,
    },
    /// This member cannot compile it, though others may.
    #[error("module {hash} is admitted, but this member cannot compile it: {cause}")]
    Compile {
        /// Which.
        hash: ModuleHash,
        /// The compiler's words.
        cause: String,
    },
}
