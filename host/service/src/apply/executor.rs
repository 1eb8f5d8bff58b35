//! Applies committed entries: machine, then store, then everyone who waits.
//!
//! It runs on one thread of its own, which the node gives it, because a store blocks and Wasm
//! computes. An entry's effects are written before anybody hears of them, and nobody reads them
//! before they are written.
use std::sync::Arc;

use synod_machine::directory::{self, Head};
use synod_machine::{Environment, Fatal, Machine, StateView, Vm, Workspace};

use super::logs::LogRing;
use crate::failure::UnavailableReason;
use crate::lead::retention::Retention;
use crate::parked::ParkedCalls;
use crate::ports::{Replica, Store, StoreError};
use crate::propose::Proposer;
use crate::read::{AppliedState, DigestRecord, DirectoryCache};
use crate::sessions::Sessions;
use crate::watch::Hub;

/// The real machine with something that runs its recipes.
#[derive(Debug)]
pub struct MachineReplica<V> {
    machine: Machine,
    environment: Environment,
    vm: V,
}

impl<V> MachineReplica<V> {
    /// The machine as of `view`, in a member whose execution environment is `environment`.
    ///
    /// # Errors
    /// [`Fatal`] if the rows cannot be read.
    pub fn load(view: &impl StateView, environment: Environment, vm: V) -> Result<Self, Fatal> {
        Ok(Self { machine: Machine::load(view, environment)?, environment, vm })
    }
}

impl<S: StateView, V: Vm<Workspace<S>> + Send + 'static> Replica<S> for MachineReplica<V> {
    fn apply(&mut self, view: S, index: u64, entry: &[u8]) -> Result<synod_machine::Applied, Fatal> {
        self.machine.apply(view, &mut self.vm, index, entry)
    }

    fn reload(&mut self, view: &S) -> Result<(), Fatal> {
        self.machine = Machine::load(view, self.environment)?;
        Ok(())
    }

    fn modules_changed(&mut self, view: &S) -> Result<(), Fatal> {
        self.vm.retain(&directory::installed(view)?);
        Ok(())
    }

    fn head(&self) -> &Head {
        self.machine.head()
    }
}

/// What a committed entry holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// Nothing that the machine sees: the first entry of a term, or a membership.
    Blank,
    /// An encoded `synod_machine::Entry`.
    Entry(Arc<[u8]>),
}

/// A committed entry.
#[derive(Clone, Debug)]
pub struct Committed<M> {
    /// Its index.
    pub index: u64,
    /// Its term.
    pub term: u64,
    /// What is written with its rows.
    pub mark: M,
    /// What it holds.
    pub payload: Payload,
}

/// Who hears of what was applied.
#[derive(Clone, Debug)]
pub(crate) struct Listeners {
    pub(crate) proposer: Proposer,
    pub(crate) directory: DirectoryCache,
    pub(crate) applied: AppliedState,
    pub(crate) logs: LogRing,
    pub(crate) sessions: Sessions,
    pub(crate) parked: ParkedCalls,
    pub(crate) retention: Retention,
    pub(crate) watches: Hub,
}

/// Applies committed entries, in order, on one thread.
#[derive(Debug)]
pub struct Executor<S, R> {
    store: S,
    replica: R,
    listeners: Listeners,
    digest: DigestRecord,
}

impl<S: Store, R: Replica<S::View>> Executor<S, R> {
    pub(crate) fn new(store: S, replica: R, index: u64, listeners: Listeners) -> Result<Self, Fatal> {
        let mut executor = Self { store, replica, listeners, digest: DigestRecord::default() };
        executor.take_up(index, None)?;
        Ok(executor)
    }

    /// What is known of the applied state.
    pub fn applied(&self) -> &AppliedState {
        &self.listeners.applied
    }

    /// Applies entries that follow the last applied one.
    ///
    /// # Errors
    /// [`Fatal`]: this member stops.
    pub fn apply(&mut self, entries: Vec<Committed<S::Mark>>) -> Result<(), Fatal> {
        entries.into_iter().try_for_each(|entry| self.apply_one(entry))
    }

    /// Whoever waits for the index finds everything else in place; events are published and
    /// completions told before the outcomes of their entry.
    fn apply_one(&mut self, entry: Committed<S::Mark>) -> Result<(), Fatal> {
        let Committed { index, term, mark, payload } = entry;
        let Listeners { proposer, directory, applied: state, logs, sessions, parked, retention, watches } =
            &self.listeners;
        let Payload::Entry(bytes) = payload else {
            self.store.wait_written(index)?;
            self.commit(&[], &mark)?;
            self.digest.index = index;
            state.record(self.digest, self.replica.head().time);
            sessions.applied(term, &[], None);
            retention.applied(term, &[]);
            state.publish(index, self.replica.head().revision);
            proposer.applied(term, Vec::new());
            return Ok(());
        };
        let applied = self.replica.apply(self.store.latest()?, index, &bytes)?;
        let modules_changed = directory::change_modules(&applied.writes);
        self.store.wait_written(index)?;
        self.commit(&applied.writes, &mark)?;
        if applied.directory_changed {
            directory.invalidate();
        }
        self.digest = DigestRecord { index, chain: applied.chain, state: applied.state };
        let head = self.replica.head();
        state.record(self.digest, head.time);
        logs.extend(head.time, applied.logs);
        state.count(applied.outcomes.len());
        sessions.applied(term, &applied.sessions, Some(applied.next_timer));
        retention.applied(term, &applied.event_logs);
        watches.applied(head.revision, head.time, applied.events, &applied.event_logs);
        state.publish(index, head.revision);
        parked.complete(applied.completions);
        proposer.applied(term, applied.outcomes);
        if modules_changed {
            self.replica.modules_changed(&self.store.latest()?)?;
        }
        Ok(())
    }

    fn commit(&self, writes: &[synod_machine::Write], mark: &S::Mark) -> Result<(), Fatal> {
        loop {
            match self.store.commit(writes, mark) {
                Ok(()) => return Ok(()),
                Err(StoreError::Fatal(fatal)) => return Err(fatal),
                Err(StoreError::Full(message)) => {
                    tracing::error!(message, "the disk is full: no command is accepted until there is space");
                    self.listeners.proposer.refuse(UnavailableReason::DiskFull, message);
                    self.store.wait_for_space()?;
                    self.listeners.proposer.accept(UnavailableReason::DiskFull);
                }
            }
        }
    }

    /// To be called when a snapshot was installed whose last entry is the one at `index`, of
    /// `term`.
    ///
    /// # Errors
    /// [`Fatal`]: this member stops.
    pub fn restored(&mut self, index: u64, term: u64) -> Result<(), Fatal> {
        let view = self.store.view()?;
        self.replica.reload(&view)?;
        self.take_up(index, Some(term))?;
        self.listeners.parked.restored(&view)?;
        self.listeners.proposer.restored(term, self.replica.head().time);
        Ok(())
    }

    fn take_up(&mut self, index: u64, term: Option<u64>) -> Result<(), Fatal> {
        let Listeners { directory, applied, sessions, retention, watches, .. } = &self.listeners;
        let view = self.store.latest()?;
        directory.invalidate();
        self.replica.modules_changed(&view)?;
        sessions.reload(&view, term)?;
        retention.reload(&view, term)?;
        let head = self.replica.head();
        watches.restored(head.revision, head.time);
        self.digest = DigestRecord { index, chain: head.chain, state: head.state_digest() };
        applied.record(self.digest, head.time);
        applied.publish(index, head.revision);
        Ok(())
    }
}
