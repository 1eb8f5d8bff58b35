//! Runs a command only while what it needs is surely held: stops it before the session can be lost.
//!
//! The session's client-side deadline decides. It lies before the moment at which the cluster may
//! give what is held to another. While no touch is answered, the time left shrinks: the command is
//! sent SIGTERM [`Grace`] before the deadline, and SIGKILL at the deadline. After SIGTERM it is
//! stopped in any case, even if the cluster answers again.
use std::io;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use libc::c_int;

use super::child::Child;
use crate::cli::io::signals::Signals;

/// How often the time left is checked. Timers do not run while the machine sleeps, so waiting for
/// the deadline alone is not enough.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Part of a session's time to live that the grace may take at most.
const GRACE_PART: u32 = 3;

/// How long before the deadline a command is asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grace(pub(super) Duration);

impl Grace {
    /// What was wanted, but at most a third of the session's time to live: answered touches leave
    /// more than that.
    pub(super) fn new(wanted: Duration, ttl: Duration) -> Self {
        Self(wanted.min(ttl / GRACE_PART))
    }
}

/// How a command came to its end.
#[derive(Debug)]
pub(super) enum End {
    /// By itself, or by a signal that was passed on to it.
    Itself(ExitStatus),
    /// It was stopped, because the session could not be relied upon any more.
    Stopped,
}

/// Which request to stop the command has received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Nothing,
    /// To stop, and when it will be killed.
    Stop(Instant),
    Killed,
}

/// The signal to send now, with `left` until the deadline, and the state after that.
fn decide(told: Told, left: Duration, grace: Grace, now: Instant) -> (Option<c_int>, Told) {
    match told {
        Told::Killed => (None, told),
        Told::Nothing if left > grace.0 => (None, told),
        Told::Stop(kill_at) if !left.is_zero() && now < kill_at => (None, told),
        Told::Nothing if !left.is_zero() => (Some(libc::SIGTERM), Told::Stop(now + left)),
        Told::Nothing | Told::Stop(_) => (Some(libc::SIGKILL), Told::Killed),
    }
}

/// How long to wait until the next decision.
fn pause(told: Told, left: Duration, grace: Grace, now: Instant) -> Duration {
    let due = match told {
        Told::Nothing => left.saturating_sub(grace.0),
        Told::Stop(kill_at) => left.min(kill_at.saturating_duration_since(now)),
        Told::Killed => LOOK_EVERY,
    };
    due.clamp(Duration::from_millis(1), LOOK_EVERY)
}

/// Lets `child` run until it ends or has to be stopped. `left` returns how long the session can
/// still be relied upon: zero once it is lost.
pub(super) async fn supervise(
    mut child: Child,
    signals: &mut Signals,
    grace: Grace,
    left: impl Fn() -> Duration,
) -> io::Result<End> {
    let mut told = Told::Nothing;
    loop {
        let now = Instant::now();
        let remaining = left();
        let (send, next) = decide(told, remaining, grace, now);
        if let Some(signal) = send {
            tracing::debug!(signal, ?remaining, "the session is about to be lost");
            child.send(signal);
            child.send(libc::SIGCONT);
        }
        told = next;
        tokio::select! {
            ended = child.ended() => {
                ended?;
                break;
            }
            signal = signals.next() => {
                child.send(signal);
                child.send(libc::SIGCONT);
            }
            () = tokio::time::sleep(pause(told, remaining, grace, now)) => {}
        }
    }
    if told == Told::Nothing {
        return child.reap().map(End::Itself);
    }
    child.send(libc::SIGKILL);
    child.reap().map(|_| End::Stopped)
}

#[cfg(test)]
mod tests;
