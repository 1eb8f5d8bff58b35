//! Applies committed entries: machine, then store, then everyone who waits.
//!
//! It runs on one thread of its own, which the node gives it, because a store blocks and Wasm
//! computes. An entry's effects are written before anyone can learn of them, and nobody reads them
//! before they are written.
use synod_machine::directory::{self, Head};
use synod_machine::{Applied, DigestRecord, Draft, Environment, Fatal, Machine, StateView, Vm, Write};
use synod_planted::{Bug, happens, is_planted};

use super::publish::Listeners;
use crate::ports::{Replica, Store, StoreError};
use crate::read::AppliedState;

/// The real machine with something that runs its recipes.
#[derive(Debug)]
pub struct MachineReplica<V> {
    machine: Machine,
    supported: Vec<Environment>,
    vm: V,
}

impl<V> MachineReplica<V> {
    /// The machine as of `view`, in a member whose binary supports these execution environments.
    ///
    /// # Errors
    /// [`Fatal`] if the rows cannot be read, or are of another environment.
    pub fn load(view: &impl StateView, supported: &[Environment], vm: V) -> Result<Self, Fatal> {
        Ok(Self { machine: Machine::load(view, supported)?, supported: supported.to_vec(), vm })
    }
}

impl<S: StateView, V: Vm<Draft<S>> + Send + 'static> Replica<S> for MachineReplica<V> {
    fn apply(&mut self, view: S, index: u64, entry: &[u8]) -> Result<Applied, Fatal> {
        self.machine.apply(view, &mut self.vm, index, entry)
    }

    fn reload(&mut self, view: &S) -> Result<(), Fatal> {
        self.machine = Machine::load(view, &self.supported)?;
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
        executor.load(index, executor.listeners.observer.applied_term())?;
        Ok(executor)
    }

    /// What is known of the applied state.
    pub fn applied(&self) -> &AppliedState {
        &self.listeners.applied
    }

    /// Applies the committed entry at `index`, which follows the last applied one. `mark` is
    /// written with its rows; `entry` is an encoded `synod_machine::Entry`, absent if the machine
    /// does not see it: the first entry of a term, or a membership.
    ///
    /// # Errors
    /// [`Fatal`]: this member stops.
    pub fn apply(
        &mut self,
        index: u64,
        term: u64,
        mark: &S::Mark,
        entry: Option<&[u8]>,
    ) -> Result<(), Fatal> {
        let effects = match entry {
            None => None,
            Some(entry) => Some(self.replica.apply(self.store.latest()?, index, entry)?),
        };
        let writes = effects.as_ref().map_or(&[][..], |effects| &effects.writes);
        let modules_changed = directory::change_modules(writes);
        self.commit(writes, mark)?;
        self.digest.index = index;
        if let Some(Applied { chain, state, .. }) = effects {
            self.digest = DigestRecord { index, chain, state };
        }
        self.listeners.publish(term, self.digest, self.replica.head(), effects);
        if modules_changed {
            self.replica.modules_changed(&self.store.latest()?)?;
        }
        Ok(())
    }

    /// Writes an entry, waiting for space on the disk if there is none.
    fn commit(&self, writes: &[Write], mark: &S::Mark) -> Result<(), Fatal> {
        let standing = &self.listeners.standing;
        let lost = usize::from(writes.len() > 1 && happens(Bug::RowNotWritten, 100));
        let writes = &writes[lost..];
        loop {
            match self.store.commit(writes, mark) {
                Ok(()) => return Ok(()),
                Err(StoreError::Fatal(fatal)) => return Err(fatal),
                Err(StoreError::Full(message)) => {
                    tracing::error!(message, "nothing is applied until there is space on the disk");
                    standing.note(|observed| observed.apply_waits_for_space = true);
                    self.store.wait_for_space()?;
                    standing.note(|observed| observed.apply_waits_for_space = false);
                }
            }
        }
    }

    /// Call when a snapshot was installed whose last entry is the one at `index`, of `term`.
    ///
    /// # Errors
    /// [`Fatal`]: this member stops.
    pub fn restored(&mut self, index: u64, term: u64) -> Result<(), Fatal> {
        let view = self.store.view()?;
        if !is_planted(Bug::SnapshotNotLoaded) {
            self.replica.reload(&view)?;
        }
        self.load(index, term)?;
        self.listeners.restored(term, &view)
    }

    /// Reads what is kept in memory of the state after the entry at `index`, of `term`.
    fn load(&mut self, index: u64, term: u64) -> Result<(), Fatal> {
        let view = self.store.latest()?;
        self.replica.modules_changed(&view)?;
        let head = self.replica.head();
        self.digest = DigestRecord { index, chain: head.chain, state: head.state_digest() };
        self.listeners.load(term, self.digest, head, &view)
    }
}
