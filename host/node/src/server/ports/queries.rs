//! A pool of threads for queries, so that they run neither on the apply thread nor on the workers
//! of the runtime. Each query runs on one view, which is taken and searched for the query's space
//! and recipe on the same thread.
//!
//! There are more threads than processors, and one space may occupy half of them: a space whose
//! queries loop takes processor time from the others, but never their threads. The operating system
//! prefers every other thread of the member, apply above all. A query whose caller has gone is not
//! run, and is stopped if it runs.
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use synod_abi::SpaceName;
use synod_machine::{Answer, Fatal, StateView};
use synod_service::ports::{QueryError, QueryPlan, QueryRunner};
use synod_vm::{Modules, QUERY_SLOTS, QueryEngine, Wanted};
use tokio::sync::oneshot;

use self::turns::{Abandon, Bounds, Full, Turns};

mod turns;

/// Queries of a member that wait for a thread.
const MEMBER_QUERIES: usize = 1_024;
/// Queries of one space that wait for a thread.
const SPACE_QUERIES: usize = 256;
/// How long one query may run.
const QUERY_TIMEOUT: Duration = Duration::from_millis(2_000);
/// Fewest query threads, on a host with one processor.
const LEAST_THREADS: usize = 4;
/// What the threads add to the niceness of the process: a busy query gets about a third of the
/// processor time that a busy apply thread on the same processor gets.
const NICENESS: libc::c_int = 5;

type Work = Box<dyn FnOnce(&QueryEngine) + Send>;

struct Job {
    wanted: Wanted,
    work: Work,
}

impl Abandon for Job {
    fn is_abandoned(&self) -> bool {
        !self.wanted.is_wanted()
    }
}

struct State {
    turns: Turns<SpaceName, Job>,
    stopped: bool,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next job; none when the pool has stopped.
    fn next(&self) -> Option<(SpaceName, Job)> {
        let mut state = self.lock();
        while !state.stopped {
            match state.turns.next() {
                Some(next) => return Some(next),
                None => state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
        None
    }

    fn serve(&self, engine: &QueryEngine) {
        while let Some((space, Job { wanted, work })) = self.next() {
            if wanted.is_wanted() {
                work(engine);
            }
            self.lock().turns.done(space);
        }
    }
}

/// The pool. Its threads end when it is dropped.
pub(crate) struct QueryThreads {
    shared: Arc<Shared>,
}

impl QueryThreads {
    /// Starts the threads for a host with `processors` processors.
    ///
    /// # Errors
    /// The host lacks threads or memory, for people.
    pub(crate) fn start(modules: Arc<Modules>, processors: usize) -> Result<Self, String> {
        let threads = (2 * processors).clamp(LEAST_THREADS, QUERY_SLOTS as usize);
        let engine = QueryEngine::new(modules, QUERY_TIMEOUT).map_err(|error| error.to_string())?;
        let engine = Arc::new(engine);
        let bounds =
            Bounds { waiting: MEMBER_QUERIES, space_waiting: SPACE_QUERIES, space_running: threads / 2 };
        let state = State { turns: Turns::new(bounds), stopped: false };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let pool = Self { shared };
        for n in 0..threads {
            let engine = engine.clone();
            let shared = pool.shared.clone();
            let thread = synod_vm::spawn(&format!("synod-query-{n}"), move || {
                yield_to_others();
                shared.serve(&engine);
            });
            thread.map_err(|error| format!("no thread for queries: {error}"))?;
        }
        Ok(pool)
    }

    fn submit(&self, space: SpaceName, job: Job) -> Result<(), QueryError> {
        let pushed = self.shared.lock().turns.push(space, job);
        pushed.map_err(|full| {
            QueryError::Busy(match full {
                Full::Member => format!(
                    "{MEMBER_QUERIES} queries wait on this member, which is its limit; ask another member or \
                        try again"
                ),
                Full::Space => format!(
                    "{SPACE_QUERIES} queries of this space wait on this member, which is the limit of one \
                        space; ask another member or try again"
                ),
            })
        })?;
        self.shared.changed.notify_one();
        Ok(())
    }
}

impl Drop for QueryThreads {
    fn drop(&mut self) {
        self.shared.lock().stopped = true;
        self.shared.changed.notify_all();
    }
}

impl<V: StateView + Send + 'static> QueryRunner<V> for QueryThreads {
    fn run(
        &self,
        space: SpaceName,
        plan: QueryPlan<V>,
    ) -> BoxFuture<'static, Result<Option<Answer>, QueryError>> {
        let (answer, result) = oneshot::channel();
        let (wanted, wanted_by) = Wanted::new();
        let asked = wanted.clone();
        let work: Work = Box::new(move |engine| {
            let answered = plan().and_then(|planned| {
                let run = |(view, query)| synod_machine::query(view, engine.asked(&asked), &query);
                planned.map(run).transpose()
            });
            let _ = answer.send(answered);
        });
        if let Err(busy) = self.submit(space, Job { wanted, work }) {
            return Box::pin(std::future::ready(Err(busy)));
        }
        let gone = || Err(Fatal("the query threads have ended".to_owned()));
        Box::pin(async move {
            let _wanted_by = wanted_by;
            result.await.unwrap_or_else(|_| gone()).map_err(QueryError::Fatal)
        })
    }
}

/// Makes the operating system prefer the other threads to this one.
fn yield_to_others() {
    // SAFETY: the call takes and returns numbers. On Linux it is about the calling thread. To be
    // nicer is never refused.
    unsafe { libc::nice(NICENESS) };
}

#[cfg(test)]
mod tests;
