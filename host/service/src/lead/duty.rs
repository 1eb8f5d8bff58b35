//! Decisions of a leader, turned into commands: one task for each [`Duty`].
//!
//! A decision is proposed in the term in which it was made, or never; the outcome of one of an
//! earlier lead is ignored. Nothing is decided while this member follows, or has not applied the
//! first entry of its own term. After a refusal the task pauses, so that a leader without majority
//! does not spin.
use std::fmt;
use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use synod_abi::Time;
use synod_machine::{Action, Outcome};

use super::observer::Observer;
use crate::failure::ProposalResult;
use crate::ports::{Monotonic, Runtime};
use crate::progress::{Alarm, Signal};

/// How long a decision waits for its outcome before it may be made again.
const OUTCOME_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a leader waits after a refusal before it proposes again.
pub(crate) const REFUSED_PAUSE: Duration = Duration::from_millis(20);

/// The way of a decision into the log.
pub(crate) trait Propose: Clone + Send + 'static {
    /// Proposes `action` in the name of the system, in `term` or never.
    fn propose_as_leader(
        &self,
        term: u64,
        action: Action,
        deadline: Monotonic,
    ) -> BoxFuture<'static, ProposalResult>;
}

/// Something that a leader decides.
pub(crate) trait Duty: Send + 'static {
    type Decision: Copy + fmt::Debug + Send + 'static;

    /// Raised when there may be something to decide.
    fn signal(&self) -> &Signal;
    /// Takes note of the term that this member leads, if it does; whether leading began, ended, or
    /// began again because the state was replaced.
    fn take_up(&mut self, leading: Option<u64>, now: Monotonic) -> bool;
    /// Decides what is due; when there may be more to decide.
    fn decide(&mut self, round: &mut Round<'_, Self::Decision>) -> Option<Monotonic>;
    /// The outcome of a decision of this lead; `None` if it has none, or was rejected, so that it
    /// is to be made again.
    fn resolved(&mut self, decision: Self::Decision, outcome: Option<&Outcome>, now: Monotonic);
}

/// One look at what is due.
pub(crate) struct Round<'a, D> {
    pub(crate) now: Monotonic,
    /// Set while nothing is to be proposed.
    pub(crate) paused_until: Option<Monotonic>,
    stamp: &'a dyn Fn() -> Option<Time>,
    decisions: Vec<(D, Action)>,
}

impl<D> Round<'_, D> {
    pub(crate) fn is_paused(&self) -> bool {
        self.paused_until.is_some()
    }

    /// Cluster time. Pauses if it is not known, or this member does not lead any more.
    pub(crate) fn stamp(&mut self) -> Option<Time> {
        let stamp = (self.stamp)();
        if stamp.is_none() {
            self.paused_until = Some(self.now.after(REFUSED_PAUSE));
        }
        stamp
    }

    pub(crate) fn propose(&mut self, decision: D, action: Action) {
        self.decisions.push((decision, action));
    }
}

struct Decided<D> {
    lead: u64,
    decision: D,
    outcome: Option<Outcome>,
}

/// See the module.
pub(crate) struct LeaderTask<D: Duty, P, R> {
    duty: D,
    observer: Observer,
    proposer: P,
    runtime: R,
    /// Counts the times that this member took up leading, or gave it up.
    lead: u64,
    decided: FuturesUnordered<BoxFuture<'static, Decided<D::Decision>>>,
    paused_until: Option<Monotonic>,
    alarm: Alarm,
}

impl<D: Duty, P: Propose, R: Runtime> LeaderTask<D, P, R> {
    /// Starts the task, which ends when `observer` is closed.
    pub(crate) fn start(duty: D, observer: Observer, proposer: P, runtime: &R) {
        observer.follow(duty.signal().clone());
        let mut task = Self {
            duty,
            observer,
            proposer,
            runtime: runtime.clone(),
            lead: 0,
            decided: FuturesUnordered::new(),
            paused_until: None,
            alarm: Alarm::default(),
        };
        runtime.spawn(async move { poll_fn(|cx| task.poll(cx)).await }.boxed());
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            while self.duty.signal().poll_raised(cx).is_ready() {}
            if self.observer.is_closed() {
                return Poll::Ready(());
            }
            let now = self.runtime.now();
            let leading = self.observer.leading();
            if self.duty.take_up(leading, now) {
                self.lead += 1;
                self.paused_until = None;
            }
            let wake = leading.and_then(|term| self.decide(term, now));
            let mut again = false;
            while let Poll::Ready(Some(decided)) = self.decided.poll_next_unpin(cx) {
                self.resolve(decided, now);
                again = true;
            }
            if !again && self.alarm.poll(cx, &self.runtime, wake, now).is_pending() {
                return Poll::Pending;
            }
        }
    }

    fn decide(&mut self, term: u64, now: Monotonic) -> Option<Monotonic> {
        let stamp = || self.observer.stamp(term, now);
        let paused_until = self.paused_until.filter(|until| *until > now);
        let mut round = Round { now, paused_until, stamp: &stamp, decisions: Vec::new() };
        let wake = self.duty.decide(&mut round);
        let Round { paused_until, decisions, .. } = round;
        self.paused_until = paused_until;
        for (decision, action) in decisions {
            let lead = self.lead;
            let outcome = self.proposer.propose_as_leader(term, action, now.after(OUTCOME_TIMEOUT));
            let decided = outcome.map(move |result| {
                if let Err(error) = &result {
                    tracing::debug!(?decision, %error, "a decision of the leader has no outcome");
                }
                let outcome = result.ok().filter(|outcome| outcome.result.is_ok());
                Decided { lead, decision, outcome }
            });
            self.decided.push(decided.boxed());
        }
        [wake, paused_until].into_iter().flatten().min()
    }

    /// Hands on the outcome of a decision of this lead; of an earlier lead it does not matter.
    fn resolve(&mut self, Decided { lead, decision, outcome }: Decided<D::Decision>, now: Monotonic) {
        if lead != self.lead {
            return;
        }
        if outcome.is_none() {
            tracing::debug!(?decision, "a decision of the leader is taken again");
            self.paused_until = Some(now.after(REFUSED_PAUSE));
        }
        self.duty.resolved(decision, outcome.as_ref(), now);
    }
}
