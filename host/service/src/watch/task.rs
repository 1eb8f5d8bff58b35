//! The hub's own task: takes what the apply thread fed, finds out whom it concerns, and looks at
//! the time for streams that take nothing and for progress marks.
//!
//! A mark is given only after a read index that was asked for later than the mark: so a mark tells
//! a client that this member still hears of what the cluster does, and a member that is cut off
//! falls silent. One is asked for at a time.
use std::future::poll_fn;
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::BoxFuture;

use super::PROGRESS_INTERVAL;
use super::hub::Hub;
use super::streams::StreamKey;
use crate::ports::{Monotonic, Replication, Runtime};
use crate::progress::Alarm;
use crate::read::{Consistency, Reader};

struct Task<R, N> {
    hub: Hub,
    runtime: R,
    reader: Reader<R, N>,
    alarm: Alarm,
    progress_at: Option<Monotonic>,
    /// The streams that get a mark when this member is known to be up to date, and whether it is.
    checking: Option<(Vec<StreamKey>, BoxFuture<'static, bool>)>,
}

impl Hub {
    /// Starts the hub's task, which ends when it is closed.
    pub(crate) fn start<R: Runtime, N: Replication>(&self, runtime: R, reader: Reader<R, N>) {
        let (hub, alarm) = (self.clone(), Alarm::default());
        let mut task =
            Task { hub, runtime: runtime.clone(), reader, alarm, progress_at: None, checking: None };
        runtime.spawn(async move { poll_fn(|cx| task.poll(cx)).await }.boxed());
    }
}

impl<R: Runtime, N: Replication> Task<R, N> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let raised = self.hub.feed().signal.poll_raised(cx).is_ready();
            let now = self.runtime.now();
            let more = self.hub.step(now);
            if self.hub.is_closed() {
                return Poll::Ready(());
            }
            let stuck = self.hub.cancel_stuck(now);
            self.want_progress(now);
            let marked = self.mark_progress(cx, now);
            let wake = [stuck, self.progress_at].into_iter().flatten().min();
            if more || raised || marked {
                continue;
            }
            if self.alarm.poll(cx, &self.runtime, wake, now).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// While there are watches, at every interval.
    fn want_progress(&mut self, now: Monotonic) {
        let watches = match self.progress_at {
            Some(at) if at <= now => self.hub.want_progress_of_all(),
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

    /// Marks the streams that want it, once this member is up to date; whether it did, or gave up.
    fn mark_progress(&mut self, cx: &mut Context<'_>, now: Monotonic) -> bool {
        if self.checking.is_none() {
            let wanted = self.hub.take_wanting_progress();
            if wanted.is_empty() {
                return false;
            }
            let (reader, deadline) = (self.reader.clone(), now.after(PROGRESS_INTERVAL));
            let ready = async move { reader.ready(Consistency::Linearizable, 0, deadline).await.is_ok() };
            self.checking = Some((wanted, ready.boxed()));
        }
        let Some((_, ready)) = &mut self.checking else { return false };
        let Poll::Ready(up_to_date) = ready.poll_unpin(cx) else { return false };
        let Some((wanted, _)) = self.checking.take() else { return false };
        if up_to_date {
            while self.hub.step(now) {}
            self.hub.mark_progress(&wanted);
        }
        true
    }
}
