//! `synod lock NAME -- COMMAND`: runs a command while a lock is held, and stops it before the lock can be lost.
//!
//! Nothing of it is written to standard output, which is the command's. The lock is one of the recipe `lock`, held by a session of
//! this command's own: whatever becomes of this process, the lock is free again when the session has ended.
mod child;
mod supervise;

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitCode, ExitStatus};
use std::time::Duration;

use clap::Args;
use synod_client::{CallError, Client, Session};
use synod_lock::{Held, Lock, LockError};

use super::fail::{Exit, Failed};
use super::session::{Wish, ms};
use super::signals::Signals;
use super::token::seconds;
use super::{Global, output};
use child::Child;
use supervise::{End, Grace, supervise};

/// How long the lock may take to be released after the command has ended; after that it is free when the session has expired.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(5);
/// Exit code of a command that is there but cannot be run, as shells have it.
const CANNOT_RUN: u8 = 126;
/// Exit code of a command that is not there, as shells have it.
const NOT_FOUND: u8 = 127;
/// Added to a signal's number for the exit code of what it ended, as shells do.
const SIGNALLED: i32 = 128;

pub(crate) const AFTER_HELP: &str = "\
COMMAND runs in a process group of its own, with standard input, output and error
inherited, and with SYNOD_LOCK (the lock's name), SYNOD_TOKEN (its fencing token) and
SYNOD_SESSION (the session's id) in its environment. SIGINT, SIGTERM and SIGHUP are
passed on to it. If synod itself is killed, the kernel kills COMMAND, but not what
COMMAND has started: a script ends with `exec`.

A lock alone does not exclude anybody: pass SYNOD_TOKEN to what the lock guards, and
have that refuse a token smaller than one it has seen.

COMMAND is not stopped while synod itself is stopped, as by SIGSTOP: a reason more for
the token.

When the cluster cannot be reached, COMMAND goes on while the lock is surely held. It is
sent SIGTERM --grace seconds before that is over, and SIGKILL when it is, with everything
in its process group; both before the cluster can give the lock to another.

Exit codes:
  0-255    COMMAND's own; 128+n if signal n ended it, or synod while it waited
  6        not acquired: another held the lock for as long as --wait
  7        the session was lost, and COMMAND stopped
  126,127  COMMAND cannot be run; is not there
  1-5      COMMAND did not run; as for every other command of synod

Example: synod lock nightly --wait 0 -- /usr/local/bin/report --all";

/// Flags of `synod lock`.
#[derive(Args, Clone, Debug)]
pub(crate) struct LockArgs {
    /// The lock's name.
    name: String,
    /// The space of recipe `lock` that it is in.
    #[arg(long, default_value = "lock")]
    space: String,
    /// Who in the session holds it: seen in the lock's queries.
    #[arg(long)]
    owner: Option<String>,
    /// How long to wait for it, in seconds; 0: not at all [default: as long as it takes].
    #[arg(long, value_name = "S", value_parser = seconds)]
    wait: Option<Duration>,
    /// How long COMMAND has between SIGTERM and SIGKILL when the session is about to be lost, in seconds; at most a third of the time to live.
    #[arg(long, value_name = "S", value_parser = seconds, default_value = "3")]
    grace: Duration,
    #[command(flatten)]
    wish: Wish,
    /// What to run, and its arguments.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Runs the command under the lock; the exit code is the command's. To be called on the main thread, see [`Child::start`].
pub(crate) async fn run(args: LockArgs, global: &Global) -> Result<ExitCode, Failed> {
    let mut signals = Signals::listen()?;
    let session = tokio::select! {
        opened = open(&args, global) => opened?,
        signal = signals.next() => return Ok(signalled(signal)),
    };
    let ended = tokio::select! {
        acquired = acquire(&args, &session) => Ok(acquired),
        signal = signals.next() => Err(signal),
    };
    let ended = match ended {
        Ok(Ok(held)) => hold(&args, &session, &held, &mut signals).await,
        Ok(Err(failed)) => Err(failed),
        Err(signal) => Ok(signalled(signal)),
    };
    close(session).await;
    ended
}

async fn open(args: &LockArgs, global: &Global) -> Result<Session, Failed> {
    let client: Client = global.learning_client().await?;
    args.wish.open(&client).await
}

async fn acquire(args: &LockArgs, session: &Session) -> Result<Held, Failed> {
    let lock = Lock::client(session, &args.space);
    let lock = match args.wait {
        Some(wait) => lock.waiting_ms(ms(wait)),
        None => lock,
    };
    lock.acquire(args.name.as_str(), args.owner.clone()).await.map_err(|error| failed(args, error))
}

/// Runs the command, then releases the lock.
async fn hold(args: &LockArgs, session: &Session, held: &Held, signals: &mut Signals) -> Result<ExitCode, Failed> {
    if session.is_lost() {
        return Err(lost("the session was lost before the command could be run; it did not run"));
    }
    let environment =
        [("SYNOD_LOCK", args.name.clone()), ("SYNOD_TOKEN", held.token.0.to_string()), ("SYNOD_SESSION", output::hex(&session.id().0))];
    let grace = Grace::new(args.grace, session.ttl());
    let ended = match Child::start(&args.command, &environment) {
        Ok(child) => supervise(child, signals, grace, || session.deadline()).await,
        Err(error) => {
            output::remark(&format!("synod lock: cannot run {}: {error}", args.command[0].display()));
            release(args, session).await;
            return Ok(ExitCode::from(if error.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { CANNOT_RUN }));
        }
    };
    match ended {
        Ok(End::Itself(status)) => {
            release(args, session).await;
            Ok(exit_code(status))
        }
        Ok(End::Stopped) => Err(lost("the session could not be relied upon any more, so the command was stopped")),
        Err(error) => Err(Failed::new(Exit::Internal, format!("the command cannot be watched, so it was killed: {error}"))),
    }
}

/// Gives the lock back. Should that not work, closing the session does, or its end.
async fn release(args: &LockArgs, session: &Session) {
    let lock = Lock::client(session, &args.space);
    let released =
        tokio::time::timeout(RELEASE_TIMEOUT.min(session.deadline()), lock.release(args.name.as_str(), args.owner.clone())).await;
    tracing::debug!(?released, "released");
}

/// Closes the session while that still tells the cluster something new: one that is lost expires about now.
async fn close(session: Session) {
    let (ttl_ms, left) = (ms(session.ttl()), session.deadline());
    if left.is_zero() {
        return;
    }
    if !matches!(tokio::time::timeout(RELEASE_TIMEOUT.min(left), session.close()).await, Ok(Ok(()))) {
        let expiry = super::token::in_seconds(ttl_ms);
        output::remark(&format!("synod lock: the cluster did not answer; the lock is free when the session has expired, within {expiry}"));
    }
}

fn lost(why: &str) -> Failed {
    Failed::new(Exit::SessionLost, why).next("`synod status` shows whether the cluster has a leader")
}

/// Why the lock was not acquired.
fn failed(args: &LockArgs, error: CallError<LockError>) -> Failed {
    match error {
        CallError::WaitTimeout => {
            let name = &args.name;
            Failed::new(Exit::WaitTimeout, format!("the lock `{name}` was not acquired: another holds it"))
                .next(format!("`synod query {} holder --name {name}` shows who does; --wait S waits longer", args.space))
        }
        CallError::Rejected(refused) => Failed::new(Exit::Rejected, format!("the lock was refused: {refused:?}")),
        CallError::Fault { message, .. } => Failed::new(Exit::Rejected, message)
            .next("`synod space list` shows whether the space is there and runs the recipe lock; `--space` names another"),
        CallError::Unavailable(_) => Failed::new(Exit::Unavailable, error.to_string())
            .next("`synod status` shows whether the cluster has a leader; trying again is safe"),
        CallError::OutcomeUnknown(_) => Failed::new(Exit::OutcomeUnknown, error.to_string())
            .next("nothing is left to do: the session is closed or expires, and with it whatever was acquired"),
        CallError::SessionExpired(_) => lost("the session was lost while it waited for the lock; the command did not run"),
    }
}

fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().or_else(|| status.signal().map(|signal| SIGNALLED + signal));
    ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(Exit::Internal as u8))
}

fn signalled(signal: i32) -> ExitCode {
    ExitCode::from(u8::try_from(SIGNALLED + signal).unwrap_or(u8::MAX))
}

#[cfg(test)]
mod tests {
    use super::super::{Cli, Command};
    use super::*;
    use clap::Parser;

    fn parse(line: &str) -> Result<LockArgs, clap::Error> {
        let cli = Cli::try_parse_from(line.split_whitespace())?;
        let Command::Lock(args) = cli.command else { panic!("a lock") };
        Ok(*args)
    }

    #[test]
    fn everything_behind_the_dashes_is_the_command() {
        let args = parse("synod lock db --wait 0.5 --ttl 6 --owner me -- sh -c --ttl").expect("good");
        assert_eq!(args.command, ["sh", "-c", "--ttl"]);
        assert_eq!((args.name.as_str(), args.space.as_str(), args.owner.as_deref()), ("db", "lock", Some("me")));
        assert_eq!((args.wait, args.wish.ttl), (Some(Duration::from_millis(500)), Some(Duration::from_secs(6))));
        assert_eq!(args.grace, Duration::from_secs(3));
    }

    #[test]
    fn a_lock_without_a_command_is_wrong_usage() {
        for line in ["synod lock db", "synod lock db --", "synod lock db echo", "synod lock -- echo", "synod lock db --wait soon -- echo"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn exit_codes_are_those_of_shells() {
        assert_eq!(exit_code(ExitStatus::from_raw(3 << 8)), ExitCode::from(3));
        assert_eq!(exit_code(ExitStatus::from_raw(libc::SIGKILL)), ExitCode::from(137));
        assert_eq!(signalled(libc::SIGINT), ExitCode::from(130));
    }

    #[test]
    fn why_a_lock_was_not_acquired_has_an_exit_code() {
        let args = parse("synod lock db -- true").expect("good");
        let table = [
            (CallError::WaitTimeout, Exit::WaitTimeout),
            (CallError::Rejected(LockError::NoSession), Exit::Rejected),
            (CallError::Fault { fault: None, message: "m".into() }, Exit::Rejected),
            (CallError::Unavailable("m".into()), Exit::Unavailable),
            (CallError::OutcomeUnknown("m".into()), Exit::OutcomeUnknown),
            (CallError::SessionExpired("m".into()), Exit::SessionLost),
        ];
        for (error, exit) in table {
            assert_eq!(failed(&args, error.clone()).exit, exit, "{error}");
        }
    }
}
