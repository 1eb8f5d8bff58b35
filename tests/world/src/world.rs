//! The tasks that can run, and the timers that others wait for.
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Waker};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use futures::task::ArcWake;

use crate::{Dice, Process, lock};

/// Polls in one settling, so that a task that never rests fails a test instead of hanging it.
const POLLS: usize = 5_000_000;
/// FNV-1a, of 64 bits.
const FNV_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;

/// In which order woken tasks run.
#[derive(Clone, Debug, Default)]
pub enum Order {
    /// First woken, first run.
    #[default]
    Woken,
    /// As the dice fall.
    Drawn(Dice),
}

/// See the crate. Clones are the same world.
#[derive(Clone, Debug, Default)]
pub struct World(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    ready: Mutex<Ready>,
    timers: Mutex<Timers>,
    processes: AtomicU64,
    tasks: AtomicU64,
    polls: AtomicU64,
    fingerprint: Mutex<Fingerprint>,
}

#[derive(Debug, Default)]
struct Ready {
    queue: VecDeque<Arc<Task>>,
    order: Order,
}

#[derive(Debug, Default)]
struct Timers {
    now: Duration,
    next: u64,
    /// By the world's time; with the process that waits.
    waiting: BTreeMap<(Duration, u64), (u64, Waker)>,
}

#[derive(Debug)]
struct Fingerprint(u64);

impl Default for Fingerprint {
    fn default() -> Self {
        Self(FNV_BASIS)
    }
}

/// A task of a process.
pub(crate) struct Task {
    id: u64,
    future: Mutex<Option<BoxFuture<'static, ()>>>,
    queued: AtomicBool,
    process: Process,
    /// Weak: what waits in a world must not keep it.
    world: Weak<Inner>,
}

impl std::fmt::Debug for Task {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Task").field(&self.id).finish()
    }
}

impl ArcWake for Task {
    fn wake_by_ref(task: &Arc<Self>) {
        if task.queued.swap(true, Ordering::AcqRel) {
            return;
        }
        if let Some(world) = task.world.upgrade() {
            lock(&world.ready).queue.push_back(task.clone());
        }
    }
}

impl Task {
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    pub(crate) fn drop_future(&self) {
        let future = lock(&self.future).take();
        drop(future);
    }

    fn run(task: &Arc<Self>) {
        task.queued.store(false, Ordering::Release);
        // Not held meanwhile: a task may kill its own process.
        let future = lock(&task.future).take();
        let Some(mut future) = future else { return };
        let waker = futures::task::waker(task.clone());
        let polled = task.process.enter(|| future.poll_unpin(&mut Context::from_waker(&waker)));
        if polled.is_pending() && !task.process.is_killed() {
            *lock(&task.future) = Some(future);
        } else {
            task.process.enter(|| drop(future));
            task.process.ended(task.id);
        }
    }
}

impl World {
    /// A world whose tasks run in this order.
    pub fn new(order: Order) -> Self {
        let world = Self::default();
        lock(&world.0.ready).order = order;
        world
    }

    /// A new process in it.
    pub fn process(&self) -> Process {
        let id = self.0.processes.fetch_add(1, Ordering::Relaxed);
        let dice = match &mut lock(&self.0.ready).order {
            Order::Woken => Dice::new(id),
            Order::Drawn(dice) => dice.fork(),
        };
        Process::new(self, id, dice)
    }

    /// Time since it began.
    pub fn elapsed(&self) -> Duration {
        lock(&self.0.timers).now
    }

    /// How often any task was polled.
    pub fn polls(&self) -> u64 {
        self.0.polls.load(Ordering::Relaxed)
    }

    /// Differs between runs in which anything ran in another order or at another time, or that
    /// [noted](Self::note) anything else.
    pub fn fingerprint(&self) -> u64 {
        lock(&self.0.fingerprint).0
    }

    /// Adds something that happened to the fingerprint.
    pub fn note(&self, bytes: &[u8]) {
        let mut fingerprint = lock(&self.0.fingerprint);
        for byte in bytes {
            fingerprint.0 = (fingerprint.0 ^ u64::from(*byte)).wrapping_mul(FNV_PRIME);
        }
    }

    /// Runs until every task waits.
    ///
    /// # Panics
    /// They never do.
    pub fn settle(&self) {
        for _ in 0..POLLS {
            let Some(task) = self.next() else { return };
            if task.process.keeps(&task) {
                continue;
            }
            self.0.polls.fetch_add(1, Ordering::Relaxed);
            let at = self.elapsed().as_nanos() as u64;
            self.note(&(at ^ task.id.rotate_left(32)).to_le_bytes());
            Task::run(&task);
        }
        panic!("tasks never rest");
    }

    fn next(&self) -> Option<Arc<Task>> {
        let Ready { queue, order } = &mut *lock(&self.0.ready);
        match order {
            Order::Woken => queue.pop_front(),
            Order::Drawn(dice) => queue.swap_remove_back(dice.below(queue.len() as u64) as usize),
        }
    }

    /// Moves to the next timer, if there is one up to `until`, else to `until`; whether there was.
    pub fn jump(&self, until: Duration) -> bool {
        let mut timers = lock(&self.0.timers);
        let next = timers.waiting.keys().next().map(|(at, _)| *at).filter(|at| *at <= until);
        timers.now = timers.now.max(next.unwrap_or(until));
        let now = timers.now;
        let mut woken = Vec::new();
        while let Some(first) = timers.waiting.first_entry() {
            if first.key().0 > now {
                break;
            }
            woken.push(first.remove().1);
        }
        drop(timers);
        woken.into_iter().for_each(Waker::wake);
        next.is_some()
    }

    pub(crate) fn add(&self, process: &Process, future: BoxFuture<'static, ()>) -> Arc<Task> {
        let task = Arc::new(Task {
            id: self.0.tasks.fetch_add(1, Ordering::Relaxed),
            future: Mutex::new(Some(future)),
            queued: AtomicBool::new(true),
            process: process.clone(),
            world: Arc::downgrade(&self.0),
        });
        lock(&self.0.ready).queue.push_back(task.clone());
        task
    }

    pub(crate) fn requeue(&self, tasks: Vec<Arc<Task>>) {
        lock(&self.0.ready).queue.extend(tasks);
    }

    pub(crate) fn wait_until(&self, at: Duration, process: u64, waker: Waker) -> (Duration, u64) {
        let mut timers = lock(&self.0.timers);
        timers.next += 1;
        let place = (at, timers.next);
        timers.waiting.insert(place, (process, waker));
        place
    }

    pub(crate) fn stop_waiting(&self, place: (Duration, u64)) {
        // Dropped behind the lock: it may be the last that keeps a task.
        let waker = lock(&self.0.timers).waiting.remove(&place);
        drop(waker);
    }

    /// Has those tasks of a process look at their clock that wait for it.
    pub(crate) fn wake_sleepers(&self, process: u64) {
        let timers = lock(&self.0.timers);
        let wakers = timers.waiting.values().filter(|(of, _)| *of == process).map(|(_, waker)| waker.clone());
        let wakers: Vec<Waker> = wakers.collect();
        drop(timers);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Drops everything that waits or could run: a world that ended keeps nothing.
    pub fn end(&self) {
        loop {
            let queue = std::mem::take(&mut lock(&self.0.ready).queue);
            let waiting = std::mem::take(&mut lock(&self.0.timers).waiting);
            if queue.is_empty() && waiting.is_empty() {
                return;
            }
            queue.iter().for_each(|task| task.drop_future());
        }
    }
}

#[cfg(test)]
mod tests;
