//! Compiling a module in a child process, which can be bounded and killed: a module that was made
//! to keep a compiler busy costs this member neither its memory nor its threads.
//!
//! The child is this program again, `/proc/self/exe`, with an argument that no user gives. It has
//! no environment, and no descriptors but two pipes: an order goes in, code comes out. It ends when
//! its order's pipe is closed, so it does not outlive this process. What it returns is trusted like
//! the compiler, which it is.
mod child;
pub(crate) mod fuzzing;
mod wire;

use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::mpsc;

use synod_vm::compile::{self, CODE_BYTES, COMPILE_MEMORY_BYTES, COMPILE_TIMEOUT_MS, Terms};
use synod_vm::compile::{Code, Compile, CompileError};

use self::wire::{Answer, Bounds, Order};

pub(crate) use self::child::{is_child, run_child};

/// The argument that makes this program a compiler.
const CHILD_ARGUMENT: &str = "compile-module-of-stdin";
/// The program that runs now, even if its file was replaced.
const THIS_PROGRAM: &str = "/proc/self/exe";
/// Threads of a child that compile.
const CHILD_THREADS: u64 = 2;
/// How much nicer than this process a child is that compiles what is not committed.
const PROPOSED_NICENESS: i32 = 5;

/// Runs a child for each module.
#[derive(Debug)]
pub(crate) struct ChildCompiler {
    program: PathBuf,
}

impl ChildCompiler {
    /// Of this build.
    pub(crate) fn new() -> Self {
        Self { program: THIS_PROGRAM.into() }
    }

    fn order(fingerprint: [u8; 32], module: &Arc<[u8]>, terms: &Terms) -> Vec<u8> {
        let bounds = match terms {
            Terms::Committed => Bounds::default(),
            Terms::Proposed(_) => Bounds {
                memory_bytes: COMPILE_MEMORY_BYTES,
                cpu_seconds: CHILD_THREADS * COMPILE_TIMEOUT_MS.div_ceil(1_000) + 1,
                niceness: PROPOSED_NICENESS,
            },
        };
        Order { fingerprint, bounds, module: module.to_vec() }.encode()
    }

    fn spawn(&self) -> std::io::Result<Running> {
        let mut command = Command::new(&self.program);
        command.arg(CHILD_ARGUMENT).env_clear().current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        command.spawn().map(Running)
    }
}

impl Compile for ChildCompiler {
    fn compile(
        &self,
        fingerprint: &[u8; 32],
        module: &Arc<[u8]>,
        terms: &Terms,
    ) -> Result<Code, CompileError> {
        let failed =
            |error: std::io::Error| CompileError::Died(format!("no compiler can be started: {error}"));
        let mut running = self.spawn().map_err(failed)?;
        let (Some(orders), Some(answers)) = (running.0.stdin.take(), running.0.stdout.take()) else {
            return Err(CompileError::Died("a compiler was started without its pipes".to_owned()));
        };
        let most = match terms {
            Terms::Committed => u64::MAX,
            Terms::Proposed(_) => CODE_BYTES + wire::OVERHEAD_BYTES,
        };
        let order = Self::order(*fingerprint, module, terms);
        let (done, answer) = mpsc::sync_channel(1);
        let exchange = move || drop(done.send(exchange(orders, answers, &order, most)));
        std::thread::Builder::new().name("synod-compiler".to_owned()).spawn(exchange).map_err(failed)?;
        let answer = compile::wait(&answer, terms)?;
        if answer.len() as u64 > most {
            return Err(CompileError::Limit(compile::limit_of_code()));
        }
        let status = running.0.wait().map_err(failed)?;
        read(&answer, status, *fingerprint, terms)
    }
}

/// A child, killed when it is no longer needed.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Sends an order and reads what comes back until the child ends, or one byte more than `most`. A
/// child that ends early is noticed by its answer, which is none.
fn exchange(mut orders: ChildStdin, answers: ChildStdout, order: &[u8], most: u64) -> Vec<u8> {
    let mut answer = Vec::new();
    if orders.write_all(order).is_ok() {
        let _ = answers.take(most.saturating_add(1)).read_to_end(&mut answer);
    }
    drop(orders);
    answer
}

fn read(
    answer: &[u8],
    status: ExitStatus,
    fingerprint: [u8; 32],
    terms: &Terms,
) -> Result<Code, CompileError> {
    match Answer::decode(answer) {
        Some(Answer::Code { fingerprint: theirs, code }) if theirs == fingerprint => Ok(code),
        Some(Answer::Code { .. }) => {
            Err(CompileError::Died("the compiler is of another build than this member".to_owned()))
        }
        Some(Answer::Refused(cause)) => Err(CompileError::Refused(cause)),
        Some(Answer::Unable(cause)) => Err(CompileError::Died(cause)),
        None => Err(ended(status, terms)),
    }
}

/// What it means that a child ended without an answer.
fn ended(status: ExitStatus, terms: &Terms) -> CompileError {
    match (status.signal(), terms) {
        // How the standard library ends a program that gets no memory, or whose stack overflows.
        (Some(libc::SIGABRT | libc::SIGSEGV), Terms::Proposed(_)) => {
            CompileError::Limit(compile::limit_of_memory())
        }
        (Some(libc::SIGXCPU), Terms::Proposed(_)) => CompileError::Limit(compile::limit_of_time()),
        (Some(signal), _) => CompileError::Died(format!("the compiler was ended by signal {signal}")),
        (None, _) => CompileError::Died(format!("the compiler ended without an answer: {status}")),
    }
}

#[cfg(test)]
mod tests;
