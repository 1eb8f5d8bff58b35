//! The hub's own task: takes what the apply thread fed, finds out whom it concerns, and looks at the time for streams that take
//! nothing and for progress marks.
use std::future::poll_fn;
use std::task::{Context, Poll};

use futures::FutureExt;

use super::PROGRESS_INTERVAL;
use super::hub::Hub;
use crate::ports::{Monotonic, Runtime};
use crate::progress::Alarm;

struct Task<R> {
    hub: Hub,
    runtime: R,
    alarm: Alarm,
    progress_at: Option<Monotonic>,
}

impl Hub {
    /// Starts the hub's task, which ends when it is closed.
    pub(crate) fn start<R: Runtime>(&self, runtime: R) {
        let mut task = Task { hub: self.clone(), runtime: runtime.clone(), alarm: Alarm::default(), progress_at: None };
        runtime.spawn(async move { poll_fn(|cx| task.poll(cx)).await }.boxed());
    }
}

impl<R: Runtime> Task<R> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let raised = self.hub.feed().signal.poll_raised(cx).is_ready();
            let now = self.runtime.now();
            let more = self.hub.step(now);
            if self.hub.is_closed() {
                return Poll::Ready(());
            }
            let stuck = self.hub.cancel_stuck(now);
            self.mark_progress(now);
            let wake = [stuck, self.progress_at].into_iter().flatten().min();
            if more || raised {
                continue;
            }
            if self.alarm.poll(cx, &self.runtime, wake, now).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// While there are watches, at every interval.
    fn mark_progress(&mut self, now: Monotonic) {
        let watches = match self.progress_at {
            Some(at) if at <= now => self.hub.mark_progress(),
            _ => self.hub.watches() > 0,
        };
        if !watches {
            self.hub.pages().clear();
        }
        self.progress_at = match self.progress_at {
            Some(at) if watches && at > now => Some(at),
            _ => watches.then(|| now.after(PROGRESS_INTERVAL)),
        };
    }
}
