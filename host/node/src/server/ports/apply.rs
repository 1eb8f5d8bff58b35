//! The apply thread: the one place where committed entries change this member's state.
//!
//! It is a thread, because the store blocks and Wasm needs much time and a large stack. The
//! consensus hands it one batch at a time and waits; the executor of the service crate applies it.
use std::sync::{Arc, mpsc};

use synod_consensus::{Applier, CommittedEntry, CommittedPayload, EntryId};
use synod_machine::{Draft, Fatal, StateView};
use synod_service::ports::Store;
use synod_service::{Executor, MachineReplica};
use synod_storage::StateStore;
use synod_vm::WasmVm;
use tokio::sync::oneshot;

use super::recipes::Recipes;
use super::rows::Rows;
use crate::server::net::identity::Identity;

type View = <Rows as Store>::View;

/// The executor over the real store and the real recipes.
pub(crate) type NodeExecutor = Executor<Rows, MachineReplica<Recipes<WasmVm<Draft<View>>>>>;

/// Batches that wait for the thread: the consensus hands over one at a time.
const QUEUE_BATCHES: usize = 4;

enum Work {
    Apply(Vec<CommittedEntry>),
    Restored,
}

type Done = oneshot::Sender<Result<(), Fatal>>;

/// The handle of the apply thread. The thread ends when it is dropped.
pub(crate) struct ApplyThread {
    work: mpsc::SyncSender<(Work, Done)>,
    identity: Arc<Identity>,
}

impl ApplyThread {
    /// Starts the thread.
    ///
    /// # Errors
    /// The operating system cannot start a thread.
    pub(crate) fn start(
        mut executor: NodeExecutor,
        rows: Rows,
        identity: Arc<Identity>,
    ) -> std::io::Result<Self> {
        let (work, queue) = mpsc::sync_channel::<(Work, Done)>(QUEUE_BATCHES);
        synod_vm::spawn("synod-apply", move || {
            while let Ok((work, done)) = queue.recv() {
                let result = match work {
                    Work::Apply(entries) => {
                        entries.iter().try_for_each(|entry| apply(&mut executor, &rows, entry))
                    }
                    Work::Restored => restored(&mut executor, &rows),
                };
                let failed = result.is_err();
                let _ = done.send(result);
                if failed {
                    return;
                }
            }
        })?;
        Ok(Self { work, identity })
    }

    async fn run(&self, work: Work) -> Result<(), Fatal> {
        let (done, result) = oneshot::channel();
        let gone = || Fatal("the apply thread has ended".to_owned());
        self.work.try_send((work, done)).map_err(|error| match error {
            mpsc::TrySendError::Full(_) => {
                Fatal("more batches were handed to the apply thread than one at a time".to_owned())
            }
            mpsc::TrySendError::Disconnected(_) => gone(),
        })?;
        result.await.unwrap_or_else(|_| Err(gone()))
    }
}

fn apply(executor: &mut NodeExecutor, rows: &Rows, entry: &CommittedEntry) -> Result<(), Fatal> {
    let CommittedEntry { index, term, mark, payload } = entry;
    let commands = match payload {
        CommittedPayload::Command(bytes) => Some(&bytes[..]),
        CommittedPayload::Blank | CommittedPayload::Membership => None,
    };
    rows.tripwire.arm(*index)?;
    executor.apply(*index, *term, mark, commands)?;
    rows.tripwire.disarm()
}

fn restored(executor: &mut NodeExecutor, rows: &Rows) -> Result<(), Fatal> {
    let mark = rows.state.applied().map_err(|error| Fatal(error.to_string()))?;
    let entry = EntryId::of_mark(&mark).map_err(|error| Fatal(error.to_string()))?;
    let entry = entry.ok_or_else(|| Fatal("a snapshot without a position was installed".to_owned()))?;
    tracing::info!(index = entry.index, term = entry.term, "installed a snapshot");
    executor.restored(entry.index, entry.term)
}

impl Applier for ApplyThread {
    async fn apply(&self, entries: Vec<CommittedEntry>) -> Result<(), Fatal> {
        self.run(Work::Apply(entries)).await
    }

    fn verify(&self, rows: &impl StateView) -> Result<(), String> {
        let of_cluster = |cluster| synod_machine::verify_cluster(rows, cluster);
        let is_ours = self.identity.cluster().map_or(Ok(()), of_cluster);
        is_ours.and_then(|()| synod_machine::verify(rows)).map_err(|error| error.0)
    }

    async fn restored(&self) -> Result<(), Fatal> {
        self.run(Work::Restored).await
    }
}
