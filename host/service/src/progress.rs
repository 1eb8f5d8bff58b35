//! Waiting for a number that only grows (the applied index, the revision), and waking one task: for
//! a cause, or at a time.
//!
//! A waiter is woken once, when its number is reached, however many steps that takes; a watch
//! channel would wake every waiter at every entry.
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures::FutureExt;
use futures::future::BoxFuture;
use futures::task::AtomicWaker;

use crate::ports::{Monotonic, Runtime};

/// Locks; a panic of another holder is not made worse by a second one here.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug, Default)]
struct State {
    reached: u64,
    next_waiter: u64,
    waiters: BTreeMap<(u64, u64), Waker>,
}

/// A number that only grows, and those who wait for it.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<Mutex<State>>);

impl Progress {
    /// The number now.
    pub fn get(&self) -> u64 {
        lock(&self.0).reached
    }

    /// Sets the number, if it is larger, and wakes whoever waits for it or less.
    pub fn advance(&self, to: u64) {
        let mut woken = Vec::new();
        {
            let mut state = lock(&self.0);
            if to <= state.reached {
                return;
            }
            state.reached = to;
            while let Some(first) = state.waiters.first_entry() {
                if first.key().0 > to {
                    break;
                }
                woken.push(first.remove());
            }
        }
        woken.into_iter().for_each(Waker::wake);
    }

    /// Resolves when the number is at least `target`.
    pub fn reach(&self, target: u64) -> Reach {
        Reach { progress: self.clone(), target, waiter: None }
    }

    #[cfg(test)]
    fn waiting(&self) -> usize {
        lock(&self.0).waiters.len()
    }
}

/// See [`Progress::reach`].
#[derive(Debug)]
#[must_use = "a future does nothing unless it is awaited"]
pub struct Reach {
    progress: Progress,
    target: u64,
    waiter: Option<u64>,
}

impl Future for Reach {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let (target, waiter) = (self.target, self.waiter);
        let id = {
            let mut state = lock(&self.progress.0);
            if state.reached >= target {
                return Poll::Ready(());
            }
            let id = waiter.unwrap_or_else(|| {
                state.next_waiter += 1;
                state.next_waiter
            });
            state.waiters.insert((target, id), cx.waker().clone());
            id
        };
        self.waiter = Some(id);
        Poll::Pending
    }
}

impl Drop for Reach {
    fn drop(&mut self) {
        if let Some(id) = self.waiter {
            lock(&self.progress.0).waiters.remove(&(self.target, id));
        }
    }
}

/// Wakes one task; calls before it waits are remembered as one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Signal(Arc<(AtomicBool, AtomicWaker)>);

impl Signal {
    pub(crate) fn raise(&self) {
        if !self.0.0.swap(true, Ordering::AcqRel) {
            self.0.1.wake();
        }
    }

    /// Ready once for all calls of `raise` since the last time it was.
    pub(crate) fn poll_raised(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.1.register(cx.waker());
        if self.0.0.swap(false, Ordering::AcqRel) { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// The time at which a task wants to be woken next.
#[derive(Default)]
pub(crate) struct Alarm(Option<(Monotonic, BoxFuture<'static, ()>)>);

impl Alarm {
    /// Ready once it is `wake`, which may be another time in each call.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        runtime: &impl Runtime,
        wake: Option<Monotonic>,
        now: Monotonic,
    ) -> Poll<()> {
        let Some(wake) = wake else {
            self.0 = None;
            return Poll::Pending;
        };
        if !matches!(&self.0, Some((at, _)) if *at == wake) {
            self.0 = Some((wake, runtime.sleep(wake.since(now))));
        }
        let ready = self.0.as_mut().is_some_and(|(_, sleep)| sleep.poll_unpin(cx).is_ready());
        if !ready {
            return Poll::Pending;
        }
        self.0 = None;
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests;
