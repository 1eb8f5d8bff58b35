//! Waiting for a time on a process's monotonic clock.
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::Process;

/// Resolves when the clock of its process shows a time.
#[must_use = "nobody waits unless it is polled"]
#[derive(Debug)]
pub struct Sleep {
    process: Process,
    until: Duration,
    /// Where it waits among the world's timers.
    waiting: Option<(Duration, u64)>,
}

impl Sleep {
    pub(crate) fn new(process: Process, until: Duration) -> Self {
        Self { process, until, waiting: None }
    }

    fn leave(&mut self) {
        if let Some(place) = self.waiting.take() {
            self.process.world().stop_waiting(place);
        }
    }
}

impl Future for Sleep {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.leave();
        if self.process.now() >= self.until {
            return Poll::Ready(());
        }
        let at = self.process.world_time(self.until);
        let place = self.process.world().wait_until(at, self.process.id(), cx.waker().clone());
        self.waiting = Some(place);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.leave();
    }
}
