//! The hub's own task: publishes what the apply thread fed, and minds the time, for streams that
//! take nothing and for progress marks.
//!
//! A mark is sent only after a read index that was asked for later than the mark. So a mark proves
//! to a client that this member still hears from the cluster, and a member that is cut off sends
//! none. One read index is asked for at a time.
use std::future::poll_fn;
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::BoxFuture;

use super::hub::Hub;
use super::limits::PROGRESS_INTERVAL;
use super::streams::StreamKey;
use crate::ports::{Monotonic, Replication, Runtime};
use crate::progress::Alarm;
use crate::read::{Consistency, Reader};

struct HubTask<R, N> {
    hub: Hub,
    runtime: R,
    reader: Reader<R, N>,
    alarm: Alarm,
    /// When every stream with watches gets its next mark.
    progress_at: Option<Monotonic>,
    checking: Option<Checking>,
}

/// The streams that get a mark once this member is known to be up to date.
struct Checking {
    streams: Vec<StreamKey>,
    /// Whether it is, or gave up.
    up_to_date: BoxFuture<'static, bool>,
}

impl Hub {
    /// Starts the hub's task, which ends when the hub is closed.
    pub(crate) fn start<R: Runtime, N: Replication>(&self, runtime: R, reader: Reader<R, N>) {
        let mut task = HubTask {
            hub: self.clone(),
            runtime: runtime.clone(),
            reader,
            alarm: Alarm::default(),
            progress_at: None,
            checking: None,
        };
        runtime.spawn(async move { poll_fn(|cx| task.poll(cx)).await }.boxed());
    }
}

impl<R: Runtime, N: Replication> HubTask<R, N> {
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

    /// Asks for marks at every interval while there are watches.
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

    /// Sends the marks that are asked for once this member is up to date. Returns whether it sent
    /// them, or gave up.
    fn mark_progress(&mut self, cx: &mut Context<'_>, now: Monotonic) -> bool {
        if self.checking.is_none() {
            let streams = self.hub.take_wanting_progress();
            if streams.is_empty() {
                return false;
            }
            let reader = self.reader.clone();
            let deadline = now.after(PROGRESS_INTERVAL);
            let up_to_date =
                async move { reader.ready(Consistency::Linearizable, 0, deadline).await.is_ok() }.boxed();
            self.checking = Some(Checking { streams, up_to_date });
        }
        let Some(checking) = &mut self.checking else { return false };
        let Poll::Ready(up_to_date) = checking.up_to_date.poll_unpin(cx) else { return false };
        let Some(Checking { streams, .. }) = self.checking.take() else { return false };
        if up_to_date {
            while self.hub.step(now) {}
            self.hub.mark_progress(&streams);
        }
        true
    }
}
