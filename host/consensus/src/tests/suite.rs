//! openraft's own suite for storage, over our adaptors and each store.
use std::io;
use std::sync::Arc;

use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};
use openraft::type_config::TypeConfigExt;

use super::cluster::Rows;
use super::disk::{Disk, InMemory, OnDisk};
use crate::log::Log;
use crate::retention::Meter;
use crate::settings::Blocking;
use crate::snapshot::SnapshotSource;
use crate::state_machine::StateMachine;
use crate::types::Types;
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
