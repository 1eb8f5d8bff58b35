//! Query threads: recipes' read-only entry points, each on one view, away from the apply thread and the runtime.
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use synod_abi::Context;
use synod_machine::{Completion, Fatal, StateView, Workspace, directory};
use synod_service::{LogRing, QueryCall, QueryError, QueryRunner};
use synod_vm::{Modules, Query, QueryEngine};
use tokio::sync::oneshot;

/// Queries that wait for a thread.
const QUEUE: usize = 1_024;
/// How long one query may run.
pub(crate) const QUERY_TIMEOUT: Duration = Duration::from_millis(2_000);

type Answer = Result<Completion, QueryError>;
type Job = Box<dyn FnOnce(&QueryEngine) + Send>;

/// The pool. Its threads end when it is dropped.
pub(crate) struct QueryThreads {
    modules: Arc<Modules>,
    logs: LogRing,
    jobs: SyncSender<Job>,
}

impl QueryThreads {
    /// Starts `threads` threads.
    ///
    /// # Errors
    /// What the host lacks for it, for people.
    pub(crate) fn start(modules: Arc<Modules>, logs: LogRing, threads: usize) -> Result<Self, String> {
        let engine = Arc::new(QueryEngine::new(modules.clone()).map_err(|error| error.to_string())?);
        let (jobs, queue) = sync_channel::<Job>(QUEUE);
        let queue = Arc::new(Mutex::new(queue));
        for n in 0..threads {
            let (engine, queue) = (engine.clone(), queue.clone());
            let thread = synod_vm::spawn(&format!("synod-query-{n}"), move || {
                while let Some(job) = next(&queue) {
                    job(&engine);
                }
            });
            thread.map_err(|error| format!("no thread for queries: {error}"))?;
        }
        Ok(Self { modules, logs, jobs })
    }
}

fn next(queue: &Mutex<Receiver<Job>>) -> Option<Job> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

impl<V: StateView + Clone + Send + Sync + 'static> QueryRunner<V> for QueryThreads {
    fn run(&self, view: V, query: QueryCall) -> BoxFuture<'static, Answer> {
        let (answer, result) = oneshot::channel();
        let (modules, logs) = (self.modules.clone(), self.logs.clone());
        let job: Job = Box::new(move |engine| drop(answer.send(run(engine, &modules, &logs, view, &query))));
        if let Err(TrySendError::Full(_)) = self.jobs.try_send(job) {
            let busy = QueryError::Busy(format!("{QUEUE} queries wait on this member already; ask another member or try again"));
            return Box::pin(std::future::ready(Err(busy)));
        }
        let gone = || Err(QueryError::Fatal(Fatal("the query threads have ended".to_owned())));
        Box::pin(async move { result.await.unwrap_or_else(|_| gone()) })
    }
}

fn run<V: StateView + Clone + Send + Sync + 'static>(engine: &QueryEngine, modules: &Modules, logs: &LogRing, view: V, query: &QueryCall) -> Answer {
    let head = directory::head(&view).map_err(QueryError::Fatal)?.unwrap_or(directory::Head::EMPTY);
    let mut seed = [0; 16];
    seed.copy_from_slice(&head.chain[..16]);
    let context = Context { revision: head.revision, now: head.time, session: None, seed };
    if !modules.is_prepared(query.module) {
        let module = directory::module(&view, query.module).map_err(QueryError::Fatal)?;
        let module = module.ok_or_else(|| QueryError::Fatal(Fatal(format!("module {} is missing from the store", query.module))))?;
        modules.prepare(query.module, &module).map_err(|error| QueryError::Fatal(Fatal(error.to_string())))?;
    }
    let asked = Query { module: query.module, query: query.query, context: &context, args: &query.args, timeout: QUERY_TIMEOUT };
    let (mut workspace, completion) = engine.query(asked, Workspace::for_query(view, query.space)).map_err(|error| match error {
        synod_vm::QueryError::NotReady(_) => QueryError::Busy(error.to_string()),
        synod_vm::QueryError::Fatal(fatal) => QueryError::Fatal(fatal),
    })?;
    workspace.check().map_err(QueryError::Fatal)?;
    logs.extend(head.time, workspace.take_logs());
    Ok(completion)
}
