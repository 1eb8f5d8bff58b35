//! Runs a command while something is held that belongs to a session: a lock, a leadership. Acquired
//! first, given back after, and the command is stopped before it can be lost.
//!
//! Nothing of it is written to standard output, which is the command's. The session is this
//! command's own: whatever becomes of this process, what it held is free again when the session has
//! ended. What is held, and how it is acquired, the caller says: [`Holding`].
mod child;
mod supervise;

use std::cell::Cell;
use std::convert::Infallible;
use std::ffi::OsString;
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
use crate::cli::io::signals::Signals;
use crate::cli::io::wish::Wish;
use crate::cli::values::units::{hex, in_seconds, ms, seconds};

/// How long giving back may take after the command has ended; after that it is free when the
/// session has expired.
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
    pub(crate) wish: Wish,
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

    /// Gives it back. Should that not work, closing the session does, or its end.
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
        opened = open(args, global) => opened?,
        signal = signals.next() => return Ok(signalled(signal)),
    };
    let ended = tokio::select! {
        acquired = holding.acquire(&session) => Ok(acquired),
        signal = signals.next() => Err(signal),
    };
    let ended = match ended {
        Ok(Ok(held)) => hold(holding, args, (&client, &session), &held, &mut signals).await,
        Ok(Err(failed)) => Err(failed),
        Err(signal) => Ok(signalled(signal)),
    };
    close(holding, session).await;
    ended
}

async fn open(args: &HeldArgs, global: &Global) -> Result<(Client, Session), Failed> {
    let client = global.learning_client().await?;
    let session = args.wish.open(&client).await?;
    Ok((client, session))
}

/// Runs the command, then gives back what is held.
async fn hold<H: Holding>(
    holding: &H,
    args: &HeldArgs,
    (client, session): (&Client, &Session),
    held: &H::Held,
    signals: &mut Signals,
) -> Result<ExitCode, Failed> {
    if session.is_lost() {
        return Err(session_lost("the session was lost before the command could be run; it did not run"));
    }
    let mut environment = holding.environment(held);
    environment.push(("SYNOD_SESSION", hex(&session.id().0)));
    let grace = Grace::new(args.grace, session.ttl());
    let child = match Child::start(&args.command, &environment) {
        Ok(child) => child,
        Err(error) => {
            output::remark(&format!(
                "synod {}: cannot run {}: {error}",
                holding.subcommand(),
                args.command[0].display()
            ));
            release(holding, session, held).await;
            return Ok(ExitCode::from(if error.kind() == io::ErrorKind::NotFound {
                NOT_FOUND
            } else {
                CANNOT_RUN
            }));
        }
    };
    let stop_by = Cell::new(None);
    let losing = async {
        holding.lost(client, held).await;
        stop_by.set(Some(Instant::now() + grace.0));
        std::future::pending::<Infallible>().await
    };
    let left = || {
        stop_by.get().map_or(session.deadline(), |by: Instant| {
            session.deadline().min(by.saturating_duration_since(Instant::now()))
        })
    };
    let ended = tokio::select! {
        ended = supervise(child, signals, grace, left) => ended,
        never = losing => match never {},
    };
    match ended {
        Ok(End::Itself(status)) => {
            release(holding, session, held).await;
            Ok(exit_code(status))
        }
        Ok(End::Stopped) if stop_by.get().is_some() => {
            let noun = holding.noun();
            Err(Failed::new(Exit::SessionLost, format!("the {noun} was lost, so the command was stopped")))
        }
        Ok(End::Stopped) => {
            Err(session_lost("the session could not be relied upon any more, so the command was stopped"))
        }
        Err(error) => Err(Failed::new(
            Exit::Internal,
            format!("the command cannot be watched, so it was killed: {error}"),
        )),
    }
}

async fn release<H: Holding>(holding: &H, session: &Session, held: &H::Held) {
    let released =
        tokio::time::timeout(RELEASE_TIMEOUT.min(session.deadline()), holding.release(session, held)).await;
    tracing::debug!(in_time = released.is_ok(), "given back");
}

/// Closes the session while that still tells the cluster something new: one that is lost expires
/// about now.
async fn close(holding: &impl Holding, session: Session) {
    let (ttl_ms, left) = (ms(session.ttl()), session.deadline());
    if left.is_zero() {
        return;
    }
    if !matches!(tokio::time::timeout(RELEASE_TIMEOUT.min(left), session.close()).await, Ok(Ok(()))) {
        let (subcommand, noun, expiry) = (holding.subcommand(), holding.noun(), in_seconds(ttl_ms));
        output::remark(&format!(
            "synod {subcommand}: the cluster did not answer; the {noun} is free when the session has \
                expired, within {expiry}"
        ));
    }
}

fn session_lost(why: &str) -> Failed {
    Failed::new(Exit::SessionLost, why).next("`synod status` shows whether the cluster has a leader")
}

/// Why something was not acquired: what every recipe has in common. `busy` says what a vain wait
/// means, and its next step; `recipe` is the recipe's name.
pub(crate) fn not_acquired<E: std::fmt::Display>(
    error: CallError<E>,
    recipe: &str,
    noun: &str,
    busy: (String, String),
) -> Failed {
    match error {
        CallError::WaitTimeout => Failed::new(Exit::WaitTimeout, busy.0).next(busy.1),
        CallError::Rejected(refused) => Failed::new(Exit::Rejected, format!("the {noun} was refused: \
            {refused}")),
        CallError::Fault { message, .. } => Failed::new(Exit::Rejected, message)
            .next(format!("`synod space list` shows whether the space is there and runs the recipe {recipe}; `--space` names another")),
        CallError::Unavailable(message) => Failed::new(Exit::Unavailable, format!("unavailable, surely not \
            applied: {message}"))
            .next("`synod status` shows whether the cluster has a leader; trying again is safe"),
        CallError::OutcomeUnknown(message) => Failed::new(Exit::OutcomeUnknown, format!("outcome unknown: \
            {message}"))
            .next("nothing is left to do: the session is closed or expires, and with it whatever was acquired"),
        CallError::SessionExpired(_) => {
            session_lost(&format!("the session was lost while it waited for the {noun}; the command did not \
                run"))
        }
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
