//! The read path: a read index, this member's apply up to it, then a view.
//!
//! One read index is asked for at a time; every read that arrives meanwhile shares the next one. A
//! read must not share one that was asked for before it arrived: a write acknowledged in between
//! would be missed. When the leader changes, the new one is asked.
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use futures::channel::oneshot;
use futures::future::{self, Either};

use synod_planted::{Bug, is_planted};

use crate::availability::{Availability, Standing};
use crate::failure::{CallFailure, Reason, Rejected, UnavailableReason};
use crate::ports::{Monotonic, Replication, Runtime, Unavailable};
use crate::progress::lock;
use crate::read::AppliedState;

/// Most reads that wait for a read index.
pub const WAITING_READS: usize = 65_536;

type IndexReply = oneshot::Sender<Result<u64, Unavailable>>;

#[derive(Debug, Default)]
struct State {
    asking: bool,
    waiting: Vec<IndexReply>,
}

/// How fresh a read is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Consistency {
    /// It sees every write acknowledged before it was sent, by any member.
    #[default]
    Linearizable,
    /// It sees what this member has applied.
    Serializable,
}

/// What a [`probe`](Reader::probe) found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Probed {
    /// No majority confirmed a leader in time.
    Unconfirmed,
    /// A majority did; this member had not applied all of what that confirmed in time.
    Confirmed,
    /// A majority did, and this member has applied it.
    UpToDate,
}

/// Waits until this member may serve a read. Clones share it.
#[derive(Clone, Debug)]
pub struct Reader<R, N> {
    runtime: R,
    replication: N,
    applied: AppliedState,
    standing: Standing,
    state: Arc<Mutex<State>>,
}

impl<R: Runtime, N: Replication> Reader<R, N> {
    /// A reader of what `applied` publishes.
    pub(crate) fn new(runtime: R, replication: N, applied: AppliedState, standing: Standing) -> Self {
        Self { runtime, replication, applied, standing, state: Arc::default() }
    }

    /// Finds out whether a majority confirms the leader, and whether this member has applied all
    /// that was committed before, each in its time. Asks whatever its availability is.
    pub(crate) async fn probe(&self, confirm: Duration, apply: Duration) -> Probed {
        let deadline = self.runtime.now().after(confirm);
        let Ok(Ok(index)) = self.by(deadline, self.read_index()).await else { return Probed::Unconfirmed };
        let deadline = self.runtime.now().after(apply);
        match self.by(deadline, self.applied.index.reach(index)).await {
            Ok(()) => Probed::UpToDate,
            Err(_) => Probed::Confirmed,
        }
    }

    /// Resolves with what is committed, once a majority has confirmed the leader after this was
    /// asked: an index that this member need not have applied. Asks whatever its availability is.
    ///
    /// # Errors
    /// Unavailable if that is not known by `deadline`.
    pub(crate) async fn confirmed(&self, deadline: Monotonic) -> Result<u64, CallFailure> {
        self.by(deadline, self.read_index()).await?
    }

    /// Whether this member has applied everything up to `index`.
    pub(crate) fn has_applied(&self, index: u64) -> bool {
        self.applied.index.get() >= index
    }

    /// Resolves when a view of this member is fresh enough.
    ///
    /// # Errors
    /// Unavailable if that is not known by `deadline`; rejected if `at_least_revision` is one that
    /// the cluster has not reached.
    pub async fn ready(
        &self,
        consistency: Consistency,
        at_least_revision: u64,
        deadline: Monotonic,
    ) -> Result<(), CallFailure> {
        self.by(deadline, self.fresh(consistency, at_least_revision)).await?
    }

    /// The same, however long it takes; it ends when this member begins to refuse reads, since what
    /// it waits for may then never come.
    pub(crate) async fn fresh(
        &self,
        consistency: Consistency,
        at_least_revision: u64,
    ) -> Result<(), CallFailure> {
        let is_linearizable = consistency == Consistency::Linearizable;
        if let Some(problem) = self.standing.get().refuses_reads().filter(|_| is_linearizable) {
            return Err(problem.into());
        }
        if self.applied.index.get() == 0 {
            let message = "this member has no state yet; use another one";
            return Err(CallFailure::unavailable(UnavailableReason::NotReady, message));
        }
        if is_linearizable {
            self.while_it_serves(self.up_to_date(at_least_revision)).await
        } else if self.applied.revision.get() < at_least_revision && !is_planted(Bug::RevisionNotAwaited) {
            self.while_it_serves(self.catch_up(at_least_revision)).await
        } else {
            Ok(())
        }
    }

    async fn while_it_serves(
        &self,
        work: impl Future<Output = Result<(), CallFailure>>,
    ) -> Result<(), CallFailure> {
        let refused = self.standing.until(Availability::refuses_reads);
        match future::select(pin!(work), pin!(refused)).await {
            Either::Left((done, _)) => done,
            Either::Right((problem, _)) => Err(problem.into()),
        }
    }

    async fn up_to_date(&self, revision: u64) -> Result<(), CallFailure> {
        let index = self.read_index().await?;
        if !is_planted(Bug::ReadBeforeApply) {
            self.applied.index.reach(index).await;
        }
        if self.applied.revision.get() < revision { Err(self.not_reached(revision)) } else { Ok(()) }
    }

    /// A serializable read that asks for a revision waits for it, unless a read index shows that
    /// the cluster has not reached it.
    async fn catch_up(&self, revision: u64) -> Result<(), CallFailure> {
        let up_to_date = self.up_to_date(revision);
        match future::select(self.applied.revision.reach(revision), up_to_date.boxed()).await {
            Either::Left(((), _)) | Either::Right((Ok(()), _)) => Ok(()),
            Either::Right((Err(CallFailure::Unavailable { .. }), reached)) => {
                reached.await;
                Ok(())
            }
            Either::Right((Err(error), _)) => Err(error),
        }
    }

    fn not_reached(&self, revision: u64) -> CallFailure {
        let present = self.applied.revision.get();
        let message = format!(
            "revision {revision} was asked for, but the cluster is at revision {present}; was it taken from \
                another cluster?"
        );
        Rejected::new(Reason::RevisionNotReached, message).into()
    }

    async fn read_index(&self) -> Result<u64, CallFailure> {
        let (reply, index) = oneshot::channel();
        let ask = {
            let mut state = lock(&self.state);
            if state.waiting.len() >= WAITING_READS {
                let message = format!(
                    "{WAITING_READS} reads wait on this member, which is its limit; \
                        try again later or on another member"
                );
                return Err(CallFailure::unavailable(UnavailableReason::Busy, message));
            }
            state.waiting.push(reply);
            !std::mem::replace(&mut state.asking, true)
        };
        if ask {
            self.runtime.spawn(ask_until_none_waits(self.replication.clone(), self.state.clone()).boxed());
        }
        let unavailable = |message: String| CallFailure::unavailable(UnavailableReason::NoLeader, message);
        match index.await {
            Ok(Ok(index)) => Ok(index),
            Ok(Err(Unavailable(message))) => Err(unavailable(message)),
            Err(_) => Err(unavailable("this member is stopping; use another one".to_owned())),
        }
    }

    /// Awaits `work` until `deadline`.
    pub(crate) async fn by<T>(
        &self,
        deadline: Monotonic,
        work: impl Future<Output = T>,
    ) -> Result<T, CallFailure> {
        let left = deadline.since(self.runtime.now());
        let late = || {
            CallFailure::unavailable(
                UnavailableReason::Deadline,
                "the deadline passed before this member was up to date",
            )
        };
        if left == Duration::ZERO {
            return Err(late());
        }
        match future::select(std::pin::pin!(work), self.runtime.sleep(left)).await {
            Either::Left((done, _)) => Ok(done),
            Either::Right(_) => Err(late()),
        }
    }
}

async fn ask_until_none_waits<N: Replication>(replication: N, state: Arc<Mutex<State>>) {
    loop {
        let waiting = {
            let mut state = lock(&state);
            state.waiting.retain(|reply| !reply.is_canceled());
            if state.waiting.is_empty() {
                state.asking = false;
                return;
            }
            std::mem::take(&mut state.waiting)
        };
        let seen = replication.leadership();
        match future::select(replication.read_index(), replication.leadership_changed(seen)).await {
            Either::Left((index, _)) => {
                let late =
                    is_planted(Bug::ReadIndexShared).then(|| std::mem::take(&mut lock(&state).waiting));
                for reply in waiting.into_iter().chain(late.into_iter().flatten()) {
                    let _ = reply.send(index.clone());
                }
            }
            Either::Right(((), _)) => lock(&state).waiting.extend(waiting),
        }
    }
}
