//! A process of a virtual world as the service crate's runtime and clock.
use std::cell::Cell;
use std::ops::Deref;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use synod_world::{Process, World};

use crate::ports::{Clock, Monotonic, Runtime};

/// What the right wall clock shows at first.
pub(crate) const WALL_MS: u64 = 1_700_000_000_000;

/// See the module.
#[derive(Clone)]
pub(crate) struct Sim(Process);

impl Default for Sim {
    fn default() -> Self {
        Self(World::default().process())
    }
}

impl Deref for Sim {
    type Target = Process;
    fn deref(&self) -> &Process {
        &self.0
    }
}

impl Runtime for Sim {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.0.spawn(task);
    }
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.0.sleep(duration).boxed()
    }
    fn now(&self) -> Monotonic {
        Monotonic(self.0.now())
    }
    fn run_blocking(&self, work: Box<dyn FnOnce() + Send>) {
        where_blocking_is_allowed(work);
    }
}

thread_local! {
    static BLOCKING_IS_ALLOWED: Cell<bool> = const { Cell::new(false) };
}

/// Runs what may read a disk, as a thread for blocking work, a query thread or the apply thread
/// does.
pub(crate) fn where_blocking_is_allowed<T>(work: impl FnOnce() -> T) -> T {
    let before = BLOCKING_IS_ALLOWED.replace(true);
    let result = work();
    BLOCKING_IS_ALLOWED.set(before);
    result
}

/// Panics in a task: a disk would hold up all others.
pub(crate) fn assert_blocking_is_allowed() {
    assert!(BLOCKING_IS_ALLOWED.get(), "a task reads the store on a worker of the runtime");
}

impl Clock for Sim {
    fn wall_ms(&self) -> u64 {
        self.0.wall_ms()
    }
}

impl Sim {
    /// Another process in the same world.
    pub(crate) fn process(&self) -> Self {
        Self(self.0.world().process())
    }

    /// How often any task was polled.
    pub(crate) fn polls(&self) -> u64 {
        self.0.world().polls()
    }

    /// Runs until every task waits.
    pub(crate) fn settle(&self) {
        self.0.world().settle();
    }

    /// See [`World::jump`].
    pub(crate) fn jump(&self, until: Duration) -> bool {
        self.0.world().jump(until)
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.0.world().elapsed()
    }
}
