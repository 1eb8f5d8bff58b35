//! tokio as the service crate's runtime, and the machine's clocks.
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures::future::BoxFuture;
use synod_service::ports::{Clock, Monotonic, Runtime};

/// Tasks and timers on tokio.
#[derive(Clone, Debug)]
pub(crate) struct TokioTasks {
    start: Instant,
}

impl TokioTasks {
    /// A runtime whose monotonic clock starts now.
    pub(crate) fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Runtime for TokioTasks {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        drop(tokio::spawn(task));
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }

    fn now(&self) -> Monotonic {
        Monotonic(self.start.elapsed())
    }

    fn run_blocking(&self, work: Box<dyn FnOnce() + Send>) {
        drop(tokio::task::spawn_blocking(work));
    }
}

/// The wall clock of this host.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WallClock;

impl Clock for WallClock {
    fn wall_ms(&self) -> u64 {
        wall_ms()
    }
}

/// Milliseconds since the Unix epoch; 0 on a host whose clock stands before it.
pub(crate) fn wall_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
