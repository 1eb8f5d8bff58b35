//! The proposer: packs what waits into entries when this member leads, and forwards it when it
//! follows.
//!
//! No timer and no lingering: while entries are in flight, commands gather, and the next entry
//! takes all of them. So batches grow with the load, across members. What it knows is in the
//! [`ledger`](super::ledger); here are only the futures: one task that drives proposals, the link
//! to the leader, and deadlines.
use std::future::poll_fn;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::channel::oneshot;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use synod_abi::{MemberId, Time, decode, encode};
use synod_machine::{Action, Caller, CommandOutcome, Origin};

use super::forward::{self, FORWARD_FRAME_BYTES, ForwardError, ToFollower, ToLeader};
use super::ledger::{Ledger, ProposerLimits, ProposerStats, REFUSED_PAUSE};
use super::packing::Packed;
use super::waiters::Answers;
use crate::failure::{ProposalError, ProposalResult, UnavailableReason};
use crate::ports::{Clock, ForwardLink, Monotonic, ProposeError, Replication, Role, Runtime, Unavailable};
use crate::progress::{Signal, lock};

/// How long a follower waits after a link to the leader failed.
const LINK_PAUSE: Duration = Duration::from_millis(25);
/// How long a follower waits for the leader's greeting.
const GREETING_TIMEOUT: Duration = Duration::from_secs(2);

/// What the proposer's task, its callers and the apply thread share.
#[derive(Debug)]
pub(crate) struct Shared {
    ledger: Mutex<Ledger>,
    pub(crate) signal: Signal,
}

impl Shared {
    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        lock(&self.ledger)
    }
}

/// The proposer of a member. Clones share it.
#[derive(Clone, Debug)]
pub struct Proposer {
    shared: Arc<Shared>,
    origin: Origin,
    sequence: Arc<AtomicU64>,
}

/// Something to propose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// What.
    pub action: Action,
    /// In whose name.
    pub caller: Caller,
    /// When its client stops waiting.
    pub deadline: Monotonic,
}

impl Proposer {
    /// Starts the proposer of `member`; `incarnation` is another one for each start of it. `term`
    /// and `time` are those of the last applied entry.
    pub fn start<R: Runtime, C: Clock, N: Replication>(
        member: MemberId,
        incarnation: u64,
        limits: ProposerLimits,
        (term, time): (u64, Time),
        runtime: R,
        clock: Arc<C>,
        replication: N,
    ) -> Self {
        let origin = Origin { member, incarnation, sequence: 0 };
        let shared = Arc::new(Shared {
            ledger: Mutex::new(Ledger::new(origin, limits, term, time)),
            signal: Signal::default(),
        });
        let mut driver = Driver {
            shared: shared.clone(),
            origin,
            leadership_changed: replication.leadership_changed(replication.leadership()),
            replication,
            clock,
            proposals: FuturesUnordered::new(),
            timer: None,
            paused_until: None,
            link: LinkStage::Idle,
            runtime: runtime.clone(),
        };
        shared.ledger().observe(driver.replication.leadership()).send();
        runtime.spawn(async move { poll_fn(|cx| driver.poll(cx)).await }.boxed());
        Self { shared, origin, sequence: Arc::new(AtomicU64::new(0)) }
    }

    /// Proposes; resolves with the command's outcome, as this member's own apply knows it.
    ///
    /// # Errors
    /// [`ProposalError`] tells what is surely not applied from what is unknown.
    pub async fn propose(&self, proposal: &Proposal, now: Monotonic) -> ProposalResult {
        let packed = Packed::new(self.next_origin(), proposal.caller, &proposal.action);
        let outcome = self.shared.ledger().submit(packed, proposal.deadline, now)?;
        self.outcome(outcome).await
    }

    /// Proposes what this member decided as the leader of `term`: it is appended in that term, or
    /// never.
    ///
    /// # Errors
    /// Unavailable if the term ended first, or another [`ProposalError`].
    pub async fn propose_as_leader(&self, term: u64, proposal: &Proposal) -> ProposalResult {
        let packed = Packed::new(self.next_origin(), proposal.caller, &proposal.action);
        let outcome = self.shared.ledger().submit_as_leader(term, packed, proposal.deadline)?;
        self.outcome(outcome).await
    }

    fn next_origin(&self) -> Origin {
        Origin { sequence: self.sequence.fetch_add(1, Ordering::Relaxed) + 1, ..self.origin }
    }

    async fn outcome(&self, outcome: oneshot::Receiver<ProposalResult>) -> ProposalResult {
        self.shared.signal.raise();
        outcome.await.unwrap_or_else(|_| {
            Err(ProposalError::OutcomeUnknown(
                "this member stopped while the command may have been in the log".to_owned(),
            ))
        })
    }

    /// What an entry would be stamped with now, if this member leads `term`.
    pub(crate) fn stamp_in(&self, term: u64, now: Monotonic, wall_ms: impl FnOnce() -> u64) -> Option<Time> {
        self.shared.ledger().stamp_in(term, now, wall_ms)
    }

    /// Serves the leader's end of a follower's link, until it ends.
    ///
    /// # Errors
    /// [`ForwardError`] if the follower does not speak the protocol.
    pub async fn serve_forward<R: Runtime>(&self, runtime: R, link: ForwardLink) -> Result<(), ForwardError> {
        forward::serve(self.shared.clone(), runtime, link).await
    }

    /// To be called in the order of the log, for every entry, when its effects can be read;
    /// `outcomes` is empty for an entry without commands.
    pub fn applied(&self, term: u64, outcomes: Vec<CommandOutcome>) {
        let answers = self.shared.ledger().applied(term, outcomes);
        self.shared.signal.raise();
        answers.send();
    }

    /// To be called when a snapshot was installed that ends with an entry of `term` at `time`.
    pub fn restored(&self, term: u64, time: Time) {
        let answers = self.shared.ledger().restored(term, time);
        self.shared.signal.raise();
        answers.send();
    }

    /// Refuses new proposals for `reason`, until [`accept`](Self::accept).
    pub fn refuse(&self, reason: UnavailableReason, message: impl Into<String>) {
        self.shared.ledger().refuse_proposals(reason, message.into());
    }

    /// Ends a refusal for `reason`.
    pub fn accept(&self, reason: UnavailableReason) {
        self.shared.ledger().accept_proposals(reason);
    }

    /// Refuses new proposals and resolves when none waits any more.
    pub async fn drain(&self) {
        let idle = {
            let mut ledger = self.shared.ledger();
            ledger.refuse_proposals(
                UnavailableReason::ShuttingDown,
                "this member is stopping; use another one".to_owned(),
            );
            ledger.when_idle()
        };
        let _ = idle.await;
    }

    /// Ends the proposer: what is in no log is answered as unavailable, the rest as unknown.
    pub fn close(&self, message: &str) {
        let answers = self.shared.ledger().close(message);
        self.shared.signal.raise();
        answers.send();
    }

    /// Counts since the start.
    pub fn stats(&self) -> ProposerStats {
        self.shared.ledger().stats()
    }
}

type Proposed = BoxFuture<'static, (u64, Result<(), ProposeError>)>;

enum LinkStage {
    Idle,
    Waiting { until: Monotonic },
    Opening { leader: MemberId, term: u64, link: BoxFuture<'static, Result<ForwardLink, Unavailable>> },
    Greeting { leader: MemberId, term: u64, link: ForwardLink, until: Monotonic },
    Open { leader: MemberId, term: u64, link: ForwardLink },
}

struct Driver<R, C, N> {
    shared: Arc<Shared>,
    origin: Origin,
    runtime: R,
    clock: Arc<C>,
    replication: N,
    leadership_changed: BoxFuture<'static, ()>,
    proposals: FuturesUnordered<Proposed>,
    timer: Option<(Monotonic, BoxFuture<'static, ()>)>,
    paused_until: Option<Monotonic>,
    link: LinkStage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Again,
    Wait,
}

impl<R: Runtime, C: Clock, N: Replication> Driver<R, C, N> {
    /// Ready when the proposer is closed.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let mut step = Step::Wait;
            while self.shared.signal.poll_raised(cx).is_ready() {}
            if self.leadership_changed.poll_unpin(cx).is_ready() {
                let leadership = self.replication.leadership();
                self.leadership_changed = self.replication.leadership_changed(leadership);
                let answers = self.shared.ledger().observe(leadership);
                answers.send();
                step = Step::Again;
            }
            if self.shared.ledger().is_closed() {
                return Poll::Ready(());
            }
            let now = self.runtime.now();
            let expired = self.shared.ledger().expire(now);
            expired.send();
            while let Poll::Ready(Some((id, result))) = self.proposals.poll_next_unpin(cx) {
                let mut answers = Answers::default();
                if self.shared.ledger().proposed(id, result, &mut answers) {
                    self.paused_until = Some(now.after(REFUSED_PAUSE));
                }
                answers.send();
            }
            if self.propose(now) == Step::Again
                || self.poll_link(cx, now) == Step::Again
                || self.poll_timer(cx, now) == Step::Again
            {
                step = Step::Again;
            }
            if step == Step::Wait {
                return Poll::Pending;
            }
        }
    }

    fn propose(&mut self, now: Monotonic) -> Step {
        if self.paused_until.is_some_and(|until| until > now) {
            return Step::Wait;
        }
        self.paused_until = None;
        let mut step = Step::Wait;
        loop {
            let entry = self.shared.ledger().next_entry(now, || self.clock.wall_ms());
            let Some(entry) = entry else { return step };
            let (id, proposed) = (entry.id, self.replication.propose(entry.term, entry.bytes));
            self.proposals.push(proposed.map(move |result| (id, result)).boxed());
            step = Step::Again;
        }
    }

    fn poll_link(&mut self, cx: &mut Context<'_>, now: Monotonic) -> Step {
        let leadership = self.shared.ledger().leadership();
        let target = leadership
            .leader
            .filter(|leader| leadership.role == Role::Follower && *leader != self.origin.member);
        let wanted = target.map(|leader| (leader, leadership.term));
        let present = match &self.link {
            LinkStage::Idle | LinkStage::Waiting { .. } => None,
            LinkStage::Opening { leader, term, .. }
            | LinkStage::Greeting { leader, term, .. }
            | LinkStage::Open { leader, term, .. } => Some((*leader, *term)),
        };
        if present.is_some() && present != wanted {
            self.link = LinkStage::Idle;
        }
        let (stage, step) = match std::mem::replace(&mut self.link, LinkStage::Idle) {
            LinkStage::Waiting { until } if until > now => (LinkStage::Waiting { until }, Step::Wait),
            LinkStage::Idle | LinkStage::Waiting { .. } => match wanted {
                Some((leader, term)) => {
                    (LinkStage::Opening { leader, term, link: self.replication.forward(leader) }, Step::Again)
                }
                None => (LinkStage::Idle, Step::Wait),
            },
            LinkStage::Opening { leader, term, mut link } => match link.poll_unpin(cx) {
                Poll::Pending => (LinkStage::Opening { leader, term, link }, Step::Wait),
                Poll::Ready(Ok(link)) => self.greet(leader, term, link, now),
                Poll::Ready(Err(error)) => {
                    tracing::debug!(%leader, term, %error, "no link to the leader");
                    (LinkStage::Waiting { until: now.after(LINK_PAUSE) }, Step::Again)
                }
            },
            LinkStage::Greeting { leader, term, mut link, until } => {
                match link.incoming.poll_next_unpin(cx) {
                    Poll::Pending if until > now => {
                        (LinkStage::Greeting { leader, term, link, until }, Step::Wait)
                    }
                    Poll::Ready(Some(frame)) if frame.len() <= FORWARD_FRAME_BYTES => match decode(&frame) {
                        Ok(ToFollower::Welcome { received }) => {
                            let answers = self.shared.ledger().welcomed(term, received);
                            answers.send();
                            (LinkStage::Open { leader, term, link }, Step::Again)
                        }
                        _ => (LinkStage::Waiting { until: now.after(LINK_PAUSE) }, Step::Again),
                    },
                    _ => (LinkStage::Waiting { until: now.after(LINK_PAUSE) }, Step::Again),
                }
            }
            LinkStage::Open { leader, term, link } => self.poll_open(cx, leader, term, link, now),
        };
        self.link = stage;
        step
    }

    fn greet(&self, leader: MemberId, term: u64, mut link: ForwardLink, now: Monotonic) -> (LinkStage, Step) {
        let hello =
            ToLeader::Hello { member: self.origin.member, incarnation: self.origin.incarnation, term };
        let stage = match link.outgoing.try_send(encode(&hello)) {
            Ok(()) => LinkStage::Greeting { leader, term, link, until: now.after(GREETING_TIMEOUT) },
            Err(_) => LinkStage::Waiting { until: now.after(LINK_PAUSE) },
        };
        (stage, Step::Again)
    }

    fn poll_open(
        &self,
        cx: &mut Context<'_>,
        leader: MemberId,
        term: u64,
        mut link: ForwardLink,
        now: Monotonic,
    ) -> (LinkStage, Step) {
        let broken = (LinkStage::Waiting { until: now.after(LINK_PAUSE) }, Step::Again);
        loop {
            match link.incoming.poll_next_unpin(cx) {
                Poll::Pending => break,
                Poll::Ready(Some(frame)) if frame.len() <= FORWARD_FRAME_BYTES => match decode(&frame) {
                    Ok(ToFollower::Dropped { commands }) => {
                        let answers = self.shared.ledger().dropped_by_leader(term, commands);
                        answers.send();
                    }
                    _ => return broken,
                },
                _ => return broken,
            }
        }
        loop {
            match link.outgoing.poll_ready(cx) {
                Poll::Pending => return (LinkStage::Open { leader, term, link }, Step::Wait),
                Poll::Ready(Err(_)) => return broken,
                Poll::Ready(Ok(())) => {}
            }
            let frame = self.shared.ledger().next_frame(term, now);
            let Some(frame) = frame else { return (LinkStage::Open { leader, term, link }, Step::Wait) };
            if link.outgoing.start_send(frame).is_err() {
                return broken;
            }
        }
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>, now: Monotonic) -> Step {
        let link = match &self.link {
            LinkStage::Waiting { until } | LinkStage::Greeting { until, .. } => Some(*until),
            _ => None,
        };
        let expiry = self.shared.ledger().next_expiry();
        let Some(next) = [link, expiry, self.paused_until].into_iter().flatten().min() else {
            self.timer = None;
            return Step::Wait;
        };
        if !matches!(&self.timer, Some((at, _)) if *at <= next) {
            self.timer = Some((next, self.runtime.sleep(next.since(now))));
        }
        let ready = self.timer.as_mut().is_some_and(|(_, sleep)| sleep.poll_unpin(cx).is_ready());
        if !ready {
            return Step::Wait;
        }
        self.timer = None;
        Step::Again
    }
}
