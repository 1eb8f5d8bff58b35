//! openraft's own suite for storage, over our adaptors and each store.
use std::io;
use std::sync::Arc;

use futures::stream;
use openraft::StorageError;
use openraft::storage::{RaftLogReader, RaftLogStorage, RaftLogStorageExt, RaftStateMachine};
use openraft::testing::log::{StoreBuilder, Suite};
use openraft::type_config::TypeConfigExt;
use openraft::vote::leader_id_std::CommittedLeaderId;
use synod_storage::LogStore;

use super::cluster::{Rows, eventually};
use super::disk::{Disk, InMemory, OnDisk};
use crate::log::Log;
use crate::retention::Meter;
use crate::settings::Blocking;
use crate::snapshot::SnapshotSource;
use crate::state_machine::StateMachine;
use crate::types::{Entry, EntryPayload, LogId, Types};
use crate::{Settings, TokioRuntime};

struct Builder<D>(std::marker::PhantomData<D>);

type Adaptors<D> = (
    Log<TokioRuntime, <D as Disk>::Log>,
    StateMachine<TokioRuntime, <D as Disk>::State, Rows<<D as Disk>::State>>,
);

impl<D: Disk>
    StoreBuilder<
        Types<TokioRuntime>,
        Log<TokioRuntime, D::Log>,
        StateMachine<TokioRuntime, D::State, Rows<D::State>>,
        D,
    > for Builder<D>
{
    async fn build(
        &self,
    ) -> Result<
        (D, Log<TokioRuntime, D::Log>, StateMachine<TokioRuntime, D::State, Rows<D::State>>),
        StorageError<Types<TokioRuntime>>,
    > {
        let disk = D::blank();
        let (log, machine) = adaptors(&disk)
            .await
            .map_err(|error| StorageError::read(Types::<TokioRuntime>::err_from_error(&error)))?;
        Ok((disk, log, machine))
    }
}

async fn adaptors<D: Disk>(disk: &D) -> io::Result<Adaptors<D>> {
    let (log, state) = disk.open().await;
    adaptors_of::<D>(log, state)
}

fn adaptors_of<D: Disk>(log: D::Log, state: D::State) -> io::Result<Adaptors<D>> {
    let source = SnapshotSource::new(state.clone(), Blocking::Threads)?;
    let meter = Arc::new(Meter::new(&Settings::default()));
    Ok((
        Log::new(log, meter, Blocking::Threads),
        StateMachine::new(state.clone(), Arc::new(Rows::new(state)), Arc::new(source)),
    ))
}

#[tokio::test]
async fn the_memory_store_passes_the_suite() {
    Suite::test_all(Builder::<InMemory>(std::marker::PhantomData)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rocksdb_store_passes_the_suite() {
    Suite::test_all(Builder::<OnDisk>(std::marker::PhantomData)).await.unwrap();
}

/// A follower would append what follows on purged entries in the place of these.
async fn gives_nothing_in_the_place_of_purged_entries<D: Disk>() {
    let disk = D::blank();
    let (store, state) = disk.open().await;
    let (mut log, mut machine) = adaptors_of::<D>(store.clone(), state).unwrap();
    let id = |index| LogId::new(CommittedLeaderId::new(1), index);
    let entries: Vec<_> =
        (0..10).map(|index| Entry { log_id: id(index), payload: EntryPayload::Blank }).collect();
    log.blocking_append(entries.clone()).await.unwrap();
    machine.apply(stream::iter(entries.into_iter().map(|entry| Ok((entry, None))))).await.unwrap();
    log.purge(id(4)).await.unwrap();
    let is_purged = || store.read(0..1, usize::MAX).unwrap().is_empty().then_some(());
    eventually("the entries are purged", is_purged).await;
    let first = async |log: &mut Log<TokioRuntime, D::Log>, start| {
        let entries = log.limited_get_log_entries(start, 10).await.unwrap();
        entries.first().map(|entry| entry.log_id.index)
    };
    assert_eq!(first(&mut log, 3).await, None);
    assert_eq!(first(&mut log, 4).await, None);
    assert_eq!(first(&mut log, 5).await, Some(5));
}

#[tokio::test]
async fn the_memory_store_gives_nothing_in_the_place_of_purged_entries() {
    gives_nothing_in_the_place_of_purged_entries::<InMemory>().await;
}

#[tokio::test]
async fn the_store_on_disk_gives_nothing_in_the_place_of_purged_entries() {
    gives_nothing_in_the_place_of_purged_entries::<OnDisk>().await;
}
