//! Runs a command while a session holds something: a lock, a leadership. It is acquired before,
//! given back after, and the command is stopped before it can be lost.
//!
//! Standard output is the command's; nothing else is written to it. The session is this process's
//! own: if the process dies, what it held is free again when the session has expired. What is held,
//! and how it is acquired, is the caller's implementation of [`Holding`].
mod child;
mod supervise;

use std::cell::Cell;
use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitCode, ExitStatus};
use std::time::{Duration, Instant};

use clap::Args;
use synod_client::{CallError, Client, Session};

use child::Child;
use supervise::{End, Grace, supervise};

use crate::cli::io::cluster::Global;
use crate::cli::io::fail::{Exit, Failed};
use crate::cli::io::output;
use crate::cli::io::session::SessionFlags;
use crate::cli::io::signals::Signals;
use crate::cli::values::units::{hex, in_seconds, ms, seconds};

/// How long giving back may take after the command has ended. If it takes longer, what was held is
/// free when the session has expired.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(5);
/// Exit code of a command that is there but cannot be run, as shells have it.
const CANNOT_RUN: u8 = 126;
/// Exit code of a command that is not there, as shells have it.
const NOT_FOUND: u8 = 127;
/// Added to a signal's number for the exit code of what it ended, as shells do.
const SIGNALLED: i32 = 128;

/// Flags of every command that runs another one.
#[derive(Args, Clone, Debug)]
pub(crate) struct HeldArgs {
    /// How long to wait for it, in seconds; 0: not at all [default: as long as it takes].
    #[arg(long, value_name = "S", value_parser = seconds)]
    pub(crate) wait: Option<Duration>,
    /// How long COMMAND has between SIGTERM and SIGKILL when it has to stop, in seconds; at most a
    /// third of the time to live.
    #[arg(long, value_name = "S", value_parser = seconds, default_value = "3")]
    pub(crate) grace: Duration,
    #[command(flatten)]
    pub(crate) session: SessionFlags,
    /// What to run, and its arguments.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

/// Something that is held by a session, and acquired by a call that may wait.
pub(crate) trait Holding {
    /// What is known of it once it is held.
    type Held;

    /// The subcommand of synod, for remarks.
    fn subcommand(&self) -> &'static str;

    /// What it is called in a sentence: `lock`.
    fn noun(&self) -> &'static str;

    /// Acquires it.
    async fn acquire(&self, session: &Session) -> Result<Self::Held, Failed>;

    /// What the command finds in its environment, beside the session's id.
    fn environment(&self, held: &Self::Held) -> Vec<(&'static str, String)>;

    /// Resolves when it is lost although the session lives.
    async fn lost(&self, client: &Client, held: &Self::Held);

    /// Gives it back. If that fails, closing the session does, or its end.
    async fn release(&self, session: &Session, held: &Self::Held);
}

/// Runs the command while `holding` is held; the exit code is the command's. To be called on the
/// main thread, see [`Child::start`].
pub(crate) async fn run(
    holding: &impl Holding,
    args: &HeldArgs,
    global: &Global,
) -> Result<ExitCode, Failed> {
    let mut signals = Signals::listen()?;
    let (client, session) = tokio::select! {
        opened = args.session.open(global) => opened?,
        signal = signals.next() => return Ok(signalled(signal)),
    };
    let ended = tokio::select! {
        acquired = holding.acquire(&session) => Ok(acquired),
        signal = signals.next() => Err(signal),
    };
    let ended = match ended {
        Ok(Ok(held)) => {
            let holder = Holder { holding, client: &client, session: &session, held: &held };
            holder.hold(args, &mut signals).await
        }
        Ok(Err(failed)) => Err(failed),
        Err(signal) => Ok(signalled(signal)),
    };
    close(holding, session).await;
    ended
}

/// Something held, and the session that holds it.
struct Holder<'a, H: Holding> {
    holding: &'a H,
    client: &'a Client,
    session: &'a Session,
    held: &'a H::Held,
}

impl<H: Holding> Holder<'_, H> {
    /// Runs the command, then gives back what is held.
    async fn hold(&self, args: &HeldArgs, signals: &mut Signals) -> Result<ExitCode, Failed> {
        if self.session.is_lost() {
            return Err(session_lost("the session was lost before the command could be run; it did not run"));
        }
        let mut environment = self.holding.environment(self.held);
        environment.push(("SYNOD_SESSION", hex(&self.session.id().0)));
        let child = match Child::start(&args.command, &environment) {
            Ok(child) => child,
            Err(error) => {
                let code = self.cannot_run(&args.command[0], &error);
                self.release().await;
                return Ok(code);
            }
        };
        match self.supervise(child, args, signals).await {
            Ok(Ended::Itself(status)) => {
                self.release().await;
                Ok(exit_code(status))
            }
            Ok(Ended::Lost) => Err(Failed::new(
                Exit::SessionLost,
                format!("the {} was lost, so the command was stopped", self.holding.noun()),
            )),
            Ok(Ended::SessionInDoubt) => {
                Err(session_lost("the session could not be relied upon any more, so the command was stopped"))
            }
            Err(error) => Err(Failed::new(
                Exit::Internal,
                format!("the command cannot be watched, so it was killed: {error}"),
            )),
        }
    }

    /// Lets the command run until it ends, or until what is held is or may be lost.
    async fn supervise(&self, child: Child, args: &HeldArgs, signals: &mut Signals) -> io::Result<Ended> {
        let grace = Grace::new(args.grace, self.session.ttl());
        let stop_by = Cell::new(None);
        let losing = async {
            self.holding.lost(self.client, self.held).await;
            stop_by.set(Some(Instant::now() + grace.0));
            std::future::pending::<Infallible>().await
        };
        let left = || {
            stop_by.get().map_or(self.session.deadline(), |by: Instant| {
                self.session.deadline().min(by.saturating_duration_since(Instant::now()))
            })
        };
        let end = tokio::select! {
            end = supervise(child, signals, grace, left) => end?,
            never = losing => match never {},
        };
        Ok(match end {
            End::Itself(status) => Ended::Itself(status),
            End::Stopped if stop_by.get().is_some() => Ended::Lost,
            End::Stopped => Ended::SessionInDoubt,
        })
    }

    async fn release(&self) {
        let limit = RELEASE_TIMEOUT.min(self.session.deadline());
        let released = tokio::time::timeout(limit, self.holding.release(self.session, self.held)).await;
        tracing::debug!(in_time = released.is_ok(), "given back");
    }

    fn cannot_run(&self, program: &OsStr, error: &io::Error) -> ExitCode {
        let subcommand = self.holding.subcommand();
        output::remark(&format!("synod {subcommand}: cannot run {}: {error}", program.display()));
        let code = if error.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { CANNOT_RUN };
        ExitCode::from(code)
    }
}

/// How a command ended, and if it was stopped, why.
enum Ended {
    /// By itself, or by a signal that was passed on to it.
    Itself(ExitStatus),
    /// What it needed was lost although the session lives.
    Lost,
    /// The session could not be relied upon any more.
    SessionInDoubt,
}

/// Closes the session. One that is lost needs no closing: it expires about now.
async fn close(holding: &impl Holding, session: Session) {
    let ttl_ms = ms(session.ttl());
    let left = session.deadline();
    if left.is_zero() {
        return;
    }
    let closed = tokio::time::timeout(RELEASE_TIMEOUT.min(left), session.close()).await;
    if !matches!(closed, Ok(Ok(()))) {
        output::remark(&format!(
            "synod {}: the cluster did not answer; the {} is free when the session has expired, within {}",
            holding.subcommand(),
            holding.noun(),
            in_seconds(ttl_ms)
        ));
    }
}

fn session_lost(why: &str) -> Failed {
    Failed::new(Exit::SessionLost, why).next("`synod status` shows whether the cluster has a leader")
}

/// The failure to acquire something of `recipe`, called `noun` in a sentence. `busy` is the failure
/// after waiting in vain.
pub(crate) fn not_acquired<E: std::fmt::Display>(
    error: CallError<E>,
    recipe: &str,
    noun: &str,
    busy: Failed,
) -> Failed {
    match error {
        CallError::WaitTimeout => busy,
        CallError::Rejected(refused) => {
            Failed::new(Exit::Rejected, format!("the {noun} was refused: {refused}"))
        }
        CallError::Fault { message, .. } => Failed::new(Exit::Rejected, message).next(format!(
            "`synod space list` shows whether the space is there and runs the recipe {recipe}; \
             `--space` names another"
        )),
        CallError::Unreadable { revision } => Failed::new(
            Exit::Internal,
            format!("the answer of revision {revision} is not of the type that this program knows"),
        )
        .next(format!(
            "use the `synod` that the installed {recipe} is of; what was acquired goes with the session"
        )),
        CallError::Unavailable(message) => {
            Failed::new(Exit::Unavailable, format!("unavailable, surely not applied: {message}"))
                .next("`synod status` shows whether the cluster has a leader; trying again is safe")
        }
        CallError::OutcomeUnknown(message) => {
            Failed::new(Exit::OutcomeUnknown, format!("outcome unknown: {message}")).next(
                "nothing is left to do: the session is closed or expires, and with it whatever was acquired",
            )
        }
        CallError::SessionExpired(_) => session_lost(&format!(
            "the session was lost while it waited for the {noun}; the command did not run"
        )),
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
mod tests;
