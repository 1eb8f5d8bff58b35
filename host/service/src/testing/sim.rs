//! One thread, virtual time: tasks run in the order in which they were woken, and time passes only
//! when a test says so. The tasks of one process can be stopped while time and the others go on.
use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::FutureExt;
use futures::channel::oneshot;
use futures::future::BoxFuture;
use futures::task::ArcWake;

use crate::ports::{Clock, Monotonic, Runtime};
use crate::progress::lock;

/// Polls in one settling, so that a task that never rests fails a test instead of hanging it.
const POLLS: usize = 5_000_000;
/// Virtual time that `block_on` lets pass.
const PATIENCE: Duration = Duration::from_secs(3_600);
pub(crate) const WALL_MS: u64 = 1_700_000_000_000;

type Ready = Arc<Mutex<VecDeque<Arc<Task>>>>;

struct Task {
    future: Mutex<Option<BoxFuture<'static, ()>>>,
    queued: AtomicBool,
    ready: Ready,
    process: Arc<Process>,
}

/// What can be stopped at once; woken tasks of it wait here. It has clocks of its own.
struct Process {
    stopped: AtomicBool,
    waiting: Mutex<Vec<Arc<Task>>>,
    /// How far its wall clock is ahead.
    wall_offset_ms: AtomicI64,
    /// The rate of its monotonic clock; of 100 a right one.
    speed_percent: AtomicU64,
}

impl Default for Process {
    fn default() -> Self {
        Self {
            stopped: AtomicBool::new(false),
            waiting: Mutex::default(),
            wall_offset_ms: AtomicI64::new(0),
            speed_percent: AtomicU64::new(100),
        }
    }
}

impl Process {
    fn speed(&self) -> u32 {
        u32::try_from(self.speed_percent.load(Ordering::Relaxed)).expect("a speed")
    }
}

impl ArcWake for Task {
    fn wake_by_ref(task: &Arc<Self>) {
        if !task.queued.swap(true, Ordering::AcqRel) {
            lock(&task.ready).push_back(task.clone());
        }
    }
}

#[derive(Default)]
struct Timers {
    now: Duration,
    next: u64,
    waiting: BTreeMap<(Duration, u64), Waker>,
}

#[derive(Clone, Default)]
pub(crate) struct Sim {
    ready: Ready,
    timers: Arc<Mutex<Timers>>,
    process: Arc<Process>,
    polls: Arc<AtomicU64>,
}

struct Sleep {
    timers: Arc<Mutex<Timers>>,
    at: Duration,
    id: u64,
}

impl Future for Sleep {
    type Output = ();
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut timers = lock(&self.timers);
        if timers.now >= self.at {
            return Poll::Ready(());
        }
        timers.waiting.insert((self.at, self.id), cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        lock(&self.timers).waiting.remove(&(self.at, self.id));
    }
}

impl Runtime for Sim {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        let (ready, process) = (self.ready.clone(), self.process.clone());
        let task =
            Arc::new(Task { future: Mutex::new(Some(task)), queued: AtomicBool::new(true), ready, process });
        lock(&self.ready).push_back(task);
    }
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let mut timers = lock(&self.timers);
        timers.next += 1;
        let really = duration * 100 / self.process.speed();
        let (at, id) = (timers.now + really, timers.next);
        Sleep { timers: self.timers.clone(), at, id }.boxed()
    }
    fn now(&self) -> Monotonic {
        Monotonic(lock(&self.timers).now * self.process.speed() / 100)
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
        let right = WALL_MS + lock(&self.timers).now.as_millis() as u64;
        right.saturating_add_signed(self.process.wall_offset_ms.load(Ordering::Relaxed))
    }
}

impl Sim {
    /// Another process in the same world.
    pub(crate) fn process(&self) -> Self {
        Self { process: Arc::default(), ..self.clone() }
    }

    /// Sets the wall clock of this process so far ahead of the right time.
    pub(crate) fn set_wall_clock(&self, ahead_ms: i64) {
        self.process.wall_offset_ms.store(ahead_ms, Ordering::Relaxed);
    }

    /// Lets the monotonic clock of this process run at another rate. To be called before its tasks
    /// have begun to wait for it.
    pub(crate) fn set_speed(&self, percent: u64) {
        self.process.speed_percent.store(percent, Ordering::Relaxed);
    }

    /// Stops the tasks of this process, or lets them go on.
    pub(crate) fn stop(&self, stopped: bool) {
        self.process.stopped.store(stopped, Ordering::Release);
        if !stopped {
            lock(&self.ready).extend(lock(&self.process.waiting).drain(..));
        }
    }

    /// How often any task was polled.
    pub(crate) fn polls(&self) -> u64 {
        self.polls.load(Ordering::Relaxed)
    }

    /// Runs until every task waits.
    pub(crate) fn settle(&self) {
        for _ in 0..POLLS {
            let Some(task) = lock(&self.ready).pop_front() else { return };
            if task.process.stopped.load(Ordering::Acquire) {
                lock(&task.process.waiting).push(task.clone());
                continue;
            }
            self.polls.fetch_add(1, Ordering::Relaxed);
            task.queued.store(false, Ordering::Release);
            let mut slot = lock(&task.future);
            if let Some(mut future) = slot.take() {
                let waker = futures::task::waker(task.clone());
                if future.poll_unpin(&mut Context::from_waker(&waker)).is_pending() {
                    *slot = Some(future);
                }
            }
        }
        panic!("tasks never rest");
    }

    /// Moves to the next timer, if there is one up to `until`.
    pub(crate) fn jump(&self, until: Duration) -> bool {
        let mut timers = lock(&self.timers);
        let next = timers.waiting.keys().next().map(|(at, _)| *at).filter(|at| *at <= until);
        timers.now = timers.now.max(next.unwrap_or(until));
        let now = timers.now;
        let mut woken = Vec::new();
        while let Some(first) = timers.waiting.first_entry() {
            if first.key().0 > now {
                break;
            }
            woken.push(first.remove());
        }
        drop(timers);
        woken.into_iter().for_each(Waker::wake);
        next.is_some()
    }

    pub(crate) fn elapsed(&self) -> Duration {
        lock(&self.timers).now
    }

    /// Starts `work`; its result can be looked at later.
    pub(crate) fn start<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> oneshot::Receiver<T> {
        let (done, result) = oneshot::channel();
        self.spawn(
            async move {
                let _ = done.send(work.await);
            }
            .boxed(),
        );
        result
    }

    /// Runs `work`, letting time pass when nothing else is left to do. `between` is called whenever
    /// all tasks wait, and says whether it did something.
    pub(crate) fn block_on<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
        mut between: impl FnMut() -> bool,
    ) -> T {
        let mut result = self.start(work);
        let end = self.elapsed() + PATIENCE;
        loop {
            self.settle();
            if let Ok(Some(result)) = result.try_recv() {
                return result;
            }
            if !between() && !self.jump(end) {
                panic!("nothing is left to do, and the work is not done");
            }
        }
    }
}
