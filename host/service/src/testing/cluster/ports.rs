//! The store, the queries and the compilation of the tests' members.
use std::sync::{Arc, Mutex};

use futures::FutureExt;
use futures::future::BoxFuture;
use synod_abi::{AdmissionError, ModuleHash, SpaceName};
use synod_machine::{Admitted, Answer, Fatal, MemoryState, Write};

use super::log::TestLog;
use crate::ports::{Ports, PrepareFailure, Preparer, QueryError, QueryPlan, QueryRunner, Store, StoreError};
use crate::progress::lock;
use crate::testing::recipe::{self, TestVm};
use crate::testing::sim::{Sim, assert_blocking_is_allowed, where_blocking_is_allowed};

#[derive(Clone, Default)]
pub(crate) struct TestStore {
    pub(super) rows: Arc<Mutex<MemoryState>>,
    full: Arc<Mutex<usize>>,
}

impl Store for TestStore {
    type View = MemoryState;
    type Mark = u64;
    fn view(&self) -> Result<MemoryState, Fatal> {
        assert_blocking_is_allowed();
        Ok(lock(&self.rows).clone())
    }
    fn commit(&self, writes: &[Write], _: &u64) -> Result<(), StoreError> {
        assert_blocking_is_allowed();
        if *lock(&self.full) > 0 {
            return Err(StoreError::Full("no space left".into()));
        }
        lock(&self.rows).commit(writes);
        Ok(())
    }
    fn wait_for_space(&self) -> Result<(), Fatal> {
        *lock(&self.full) -= 1;
        Ok(())
    }
}

impl TestStore {
    pub(crate) fn fill(&self, times: usize) {
        *lock(&self.full) = times;
    }
}

pub(crate) struct TestQueries;

impl QueryRunner<MemoryState> for TestQueries {
    fn run(
        &self,
        _: SpaceName,
        plan: QueryPlan<MemoryState>,
    ) -> BoxFuture<'static, Result<Option<Answer>, QueryError>> {
        let answer = where_blocking_is_allowed(plan).and_then(|planned| {
            let answer =
                planned.map(|(view, query)| synod_machine::query(view, &mut TestVm::default(), &query));
            answer.transpose()
        });
        futures::future::ready(answer.map_err(QueryError::Fatal)).boxed()
    }
}

#[derive(Default)]
pub(crate) struct TestPreparer {
    pub(crate) ready: Mutex<Option<PrepareFailure>>,
}

impl Preparer for TestPreparer {
    fn admit(&self, module: Arc<[u8]>) -> BoxFuture<'static, Result<Admitted, AdmissionError>> {
        futures::future::ready(recipe::admit(&module)).boxed()
    }
    fn prepare(&self, _: ModuleHash, _: Arc<[u8]>) -> BoxFuture<'static, Result<(), PrepareFailure>> {
        futures::future::ready(lock(&self.ready).clone().map_or(Ok(()), Err)).boxed()
    }
}

pub(crate) struct TestPorts;

impl Ports for TestPorts {
    type Runtime = Sim;
    type Clock = Sim;
    type Replication = TestLog;
    type Store = TestStore;
    type Queries = TestQueries;
    type Preparer = TestPreparer;
}
