//! The proposer of a member, as its callers have it: they propose and wait for the outcome.
//!
//! No timer and no lingering: while entries are in flight, commands gather, and the next entry
//! takes all of them. So batches grow with the load, across members. What the proposer knows is in
//! the [`ledger`](super::ledger); the [`driver`](super::driver) does what it decides.
use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use futures::FutureExt;
use futures::channel::oneshot;
use futures::future::BoxFuture;
use synod_abi::{MemberId, SessionId};
use synod_machine::{Action, Caller, CommandOutcome, Origin, Principal};

use super::delivery::{Delivered, DeliveryResult, Room};
use super::driver::Driver;
use super::ledger::Ledger;
use super::limits::{ProposerLimits, ProposerStats};
use super::packing::Packed;
use crate::availability::Standing;
use crate::failure::{ProposalError, ProposalResult};
use crate::lead::{Observer, Propose};
use crate::ports::{Monotonic, Replication, Runtime};
use crate::progress::{Signal, lock};

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
    observer: Observer,
    standing: Standing,
    origin: Origin,
    sequence: Arc<AtomicU64>,
}

impl Proposer {
    /// Starts the proposer of `member`; `incarnation` is another one for each start of it.
    pub(crate) fn start<R: Runtime, N: Replication>(
        (member, incarnation): (MemberId, u64),
        limits: ProposerLimits,
        runtime: &R,
        replication: N,
        (observer, standing): (Observer, Standing),
    ) -> Self {
        let origin = Origin { member, incarnation, sequence: 0 };
        let mut ledger = Ledger::new(origin, limits, observer.applied_term());
        ledger.observe(observer.leadership()).send();
        let shared = Arc::new(Shared { ledger: Mutex::new(ledger), signal: Signal::default() });
        let sources = (observer.clone(), standing.clone());
        Driver::start(shared.clone(), origin, runtime, replication, sources);
        Self { shared, observer, standing, origin, sequence: Arc::new(AtomicU64::new(0)) }
    }

    /// Proposes; resolves with the command's outcome, as this member's own apply knows it. The
    /// client waits until `deadline`.
    ///
    /// # Errors
    /// [`ProposalError`] distinguishes surely not applied from unknown.
    pub async fn propose(
        &self,
        action: &Action,
        caller: Caller,
        deadline: Monotonic,
        now: Monotonic,
    ) -> ProposalResult {
        let delivered = self.propose_for(None, action, caller, deadline, now).await;
        delivered.map(Delivered::into_outcome)
    }

    /// The same for a client whose outcomes take `room`.
    pub(crate) async fn propose_for(
        &self,
        room: Room,
        action: &Action,
        caller: Caller,
        deadline: Monotonic,
        now: Monotonic,
    ) -> DeliveryResult {
        let packed = Packed::new(self.next_origin(), caller, action);
        let outcome = self.shared.ledger().submit(packed, room, deadline, now)?;
        self.outcome(outcome).await
    }

    fn next_origin(&self) -> Origin {
        Origin { sequence: self.sequence.fetch_add(1, Ordering::Relaxed) + 1, ..self.origin }
    }

    async fn outcome(&self, outcome: oneshot::Receiver<DeliveryResult>) -> DeliveryResult {
        self.shared.signal.raise();
        outcome.await.unwrap_or_else(|_| {
            Err(ProposalError::OutcomeUnknown(
                "this member stopped while the command may have been in the log".to_owned(),
            ))
        })
    }

    /// Call once per entry, in log order, after its writes are visible to readers; `outcomes` is
    /// empty for an entry without commands.
    pub(crate) fn applied(&self, term: u64, outcomes: Vec<CommandOutcome>) {
        let answers = self.shared.ledger().applied(term, outcomes);
        self.shared.signal.raise();
        answers.send();
    }

    /// Call when a snapshot was installed that ends with an entry of `term`.
    pub(crate) fn restored(&self, term: u64) {
        let answers = self.shared.ledger().restored(term);
        self.shared.signal.raise();
        answers.send();
    }

    /// Those of `sessions` whose end this leader has packed, and which is not settled.
    pub(crate) fn unsettled_ends(&self, sessions: &[SessionId]) -> HashSet<SessionId> {
        self.shared.ledger().unsettled_ends(sessions)
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Resolves when no proposal waits any more. The member is stopping, so no new ones come.
    pub(crate) async fn drain(&self) {
        let (given_back, idle) = {
            let mut ledger = self.shared.ledger();
            (ledger.set_availability(self.standing.get()), ledger.when_idle())
        };
        given_back.send();
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

impl Propose for Proposer {
    fn propose_as_leader(
        &self,
        term: u64,
        action: Action,
        deadline: Monotonic,
    ) -> BoxFuture<'static, ProposalResult> {
        let proposer = self.clone();
        async move {
            let caller = Caller { principal: Principal::System, session: None };
            let packed = Packed::new(proposer.next_origin(), caller, &action);
            let observed = proposer.shared.ledger().observe(proposer.observer.leadership());
            observed.send();
            let outcome = proposer.shared.ledger().submit_as_leader(term, packed, deadline)?;
            proposer.outcome(outcome).await.map(Delivered::into_outcome)
        }
        .boxed()
    }
}
