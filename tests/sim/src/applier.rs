//! What applies committed entries: the real executor, machine and engine, where the task stands.
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use synod_abi::{ClusterId, MemberId};
use synod_consensus::{Applier, CommittedEntry, CommittedPayload, EntryId};
use synod_machine::{Draft, Fatal, StateView};
use synod_service::ports::Store;
use synod_service::{Executor, MachineReplica};
use synod_storage::{AppliedMark, MemoryStore, StateStore};
use synod_world::{Dice, Process};

use crate::engines::SimVm;
use crate::observe::{Applied, Observer};
use crate::ports::Rows;

/// The executor over the store in memory.
pub type SimExecutor = Executor<Rows, MachineReplica<SimVm<Draft<<Rows as Store>::View>>>>;

/// See the module.
pub struct SimApplier {
    /// Whose.
    pub me: MemberId,
    /// Its process.
    pub process: Process,
    /// Its state.
    pub state: MemoryStore,
    /// Which cluster it belongs to.
    pub cluster: ClusterId,
    /// Who is told what was applied.
    pub observer: Observer,
    executor: Arc<Mutex<SimExecutor>>,
    pace: Arc<Pace>,
}

/// How long applying takes.
pub struct Pace {
    dice: Mutex<Dice>,
    /// At most, for one batch.
    most: Mutex<Duration>,
}

impl Pace {
    /// At most `most` for one batch.
    pub fn new(dice: Dice, most: Duration) -> Arc<Self> {
        Arc::new(Self { dice: Mutex::new(dice), most: Mutex::new(most) })
    }

    /// Sets how long a batch takes at most.
    pub fn set(&self, most: Duration) {
        *self.most.lock().unwrap_or_else(PoisonError::into_inner) = most;
    }

    fn draw(&self) -> Duration {
        let most = *self.most.lock().unwrap_or_else(PoisonError::into_inner);
        self.dice.lock().unwrap_or_else(PoisonError::into_inner).duration(Duration::ZERO, most)
    }
}

impl SimApplier {
    /// Applies with `executor`, as fast as `pace` says.
    pub fn new(
        (me, process): (MemberId, Process),
        (state, executor): (MemoryStore, SimExecutor),
        cluster: ClusterId,
        observer: Observer,
        pace: Arc<Pace>,
    ) -> Self {
        Self { me, process, state, cluster, observer, executor: Arc::new(Mutex::new(executor)), pace }
    }

    fn run<T>(&self, work: impl FnOnce(&mut SimExecutor) -> T) -> T {
        work(&mut self.executor.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn apply_one(&self, entry: &CommittedEntry) -> Result<(), Fatal> {
        let CommittedEntry { index, term, mark, payload } = entry;
        let commands = match payload {
            CommittedPayload::Command(bytes) => Some(&bytes[..]),
            CommittedPayload::Blank | CommittedPayload::Membership => None,
        };
        let digest = self.run(|executor| {
            executor.apply(*index, *term, mark, commands)?;
            Ok::<_, Fatal>(executor.applied().digest())
        })?;
        let at = self.process.world().elapsed();
        let entry = commands.map(<[u8]>::to_vec);
        let applied = Applied { index: *index, term: *term, entry, digest, at };
        self.observer.applied(self.me, applied);
        Ok(())
    }
}

impl Applier for SimApplier {
    async fn apply(&self, entries: Vec<CommittedEntry>) -> Result<(), Fatal> {
        self.process.sleep(self.pace.draw()).await;
        entries.iter().try_for_each(|entry| self.apply_one(entry))
    }

    fn verify(&self, rows: &impl StateView) -> Result<(), String> {
        let verified = synod_machine::verify_cluster(rows, self.cluster);
        verified.and_then(|()| synod_machine::verify(rows)).map_err(|error| error.0)
    }

    async fn restored(&self) -> Result<(), Fatal> {
        let mark: AppliedMark = self.state.applied().map_err(|error| Fatal(error.to_string()))?;
        let entry = EntryId::of_mark(&mark).map_err(|error| Fatal(error.to_string()))?;
        let entry = entry.ok_or_else(|| Fatal("a snapshot without a position was installed".to_owned()))?;
        let digest = self.run(|executor| {
            executor.restored(entry.index, entry.term)?;
            Ok::<_, Fatal>(executor.applied().digest())
        })?;
        self.observer.restored(self.me, entry.index, digest);
        Ok(())
    }
}
