//! The proposer's task: gives entries to the log while this member leads, keeps the link to the
//! leader while it follows, and looks at deadlines.
//!
//! What is proposed or forwarded is decided by the [`ledger`](super::ledger); here are only the
//! futures.
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use synod_abi::{MemberId, decode, encode};
use synod_machine::Origin;

use super::forward::{FORWARD_FRAME_BYTES, ToFollower, ToLeader};
use super::proposer::Shared;
use super::waiters::Answers;
use crate::availability::Standing;
use crate::lead::{Observer, REFUSED_PAUSE};
use crate::ports::{ForwardLink, Monotonic, ProposeError, Replication, Role, Runtime, Unavailable};

/// How long a follower waits after a link to the leader failed.
const LINK_PAUSE: Duration = Duration::from_millis(25);
/// How long a follower waits for the leader's greeting.
const GREETING_TIMEOUT: Duration = Duration::from_secs(2);

type Proposed = BoxFuture<'static, (u64, Result<(), ProposeError>)>;

enum LinkStage {
    Idle,
    Waiting { until: Monotonic },
    Opening { leader: MemberId, term: u64, link: BoxFuture<'static, Result<ForwardLink, Unavailable>> },
    Greeting { leader: MemberId, term: u64, link: ForwardLink, until: Monotonic },
    Open { leader: MemberId, term: u64, link: ForwardLink },
}

/// See the module.
pub(super) struct Driver<R, N> {
    shared: Arc<Shared>,
    origin: Origin,
    runtime: R,
    observer: Observer,
    standing: Standing,
    replication: N,
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

impl<R: Runtime, N: Replication> Driver<R, N> {
    /// Starts the task, which ends when the proposer is closed.
    pub(super) fn start(
        shared: Arc<Shared>,
        origin: Origin,
        runtime: &R,
        replication: N,
        (observer, standing): (Observer, Standing),
    ) {
        observer.follow(shared.signal.clone());
        standing.follow(shared.signal.clone());
        let mut driver = Self {
            shared,
            origin,
            runtime: runtime.clone(),
            observer,
            standing,
            replication,
            proposals: FuturesUnordered::new(),
            timer: None,
            paused_until: None,
            link: LinkStage::Idle,
        };
        runtime.spawn(async move { poll_fn(|cx| driver.poll(cx)).await }.boxed());
    }

    /// Ready when the proposer is closed.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let mut step = Step::Wait;
            while self.shared.signal.poll_raised(cx).is_ready() {}
            let observed = self.shared.ledger().observe(self.observer.leadership());
            observed.send();
            let given_back = self.shared.ledger().set_availability(self.standing.get());
            given_back.send();
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
            let stamp = |term| self.observer.stamp(term, now);
            let entry = self.shared.ledger().next_entry(stamp);
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
        let stage = match link.outgoing.try_send(encode(&hello).into()) {
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
