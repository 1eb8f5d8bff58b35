//! A pool of threads for queries, so that they run neither on the apply thread nor on the workers
//! of the runtime. Each query runs on one view.
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use synod_machine::{Answer, Fatal, Query, StateView};
use synod_service::ports::{QueryError, QueryRunner};
use synod_vm::{Modules, QueryEngine};
use tokio::sync::oneshot;

/// Queries that wait for a thread.
const QUEUE: usize = 1_024;
/// How long one query may run.
const QUERY_TIMEOUT: Duration = Duration::from_millis(2_000);

type Job = Box<dyn FnOnce(&QueryEngine) + Send>;

/// The pool. Its threads end when it is dropped.
pub(crate) struct QueryThreads {
    jobs: SyncSender<Job>,
}

impl QueryThreads {
    /// Starts `threads` threads.
    ///
    /// # Errors
    /// The host lacks threads or memory, for people.
    pub(crate) fn start(modules: Arc<Modules>, threads: usize) -> Result<Self, String> {
        let engine = QueryEngine::new(modules, QUERY_TIMEOUT).map_err(|error| error.to_string())?;
        let engine = Arc::new(engine);
        let (jobs, queue) = sync_channel::<Job>(QUEUE);
        let queue = Arc::new(Mutex::new(queue));
        for n in 0..threads {
            let engine = engine.clone();
            let queue = queue.clone();
            let thread = synod_vm::spawn(&format!("synod-query-{n}"), move || {
                loop {
                    let received = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok(job) = received else { return };
                    job(&engine);
                }
            });
            thread.map_err(|error| format!("no thread for queries: {error}"))?;
        }
        Ok(Self { jobs })
    }
}

impl<V: StateView + Send + 'static> QueryRunner<V> for QueryThreads {
    fn run(&self, view: V, query: Query) -> BoxFuture<'static, Result<Answer, QueryError>> {
        let (answer, result) = oneshot::channel();
        let job: Job = Box::new(move |engine| drop(answer.send(synod_machine::query(view, engine, &query))));
        if let Err(TrySendError::Full(_)) = self.jobs.try_send(job) {
            let busy = QueryError::Busy(format!(
                "{QUEUE} queries wait on this member already; ask another member or try again"
            ));
            return Box::pin(std::future::ready(Err(busy)));
        }
        let gone = || Err(Fatal("the query threads have ended".to_owned()));
        Box::pin(async move { result.await.unwrap_or_else(|_| gone()).map_err(QueryError::Fatal) })
    }
}
