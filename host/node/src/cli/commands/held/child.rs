//! The command that runs while something is held: a process group of its own, that dies with this
//! process.
//!
//! A group, so that a signal reaches what the command started, too. The terminal belongs to this
//! process's group, so Ctrl-C is passed on like any other signal; a command that asks for the
//! terminal, to read from it, is lent it. When this process is killed, the kernel kills the command
//! (not what it started): nothing may run on without what nobody holds any more.
//!
//! All calls to the operating system that Rust has no safe name for are in this file.
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus};

use libc::{c_int, pid_t};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// A running command.
pub(super) struct Child {
    process: std::process::Child,
    group: pid_t,
    /// Tells that the command stopped or ended.
    children: Signal,
    /// Ctrl-Z at a terminal that is not lent would stop this process, and not the command: caught,
    /// it does nothing.
    _suspend: Signal,
    terminal: Terminal,
    reaped: bool,
}

/// Who has the terminal, if there is one.
enum Terminal {
    /// It was not asked for.
    Unasked,
    /// The command was stopped because it asked, and gets it as soon as it is this process's to
    /// lend.
    Wanted,
    /// The command.
    Lent(File),
}

impl Child {
    /// Starts `command` with `environment` added to this process's.
    ///
    /// To be called from the main thread, which lives as long as the process: the kernel sends the
    /// signal of the parent's death when the thread ends that started the child.
    pub(super) fn start(command: &[OsString], environment: &[(&str, String)]) -> io::Result<Self> {
        let children = signal(SignalKind::child())?;
        let suspend = signal(SignalKind::from_raw(libc::SIGTSTP))?;
        let [program, args @ ..] = command else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "there is no command"));
        };
        let mut starting = Command::new(program);
        starting.args(args).envs(environment.iter().map(|(name, value)| (name, value))).process_group(0);
        // SAFETY: getpid has no preconditions.
        let parent = unsafe { libc::getpid() };
        // SAFETY: between fork and exec the closure only makes system calls that are
        // async-signal-safe, and allocates nothing.
        unsafe { starting.pre_exec(move || die_with(parent)) };
        let process = starting.spawn()?;
        let group = pid_t::try_from(process.id()).map_err(io::Error::other)?;
        Ok(Self { process, group, children, _suspend: suspend, terminal: Terminal::Unasked, reaped: false })
    }

    /// Sends a signal to the whole group. One that is gone already is no error.
    pub(super) fn send(&self, signal: c_int) {
        // SAFETY: kill has no preconditions. The group cannot be another's: its first process is
        // not waited for yet.
        unsafe { libc::kill(-self.group, signal) };
    }

    /// Waits until the command has ended, and lends it the terminal if it asks. May be dropped and
    /// called again.
    ///
    /// Its process is not reaped yet, so that its group still is its own.
    pub(super) async fn ended(&mut self) -> io::Result<()> {
        loop {
            if self.happened(libc::WEXITED | libc::WNOWAIT)?.is_some() {
                return Ok(());
            }
            while let Some(signal) = self.happened(libc::WSTOPPED)? {
                self.stopped(signal);
            }
            self.lend();
            if self.children.recv().await.is_none() {
                return Err(io::Error::other("this process cannot learn of its children any more"));
            }
        }
    }

    /// The command was stopped. With the terminal, Ctrl-Z does it: its shell waits for this process
    /// and would not notice.
    fn stopped(&mut self, signal: c_int) {
        match (&self.terminal, signal) {
            (Terminal::Unasked, libc::SIGTTIN | libc::SIGTTOU) => self.terminal = Terminal::Wanted,
            (Terminal::Lent(_), libc::SIGTSTP) => self.send(libc::SIGCONT),
            _ => {}
        }
    }

    fn lend(&mut self) {
        if !matches!(self.terminal, Terminal::Wanted) {
            return;
        }
        let Ok(terminal) = File::open("/dev/tty") else { return };
        // SAFETY: neither call has preconditions; the descriptor is open.
        let ours = unsafe { libc::tcgetpgrp(terminal.as_raw_fd()) == libc::getpgrp() };
        if ours && set_foreground(terminal.as_raw_fd(), self.group).is_ok() {
            self.terminal = Terminal::Lent(terminal);
            self.send(libc::SIGCONT);
        }
    }

    /// The status with which something `what` names has happened to the command, if it has: an exit
    /// code or a signal.
    fn happened(&self, what: c_int) -> io::Result<Option<c_int>> {
        // SAFETY: a siginfo_t of zeros is valid, and waitid only writes to it. A zero pid means
        // that nothing happened.
        unsafe {
            let mut info: libc::siginfo_t = std::mem::zeroed();
            let asked = libc::waitid(libc::P_PID, self.process.id(), &mut info, what | libc::WNOHANG);
            if asked != 0 {
                return Err(io::Error::last_os_error());
            }
            Ok((info.si_pid() != 0).then(|| info.si_status()))
        }
    }

    /// Says how the command ended; waits if it has not.
    pub(super) fn reap(mut self) -> io::Result<ExitStatus> {
        self.reaped = true;
        self.process.wait()
    }
}

impl Drop for Child {
    /// A command that nobody watches any more is killed. The terminal is taken back.
    fn drop(&mut self) {
        if !self.reaped {
            self.send(libc::SIGKILL);
            drop(self.process.wait());
        }
        if let Terminal::Lent(terminal) = &self.terminal {
            // SAFETY: getpgrp has no preconditions.
            let taken = set_foreground(terminal.as_raw_fd(), unsafe { libc::getpgrp() });
            tracing::debug!(?taken, "the terminal is taken back");
        }
    }
}

/// Has the kernel kill this process, a child that is about to become the command, when `parent`
/// dies.
fn die_with(parent: pid_t) -> io::Result<()> {
    // SAFETY: neither call has preconditions, and both are async-signal-safe.
    unsafe {
        if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong) != 0 {
            return Err(io::Error::last_os_error());
        }
        // It may have died before.
        if libc::getppid() == parent { Ok(()) } else { Err(io::Error::from_raw_os_error(libc::ESRCH)) }
    }
}

/// Puts `group` in front at the terminal. A process in the back may do that only while it does not
/// listen to SIGTTOU.
fn set_foreground(terminal: RawFd, group: pid_t) -> io::Result<()> {
    // SAFETY: the sets are valid for the time of the calls, and the descriptor is open.
    unsafe {
        let mut blocked: libc::sigset_t = std::mem::zeroed();
        let mut before: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut blocked);
        libc::sigaddset(&mut blocked, libc::SIGTTOU);
        libc::pthread_sigmask(libc::SIG_BLOCK, &blocked, &mut before);
        let set = libc::tcsetpgrp(terminal, group);
        let error = io::Error::last_os_error();
        libc::pthread_sigmask(libc::SIG_SETMASK, &before, std::ptr::null_mut());
        if set == 0 { Ok(()) } else { Err(error) }
    }
}
