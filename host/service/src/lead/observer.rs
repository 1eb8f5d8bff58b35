//! The leadership, observed once for the whole member.
//!
//! One task follows the log's leadership and keeps the last one seen here, beside the term that
//! this member's own apply has reached. Both together say whether it may decide: a leader that has
//! not applied the first entry of its term does not know yet what earlier terms left behind.
//!
//! What is here may lag behind the log by a step. That is harmless, because a decision is bound to
//! the term it was made in and the log appends it in that term or never.
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::BoxFuture;
use synod_abi::Time;
use synod_planted::{Bug, is_planted};

use super::time_base::{LastStamp, TimeBase};
use crate::clocks::Clocks;
use crate::ports::{Leadership, Monotonic, Replication, Role, Runtime};
use crate::progress::{Progress, Signal, lock};

#[derive(Debug, Default)]
struct State {
    leadership: Leadership,
    applied_term: u64,
    last_stamp: LastStamp,
    time_base: TimeBase,
    closed: bool,
    followers: Vec<Signal>,
}

impl State {
    fn leading(&self) -> Option<u64> {
        let Leadership { role, term, .. } = self.leadership;
        let leads = role == Role::Leader && self.applied_term >= term && !self.closed;
        leads.then_some(term)
    }
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    clocks: Clocks,
    /// Counts the leaderships seen, and closing.
    changes: Progress,
    signal: Signal,
}

/// See the module. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Observer(Arc<Shared>);

impl Observer {
    /// Starts to observe `replication`. `applied_term` and `applied_time` are those of the last
    /// applied entry.
    pub(crate) fn start<R: Runtime, N: Replication>(
        runtime: &R,
        replication: N,
        clocks: Clocks,
        applied_term: u64,
        applied_time: Time,
    ) -> Self {
        let leadership = replication.leadership();
        let observer = Self::seeing(leadership, clocks, applied_term, applied_time);
        let changed = replication.leadership_changed(leadership);
        let mut task = Task { observer: observer.clone(), replication, changed };
        runtime.spawn(async move { poll_fn(|cx| task.poll(cx)).await }.boxed());
        observer
    }

    fn seeing(leadership: Leadership, clocks: Clocks, applied_term: u64, applied_time: Time) -> Self {
        let last_stamp = LastStamp { time: applied_time, at: clocks.now() };
        let state = Mutex::new(State { leadership, applied_term, last_stamp, ..State::default() });
        let (changes, signal) = (Progress::default(), Signal::default());
        Self(Arc::new(Shared { state, clocks, changes, signal }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0.state)
    }

    /// The last leadership seen.
    pub(crate) fn leadership(&self) -> Leadership {
        self.state().leadership
    }

    /// The term that this member leads, once it has applied that term's first entry; none when the
    /// member ends.
    pub(crate) fn leading(&self) -> Option<u64> {
        self.state().leading()
    }

    /// The largest term of an applied entry.
    pub(crate) fn applied_term(&self) -> u64 {
        self.state().applied_term
    }

    /// Cluster time at `now`, if this member leads `term` and knows where to begin. It learns that
    /// from the other members: [`clocks_changed`](Self::clocks_changed) wakes those who follow.
    pub(crate) fn stamp(&self, term: u64, now: Monotonic) -> Option<Time> {
        let mut state = self.state();
        if state.leading() != Some(term) {
            return None;
        }
        let own_ms = is_planted(Bug::TimeOfOneClock).then(|| self.0.clocks.read().wall_ms);
        let (last, median_ms) = (state.last_stamp, own_ms.or_else(|| self.0.clocks.median_ms(now)));
        state.time_base.stamp(term, last, now, median_ms)
    }

    /// More may be known of the members' clocks than before.
    pub(crate) fn clocks_changed(&self) {
        self.wake_followers();
    }

    /// Raises `signal` whenever [`leadership`](Self::leadership) or [`leading`](Self::leading) may
    /// have changed, and when the member ends.
    pub(crate) fn follow(&self, signal: Signal) {
        self.state().followers.push(signal);
    }

    /// Resolves when [`leadership`](Self::leadership) differs from `seen`.
    pub(crate) async fn changed(&self, seen: Leadership) {
        loop {
            let next = self.0.changes.get() + 1;
            if self.leadership() != seen {
                return;
            }
            self.0.changes.reach(next).await;
        }
    }

    /// An entry of `term` was applied, or a snapshot that ends with it installed; the state has
    /// `time`.
    pub(crate) fn applied(&self, term: u64, time: Time) {
        let first = {
            let mut state = self.state();
            if time > state.last_stamp.time {
                state.last_stamp = LastStamp { time, at: self.0.clocks.now() };
            }
            let first = term > state.applied_term;
            state.applied_term = state.applied_term.max(term);
            first
        };
        if first {
            self.wake_followers();
        }
    }

    /// Ends the task and those that follow.
    pub(crate) fn close(&self) {
        self.state().closed = true;
        self.0.signal.raise();
        self.wake_followers();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state().closed
    }

    fn see(&self, leadership: Leadership) {
        self.state().leadership = leadership;
        self.0.changes.advance(self.0.changes.get() + 1);
        self.wake_followers();
    }

    fn wake_followers(&self) {
        let followers = self.state().followers.clone();
        followers.iter().for_each(Signal::raise);
    }
}

struct Task<N> {
    observer: Observer,
    replication: N,
    changed: BoxFuture<'static, ()>,
}

impl<N: Replication> Task<N> {
    /// Ready when the observer is closed.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.observer.0.signal.poll_raised(cx).is_ready() {}
        if self.observer.is_closed() {
            return Poll::Ready(());
        }
        while self.changed.poll_unpin(cx).is_ready() {
            let leadership = self.replication.leadership();
            self.changed = self.replication.leadership_changed(leadership);
            self.observer.see(leadership);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests;
