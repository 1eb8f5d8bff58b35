//! Queries: read-only, on a second engine, stopped by time instead of fuel, on as many threads as
//! call it.
//!
//! Time may decide here because nothing of a query is replicated. Each query has a fresh instance,
//! and as many run at once as the pool has slots; a query that gets no slot within its time has run
//! out of it.
use std::any::Any;
use std::convert::Infallible;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use synod_abi::{EntryPoint, Fault, HostCalls};
use synod_machine::{Completion, Fatal, Invocation, QueryVm};
use wasmtime::{Store, UpdateDeadline};

use crate::engine::{Kind, QUERY_SLOTS};
use crate::instance::Live;
use crate::linker::{Call, Stop};
use crate::modules::Compiled;
use crate::{Modules, VmError, Wanted, stack};

/// How often a running query looks at the clock and for its caller, at the latest.
const TICK_MS: u64 = 5;

trait AnyHost: HostCalls + Send {
    fn into_any(self: Box<Self>) -> Box<dyn Any>;
}

impl<H: HostCalls + Send + 'static> AnyHost for H {
    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

/// A host of any type, so that a module is linked once for all of them.
pub(crate) struct Erased(Box<dyn AnyHost>);

macro_rules! delegate {
    ($($(#[$doc:meta])* $access:ident $name:ident($($param:ident: $kind:ident),*) -> $result:ident;)*) => {
        impl HostCalls for Erased {
            fn fuel(&mut self) -> &mut u64 {
                self.0.fuel()
            }

            $(
                fn $name(
                    &mut self,
                    $($param: delegate!(@param $kind)),*
                ) -> Result<delegate!(@result $result), Fault> {
                    self.0.$name($($param),*)
                }
            )*
        }
    };
    (@param bytes) => { &[u8] };
    (@param buffer) => { &mut [u8] };
    (@param $kind:ident) => { $kind };
    (@result unit) => { () };
    (@result never) => { Infallible };
    (@result $kind:ident) => { $kind };
}

synod_abi::for_each_host_call!(delegate);

/// Runs queries. Shared by reference among the threads that serve them; [`crate::spawn`] should
/// have started those.
pub struct QueryEngine {
    modules: Arc<Modules>,
    clock: Clock,
    timeout: Duration,
}

impl QueryEngine {
    /// A runner of the modules in `modules`, with a thread that keeps time for it until it is
    /// dropped. A query may take `timeout`, waiting for a slot included.
    ///
    /// # Errors
    /// [`VmError::Thread`] if that thread cannot be started.
    pub fn new(modules: Arc<Modules>, timeout: Duration) -> Result<Self, VmError> {
        let clock = Clock::start(modules.clone())?;
        Ok(Self { modules, clock, timeout })
    }

    /// This engine, for one query that is stopped when its answer is no longer wanted.
    pub fn asked<'a>(&'a self, wanted: &'a Wanted) -> AskedQuery<'a> {
        AskedQuery { engine: self, wanted }
    }

    fn run(
        &self,
        compiled: &Compiled,
        invocation: &Invocation<'_>,
        deadline: Instant,
        wanted: &Wanted,
        host: Erased,
    ) -> Result<(Erased, Completion), Fatal> {
        let wanted = wanted.clone();
        let mut store = Store::new(self.modules.query_engine(), Call::idle(Kind::Query));
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(move |_| {
            if wanted.is_wanted() && Instant::now() < deadline {
                return Ok(UpdateDeadline::Continue(1));
            }
            Err(wasmtime::Error::new(Stop::Fault(Fault::QueryTimeout)))
        });
        let mut live = match Live::new(&compiled.query, store)? {
            Ok(live) => live,
            Err(fault) => return Ok((host, Completion::Faulted(fault))),
        };
        let Invocation { entry_point, context, args, .. } = *invocation;
        let (host, ended) = live.call(entry_point, context, args, host)?;
        Ok((host, ended.completion))
    }
}

/// A [`QueryEngine`] for one query, which is stopped when nobody wants its answer.
#[derive(Clone, Copy, Debug)]
pub struct AskedQuery<'a> {
    engine: &'a QueryEngine,
    wanted: &'a Wanted,
}

/// Runs a query on this thread. One that takes too long, or that nobody waits for, is a
/// [`Fault::QueryTimeout`].
impl<H: HostCalls + Send + 'static> QueryVm<H> for AskedQuery<'_> {
    fn query(
        self,
        invocation: Invocation<'_>,
        host: H,
        module: impl FnOnce(&H) -> Result<Vec<u8>, Fatal>,
    ) -> Result<(H, Completion), Fatal> {
        if !matches!(invocation.entry_point, EntryPoint::Query(_)) {
            return Err(Fatal("the query engine was asked to run an operation".to_string()));
        }
        let Self { engine, wanted } = self;
        let compiled = match engine.modules.get(invocation.module) {
            Some(compiled) => compiled,
            None => {
                let compiled = engine.modules.committed(invocation.module, &module(&host)?);
                compiled.map_err(|error| Fatal(error.to_string()))?
            }
        };
        let deadline = Instant::now() + engine.timeout;
        let Some(_slot) = engine.clock.state.take_slot(deadline) else {
            return Ok((host, Completion::Faulted(Fault::QueryTimeout)));
        };
        let host = Erased(Box::new(host));
        let ran = stack::on_large(|| engine.run(&compiled, &invocation, deadline, wanted, host));
        let (host, completion) =
            ran.map_err(|error| Fatal(format!("no thread to run a query on: {error}")))??;
        match host.0.into_any().downcast() {
            Ok(host) => Ok((*host, completion)),
            Err(_) => Err(Fatal("a query gave back another host than it was lent".to_string())),
        }
    }
}

impl std::fmt::Debug for QueryEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QueryEngine")
            .field("running", &self.clock.state.lock().running)
            .finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Running {
    running: u32,
    stopped: bool,
}

/// Counts the queries that run: the pool's slots never run out, and time is only kept while one
/// runs.
#[derive(Default)]
struct State {
    running: Mutex<Running>,
    slot_freed: Condvar,
    clock_needed: Condvar,
}

struct Slot<'a>(&'a State);

impl State {
    fn lock(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_slot(&self, deadline: Instant) -> Option<Slot<'_>> {
        let mut state = self.lock();
        while state.running >= QUERY_SLOTS {
            let left = deadline.checked_duration_since(Instant::now())?;
            state = self.slot_freed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.running += 1;
        if state.running == 1 {
            self.clock_needed.notify_one();
        }
        Some(Slot(self))
    }

    /// The clock's thread: makes running queries look at the time.
    fn tick(&self, modules: &Modules) {
        let mut state = self.lock();
        while !state.stopped {
            state = if state.running == 0 {
                self.clock_needed.wait(state).unwrap_or_else(PoisonError::into_inner)
            } else {
                self.clock_needed
                    .wait_timeout(state, Duration::from_millis(TICK_MS))
                    .unwrap_or_else(PoisonError::into_inner)
                    .0
            };
            modules.query_engine().increment_epoch();
        }
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.0.lock().running -= 1;
        self.0.slot_freed.notify_one();
    }
}

struct Clock {
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

impl Clock {
    fn start(modules: Arc<Modules>) -> Result<Self, VmError> {
        let state = Arc::new(State::default());
        let shared = state.clone();
        let thread = std::thread::Builder::new()
            .name("synod-query-clock".to_string())
            .spawn(move || shared.tick(&modules));
        Ok(Self { state, thread: Some(thread.map_err(VmError::Thread)?) })
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        self.state.lock().stopped = true;
        self.state.clock_needed.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests;
