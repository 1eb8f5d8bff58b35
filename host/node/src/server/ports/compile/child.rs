//! The child's side: bounds itself, compiles one module, answers, and ends.
//!
//! It runs before anything else of the program has started: no runtime, no other threads.
use std::io::{self, Read, Write};
use std::process::ExitCode;

use libc::{c_int, rlim_t, rlimit};
use synod_vm::compile::{CompileError, compile};

use super::CHILD_ARGUMENT;
use super::wire::{Answer, Bounds, Order};

/// The first descriptor that is not a standard one.
const FIRST_OTHER: c_int = 3;

/// Whether this process was started to compile a module.
pub(crate) fn is_child() -> bool {
    let mut arguments = std::env::args_os().skip(1);
    arguments.next().is_some_and(|first| first == CHILD_ARGUMENT) && arguments.next().is_none()
}

/// Compiles the module that comes in at standard input.
pub(crate) fn run_child() -> ExitCode {
    match obey() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn obey() -> io::Result<()> {
    close_others()?;
    bound(libc::RLIMIT_CORE, 0, 0)?;
    let Order { fingerprint, bounds, module } = Order::read(&mut io::stdin().lock())?;
    end_with_parent()?;
    set(bounds)?;
    let answer = match compile(&fingerprint, &module) {
        Ok(code) => Answer::Code { fingerprint, code },
        Err(CompileError::Refused(cause)) => Answer::Refused(cause),
        Err(CompileError::Died(cause)) => Answer::Unable(cause),
        Err(CompileError::Limit(_) | CompileError::Abandoned) => {
            Answer::Unable("the compiler gave up without a reason".to_owned())
        }
    };
    let mut out = io::stdout().lock();
    out.write_all(&answer.encode())?;
    out.flush()
}

/// Closes what this process inherited. The program opens everything with `CLOEXEC`; this is for
/// what its own parent left open.
fn close_others() -> io::Result<()> {
    // SAFETY: takes numbers only. Nothing of this process uses these descriptors: it has just
    // started.
    if unsafe { libc::close_range(FIRST_OTHER as u32, u32::MAX, 0) } == 0 {
        return Ok(());
    }
    let mut open = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let name = entry?.file_name();
        open.extend(name.to_str().and_then(|name| name.parse::<c_int>().ok()));
    }
    for descriptor in open.into_iter().filter(|descriptor| *descriptor >= FIRST_OTHER) {
        // SAFETY: as above.
        unsafe { libc::close(descriptor) };
    }
    Ok(())
}

/// Ends this process when the parent's end of standard input is closed: by the parent, or because
/// it ended.
fn end_with_parent() -> io::Result<()> {
    let watch = || {
        let mut byte = [0];
        while io::stdin().lock().read(&mut byte).is_ok_and(|bytes| bytes > 0) {}
        std::process::exit(1);
    };
    std::thread::Builder::new().spawn(watch).map(drop)
}

fn set(Bounds { memory_bytes, cpu_seconds, niceness }: Bounds) -> io::Result<()> {
    if niceness > 0 {
        // SAFETY: takes a number only.
        unsafe { libc::nice(niceness) };
    }
    if memory_bytes > 0 {
        bound(libc::RLIMIT_AS, memory_bytes, memory_bytes)?;
    }
    if cpu_seconds > 0 {
        bound(libc::RLIMIT_CPU, cpu_seconds, cpu_seconds + 1)?;
    }
    Ok(())
}

/// Reaching the first limit can be survived, the second not.
fn bound(what: libc::__rlimit_resource_t, rlim_cur: rlim_t, rlim_max: rlim_t) -> io::Result<()> {
    let limits = rlimit { rlim_cur, rlim_max };
    // SAFETY: `limits` lives during the call, which only reads it.
    match unsafe { libc::setrlimit(what, &raw const limits) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
