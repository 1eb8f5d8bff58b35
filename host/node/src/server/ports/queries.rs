//! A pool of threads for queries, so that they run neither on the apply thread nor on the workers
//! of the runtime. Each query runs on one view.
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use synod_abi::{AdmissionError, EntryPoint, HostCalls, ModuleHash, SpaceId};
use synod_machine::{Admitted, Answer, Completion, Fatal, Invocation, Query, StateView, Vm};
use synod_service::ports::{QueryCall, QueryError, QueryRunner};
use synod_vm::{Modules, QueryEngine};
use tokio::sync::oneshot;

/// Queries that wait for a thread.
const QUEUE: usize = 1_024;
/// How long one query may run.
pub(crate) const QUERY_TIMEOUT: Duration = Duration::from_millis(2_000);

type Answered = Result<Answer, QueryError>;
type Job = Box<dyn FnOnce(&QueryEngine) + Send>;

/// The pool. Its threads end when it is dropped.
pub(crate) struct QueryThreads {
    modules: Arc<Modules>,
    jobs: SyncSender<Job>,
}

impl QueryThreads {
    /// Starts `threads` threads.
    ///
    /// # Errors
    /// The host lacks threads or memory, for people.
    pub(crate) fn start(modules: Arc<Modules>, threads: usize) -> Result<Self, String> {
        let engine = Arc::new(QueryEngine::new(modules.clone()).map_err(|error| error.to_string())?);
        let (jobs, queue) = sync_channel::<Job>(QUEUE);
        let queue = Arc::new(Mutex::new(queue));
        for n in 0..threads {
            let engine = engine.clone();
            let queue = queue.clone();
            let thread = synod_vm::spawn(&format!("synod-query-{n}"), move || {
                while let Some(job) = next(&queue) {
                    job(&engine);
                }
            });
            thread.map_err(|error| format!("no thread for queries: {error}"))?;
        }
        Ok(Self { modules, jobs })
    }
}

fn next(queue: &Mutex<Receiver<Job>>) -> Option<Job> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

impl<V: StateView + Clone + Send + Sync + 'static> QueryRunner<V> for QueryThreads {
    fn run(&self, view: V, query: QueryCall) -> BoxFuture<'static, Answered> {
        let (answer, result) = oneshot::channel();
        let modules = self.modules.clone();
        let job: Job = Box::new(move |engine| drop(answer.send(run(engine, &modules, &view, &query))));
        if let Err(TrySendError::Full(_)) = self.jobs.try_send(job) {
            let busy = QueryError::Busy(format!(
                "{QUEUE} queries wait on this member already; ask another member or try again"
            ));
            return Box::pin(std::future::ready(Err(busy)));
        }
        let gone = || Err(QueryError::Fatal(Fatal("the query threads have ended".to_owned())));
        Box::pin(async move { result.await.unwrap_or_else(|_| gone()) })
    }
}

fn run<V: StateView + Clone + Send + Sync + 'static>(
    engine: &QueryEngine,
    modules: &Arc<Modules>,
    view: &V,
    call: &QueryCall,
) -> Answered {
    let mut vm = QueryVm { engine, modules, not_ready: None };
    let query = Query { space: &call.space, query: call.query, args: &call.args, session: call.session };
    match (synod_machine::query(view, &mut vm, query), vm.not_ready) {
        (_, Some(busy)) => Err(QueryError::Busy(busy)),
        (answer, None) => answer.map_err(QueryError::Fatal),
    }
}

/// The query engine as the machine's engine. A query is one call, so there are no entries and no
/// instances to keep.
struct QueryVm<'a> {
    engine: &'a QueryEngine,
    modules: &'a Arc<Modules>,
    /// Why the query did not run on a healthy member.
    not_ready: Option<String>,
}

impl<H: HostCalls + Send + 'static> Vm<H> for QueryVm<'_> {
    fn admit(&self, module: &[u8]) -> Result<Admitted, AdmissionError> {
        synod_vm::admit(module)
    }

    fn load(&mut self, hash: ModuleHash, module: &[u8]) -> Result<(), Fatal> {
        self.modules.prepare_committed(hash, module).map_err(|error| Fatal(error.to_string()))
    }

    fn is_loaded(&self, hash: ModuleHash) -> bool {
        self.modules.is_prepared(hash)
    }

    fn begin_entry(&mut self) {}

    fn invoke(&mut self, invocation: Invocation<'_>, host: H) -> Result<(H, Completion), Fatal> {
        let EntryPoint::Query(query) = invocation.entry_point else {
            return Err(Fatal("the query engine was asked to run an operation".to_owned()));
        };
        let asked = synod_vm::Query {
            module: invocation.module,
            query,
            context: invocation.context,
            args: invocation.args,
            timeout: QUERY_TIMEOUT,
        };
        self.engine.query(asked, host).map_err(|error| match error {
            synod_vm::QueryError::NotReady(_) => {
                self.not_ready = Some(error.to_string());
                Fatal(error.to_string())
            }
            synod_vm::QueryError::Fatal(fatal) => fatal,
        })
    }

    fn discard(&mut self, _: SpaceId) {}

    fn fuel_used(&self) -> u64 {
        0
    }
}
