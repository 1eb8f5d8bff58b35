//! Making machine code of a module: the port through which [`Modules`](crate::Modules) asks for it,
//! the compiler itself, and the implementation of the port that runs it in this process.
//!
//! The server runs [`compile`] in a child process, which can be bounded and killed; tools and tests
//! use [`InProcess`], which can only stop waiting. What a compiler returns is trusted like the
//! compiler: it is run without another check.
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::Builder;
use std::time::{Duration, Instant};

use synod_abi::{Limit, ModuleHash};

use crate::engine::{self, Edition, Kind};
use crate::linker::panic_text;
use crate::{PrepareError, Wanted, instrument, stack};

/// Longest time that compiling a module may take before it is proposed, in milliseconds. An honest
/// one of 30 KB takes 60 ms; the limit is for those that are made to keep a compiler busy.
pub const COMPILE_TIMEOUT_MS: u64 = 30_000;
/// Most address space of a process that compiles a module before it is proposed, in bytes.
pub const COMPILE_MEMORY_BYTES: u64 = 1_024 * 1_024 * 1_024;
/// Most code of a module before it is proposed, for both engines together, in bytes.
pub const CODE_BYTES: u64 = 64 * 1_024 * 1_024;
/// How often whoever waits for a compilation looks whether it is still wanted.
pub const COMPILE_LOOK_MS: u64 = 20;
/// Stack of a thread that compiles: a compiler recurses with what it compiles.
const COMPILER_STACK_BYTES: usize = 64 * 1_024 * 1_024;

/// Code of one module for both engines, as wasmtime serializes it.
#[derive(Clone, PartialEq, Eq)]
pub struct Code {
    /// For operations.
    pub apply: Vec<u8>,
    /// For queries.
    pub query: Vec<u8>,
}

impl std::fmt::Debug for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Code").field("apply", &self.apply.len()).field("query", &self.query.len()).finish()
    }
}

/// How much a compilation matters.
#[derive(Clone, Debug)]
pub enum Terms {
    /// The cluster has the module, so this member needs its code however long it takes.
    Committed,
    /// The module may be proposed later: the limits of this file hold, and the compilation ends
    /// when nobody wants it.
    Proposed(Wanted),
}

impl Terms {
    /// Whether it is given up, because nobody waits for it.
    pub fn is_abandoned(&self) -> bool {
        matches!(self, Self::Proposed(wanted) if !wanted.is_wanted())
    }

    /// The time after which it is given up.
    pub const fn timeout(&self) -> Option<Duration> {
        match self {
            Self::Committed => None,
            Self::Proposed(_) => Some(Duration::from_millis(COMPILE_TIMEOUT_MS)),
        }
    }
}

/// Why there is no code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CompileError {
    /// The compiler's words: it would say the same again.
    Refused(String),
    /// It met a limit of this file.
    Limit(Limit),
    /// Nobody wanted it any more.
    Abandoned,
    /// The compiler was ended, or did not start, for a reason outside of the module.
    Died(String),
}

/// Compiles modules. Called by several threads at once.
pub trait Compile: Send + Sync + 'static {
    /// Compiles an admitted module for both engines of the edition with this fingerprint. Blocks.
    ///
    /// # Errors
    /// [`CompileError`]; of [`Terms::Committed`] only [`CompileError::Refused`] and
    /// [`CompileError::Died`].
    fn compile(
        &self,
        fingerprint: &[u8; 32],
        module: &Arc<[u8]>,
        terms: &Terms,
    ) -> Result<Code, CompileError>;
}

/// Compiles an admitted module, on threads of its own, for the edition of this build that has this
/// fingerprint.
///
/// # Errors
/// [`CompileError::Refused`] with the compiler's words; [`CompileError::Died`] if this build has no
/// such edition, or the host lacks what an engine needs. It does not panic.
pub fn compile(fingerprint: &[u8; 32], module: &[u8]) -> Result<Code, CompileError> {
    let edition = Edition::of(fingerprint).map_err(|error| CompileError::Died(error.to_string()))?;
    let edition = edition
        .ok_or_else(|| CompileError::Died("this compiler is of another build than the member".to_owned()))?;
    compile_for(edition, module).map_err(CompileError::Refused)
}

fn compile_for(edition: Edition, module: &[u8]) -> Result<Code, String> {
    let instrumented = instrument::instrument(module).map_err(|fatal| fatal.0)?;
    let one = |kind: Kind| -> Result<Vec<u8>, String> {
        let compiled = catch_unwind(AssertUnwindSafe(|| {
            let engine = engine::compiling(edition, kind).map_err(|error| error.to_string())?;
            engine.precompile_module(&instrumented).map_err(|error| format!("{error:?}"))
        }));
        compiled.unwrap_or_else(|panic| Err(format!("the compiler panicked: {}", panic_text(&*panic))))
    };
    std::thread::scope(|scope| {
        let spawn = |kind: Kind| {
            Builder::new()
                .stack_size(COMPILER_STACK_BYTES)
                .spawn_scoped(scope, move || one(kind))
                .map_err(|error| format!("no thread to compile on: {error}"))
        };
        let apply = spawn(Kind::Apply)?;
        let query = spawn(Kind::Query)?;
        let ended = |_| Err("the compiler's thread ended".to_owned());
        Ok(Code { apply: apply.join().unwrap_or_else(ended)?, query: query.join().unwrap_or_else(ended)? })
    })
}

/// Compiles in this process. A compilation that is given up goes on by itself, and its memory is
/// not bounded: for tools and tests.
#[derive(Clone, Copy, Debug)]
pub struct InProcess;

impl Compile for InProcess {
    fn compile(
        &self,
        fingerprint: &[u8; 32],
        module: &Arc<[u8]>,
        terms: &Terms,
    ) -> Result<Code, CompileError> {
        let (done, result) = mpsc::sync_channel(1);
        let (fingerprint, module) = (*fingerprint, module.clone());
        let work = move || drop(done.send(compile(&fingerprint, &module)));
        let thread = stack::spawn("synod-compile", work);
        thread.map_err(|error| CompileError::Died(format!("no thread to compile on: {error}")))?;
        let code = wait(&result, terms)??;
        let bytes = (code.apply.len() + code.query.len()) as u64;
        match terms {
            Terms::Proposed(_) if bytes > CODE_BYTES => Err(CompileError::Limit(limit_of_code())),
            _ => Ok(code),
        }
    }
}

/// Waits for what a compilation sends, as long as `terms` allow.
///
/// # Errors
/// [`CompileError::Limit`], [`CompileError::Abandoned`], or [`CompileError::Died`] if the sender is
/// dropped.
pub fn wait<T>(result: &mpsc::Receiver<T>, terms: &Terms) -> Result<T, CompileError> {
    let started = Instant::now();
    loop {
        match result.recv_timeout(Duration::from_millis(COMPILE_LOOK_MS)) {
            Ok(sent) => return Ok(sent),
            Err(RecvTimeoutError::Disconnected) => {
                return Err(CompileError::Died("the compiler ended without an answer".to_owned()));
            }
            Err(RecvTimeoutError::Timeout) if terms.is_abandoned() => return Err(CompileError::Abandoned),
            Err(RecvTimeoutError::Timeout) => {
                if terms.timeout().is_some_and(|timeout| started.elapsed() >= timeout) {
                    return Err(CompileError::Limit(limit_of_time()));
                }
            }
        }
    }
}

/// [`COMPILE_TIMEOUT_MS`].
pub const fn limit_of_time() -> Limit {
    Limit { name: "COMPILE_TIMEOUT_MS", value: COMPILE_TIMEOUT_MS }
}

/// [`COMPILE_MEMORY_BYTES`].
pub const fn limit_of_memory() -> Limit {
    Limit { name: "COMPILE_MEMORY_BYTES", value: COMPILE_MEMORY_BYTES }
}

/// [`CODE_BYTES`].
pub const fn limit_of_code() -> Limit {
    Limit { name: "CODE_BYTES", value: CODE_BYTES }
}

impl CompileError {
    pub(crate) fn of(self, hash: ModuleHash) -> PrepareError {
        match self {
            Self::Refused(cause) => PrepareError::Compile { hash, cause },
            Self::Limit(limit) => PrepareError::TooCostly { hash, limit },
            Self::Abandoned => PrepareError::Abandoned,
            Self::Died(cause) => PrepareError::CompilerDied { hash, cause },
        }
    }
}

#[cfg(test)]
mod tests;
