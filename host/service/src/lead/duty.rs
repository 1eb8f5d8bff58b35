//! What only a leader decides, turned into commands: one task for each [`Duty`].
//!
//! A decision is proposed in the term in which it was made, or never; one of an earlier lead is
//! forgotten, whatever became of it. Nothing is decided while this member follows, or has not
//! applied the first entry of its own term. After a refusal the task pauses, so that a leader
//! without majority does not spin.
use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use synod_abi::Time;
use synod_machine::{Action, Caller, Outcome, Principal};

use crate::ports::{Clock, Leadership, Monotonic, Replication, Role, Runtime};
use crate::progress::{Alarm, Signal};
use crate::propose::ledger::REFUSED_PAUSE;
use crate::propose::proposer::{Proposal, Proposer};

/// How long a decision waits for its outcome before it may be made again.
const OUTCOME_TIMEOUT: Duration = Duration::from_secs(10);

/// Whether this member leads, as far as whoever decides by it knows.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    pub(crate) applied_term: u64,
    pub(crate) leading: Option<u64>,
    pub(crate) closed: bool,
}

impl Standing {
    pub(crate) fn after(applied_term: u64) -> Self {
        Self { applied_term, ..Self::default() }
    }

    /// An entry of `term` was applied; whether it is the first one.
    pub(crate) fn applied(&mut self, term: u64) -> bool {
        let first = term > self.applied_term;
        self.applied_term = self.applied_term.max(term);
        first
    }

    /// What is decided by was read again, as of an entry of `term`: whoever leads takes it up anew.
    pub(crate) fn reloaded(&mut self, term: Option<u64>) {
        self.leading = None;
        self.applied(term.unwrap_or_default());
    }

    /// Takes note of `leadership`; whether leading began, ended, or began anew.
    pub(crate) fn observe(&mut self, leadership: Leadership) -> bool {
        let leads = leadership.role == Role::Leader && self.applied_term >= leadership.term && !self.closed;
        let leading = leads.then_some(leadership.term);
        std::mem::replace(&mut self.leading, leading) != leading
    }

    pub(crate) fn close(&mut self) {
        (self.closed, self.leading) = (true, None);
    }
}

/// How this member stands to what it may decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lead {
    /// The member ends.
    Closed,
    /// The term that it leads, if it does, and whether that began or ended just now.
    Of { term: Option<u64>, anew: bool },
}

/// Something that a leader decides.
pub(crate) trait Duty: Send + 'static {
    type Decision: Copy + fmt::Debug + Send + 'static;

    /// Raised when there may be something to decide.
    fn signal(&self) -> &Signal;
    fn take_up(&mut self, leadership: Leadership, now: Monotonic) -> Lead;
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

    /// Cluster time by the leader's clock. Pauses if this member does not lead any more.
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
pub(crate) struct LeaderTask<D: Duty, R, C, N> {
    duty: D,
    proposer: Proposer,
    runtime: R,
    clock: Arc<C>,
    replication: N,
    leadership_changed: BoxFuture<'static, ()>,
    /// Counts the times that this member took up leading, or gave it up.
    lead: u64,
    decided: FuturesUnordered<BoxFuture<'static, Decided<D::Decision>>>,
    paused_until: Option<Monotonic>,
    alarm: Alarm,
}

impl<D: Duty, R: Runtime, C: Clock, N: Replication> LeaderTask<D, R, C, N> {
    /// Starts the task, which ends when its duty is closed.
    pub(crate) fn start(duty: D, (proposer, runtime, clock, replication): (Proposer, R, Arc<C>, N)) {
        let mut task = Self {
            leadership_changed: replication.leadership_changed(replication.leadership()),
            duty,
            proposer,
            runtime: runtime.clone(),
            clock,
            replication,
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
            while self.leadership_changed.poll_unpin(cx).is_ready() {
                self.leadership_changed = self.replication.leadership_changed(self.replication.leadership());
            }
            let now = self.runtime.now();
            let Lead::Of { term, anew } = self.duty.take_up(self.replication.leadership(), now) else {
                return Poll::Ready(());
            };
            if anew {
                self.lead += 1;
                self.paused_until = None;
            }
            let wake = term.and_then(|term| self.decide(term, now));
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
        let stamp = || self.proposer.stamp_in(term, now, || self.clock.wall_ms());
        let paused_until = self.paused_until.filter(|until| *until > now);
        let mut round = Round { now, paused_until, stamp: &stamp, decisions: Vec::new() };
        let wake = self.duty.decide(&mut round);
        let Round { paused_until, decisions, .. } = round;
        self.paused_until = paused_until;
        for (decision, action) in decisions {
            let caller = Caller { principal: Principal::System, session: None };
            let proposal = Proposal { action, caller, deadline: now.after(OUTCOME_TIMEOUT) };
            let (lead, proposer) = (self.lead, self.proposer.clone());
            let decided = async move {
                let result = proposer.propose_as_leader(term, &proposal).await;
                let outcome = result
                    .inspect_err(
                        |error| tracing::debug!(?decision, %error, "what the leader decided has no outcome"),
                    )
                    .ok();
                Decided { lead, decision, outcome: outcome.filter(|outcome| outcome.result.is_ok()) }
            };
            self.decided.push(decided.boxed());
        }
        [wake, paused_until].into_iter().flatten().min()
    }

    /// What became of a decision; of one of an earlier lead it does not matter any more.
    fn resolve(&mut self, Decided { lead, decision, outcome }: Decided<D::Decision>, now: Monotonic) {
        if lead != self.lead {
            return;
        }
        if outcome.is_none() {
            tracing::debug!(?decision, "what the leader decided is decided again");
            self.paused_until = Some(now.after(REFUSED_PAUSE));
        }
        self.duty.resolved(decision, outcome.as_ref(), now);
    }
}
