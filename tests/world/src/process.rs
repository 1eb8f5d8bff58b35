//! What can be stopped or killed at once, with all its tasks; and its clocks.
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use futures::FutureExt;
use futures::channel::oneshot;
use futures::future::BoxFuture;

use crate::world::Task;
use crate::{Dice, Sleep, World, lock};

/// What the right wall clock shows when a world begins, in milliseconds since the Unix epoch.
pub const WALL_MS: u64 = 1_700_000_000_000;
/// Virtual time that [`Process::block_on`] lets pass.
const PATIENCE: Duration = Duration::from_secs(3_600);
const RIGHT_PERCENT: u32 = 100;

thread_local! {
    static CURRENT: RefCell<Option<Process>> = const { RefCell::new(None) };
}

/// See the module. Clones are the same process.
#[derive(Clone)]
pub struct Process(Arc<Inner>);

struct Inner {
    id: u64,
    world: World,
    killed: AtomicBool,
    stopped: AtomicBool,
    /// Woken tasks, while it is stopped.
    waiting: Mutex<Vec<Arc<Task>>>,
    tasks: Mutex<BTreeMap<u64, Weak<Task>>>,
    clock: Mutex<Rate>,
    /// How far its wall clock is ahead.
    wall_offset_ms: AtomicI64,
    dice: Mutex<Dice>,
}

/// A monotonic clock that showed `local` at `world`, and runs at so many hundredths of the right
/// speed since.
#[derive(Clone, Copy, Debug)]
struct Rate {
    world: Duration,
    local: Duration,
    percent: u32,
}

/// Puts the process back that was the present one before.
struct Entered(Option<Process>);

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Process").field(&self.0.id).finish()
    }
}

impl Process {
    pub(crate) fn new(world: &World, id: u64, dice: Dice) -> Self {
        let now = world.elapsed();
        Self(Arc::new(Inner {
            id,
            world: world.clone(),
            killed: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            waiting: Mutex::default(),
            tasks: Mutex::default(),
            clock: Mutex::new(Rate { world: now, local: now, percent: RIGHT_PERCENT }),
            wall_offset_ms: AtomicI64::new(0),
            dice: Mutex::new(dice),
        }))
    }

    /// The process whose task runs now, or that was [entered](Self::enter).
    ///
    /// # Panics
    /// None does.
    pub fn current() -> Self {
        CURRENT.with_borrow(Clone::clone).expect("this runs in a process of a world")
    }

    /// Runs `work` as a task of this process would, at once.
    pub fn enter<T>(&self, work: impl FnOnce() -> T) -> T {
        let _entered = Entered(CURRENT.replace(Some(self.clone())));
        work()
    }

    /// A number that is random to whoever runs in it.
    pub fn chance(&self) -> u64 {
        lock(&self.0.dice).bits()
    }

    /// Its number in its world.
    pub fn id(&self) -> u64 {
        self.0.id
    }

    /// The world that it is in.
    pub fn world(&self) -> &World {
        &self.0.world
    }

    /// Runs `task` beside the others. In a process that was killed it is dropped.
    pub fn spawn(&self, task: BoxFuture<'static, ()>) {
        if self.is_killed() {
            return;
        }
        let task = self.0.world.add(self, task);
        lock(&self.0.tasks).insert(task.id(), Arc::downgrade(&task));
    }

    /// Starts `work`; its result can be looked at later.
    pub fn start<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> oneshot::Receiver<T> {
        let (done, result) = oneshot::channel();
        self.spawn(work.map(|value| drop(done.send(value))).boxed());
        result
    }

    /// Runs `work`, letting time pass when nothing else is left to do. `between` is called whenever
    /// all tasks wait, and says whether it did something.
    ///
    /// # Panics
    /// Nothing is left to do, and `work` is not done.
    pub fn block_on<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
        mut between: impl FnMut() -> bool,
    ) -> T {
        let mut result = self.start(work);
        let end = self.0.world.elapsed() + PATIENCE;
        loop {
            self.0.world.settle();
            if let Ok(Some(result)) = result.try_recv() {
                return result;
            }
            assert!(between() || self.0.world.jump(end), "nothing is left to do, and the work is not done");
        }
    }

    /// Resolves after `duration` on this process's monotonic clock.
    pub fn sleep(&self, duration: Duration) -> Sleep {
        self.sleep_until(self.now().saturating_add(duration))
    }

    /// Resolves when this process's monotonic clock shows `until`.
    pub fn sleep_until(&self, until: Duration) -> Sleep {
        Sleep::new(self.clone(), until)
    }

    /// Its monotonic clock, which a right one shows like the world's time.
    pub fn now(&self) -> Duration {
        let rate = *lock(&self.0.clock);
        rate.local + (self.0.world.elapsed() - rate.world) * rate.percent / RIGHT_PERCENT
    }

    /// The world's time when this process's monotonic clock will show `local`, rounded up.
    pub(crate) fn world_time(&self, local: Duration) -> Duration {
        let rate = *lock(&self.0.clock);
        let left = local.saturating_sub(rate.local).as_nanos();
        let really = (left * u128::from(RIGHT_PERCENT)).div_ceil(u128::from(rate.percent));
        rate.world.saturating_add(Duration::from_nanos(u64::try_from(really).unwrap_or(u64::MAX)))
    }

    /// Lets its monotonic clock run at so many hundredths of the right speed from now on.
    ///
    /// # Panics
    /// `percent` is 0: to stop a process, see [`stop`](Self::stop).
    pub fn set_speed(&self, percent: u32) {
        assert!(percent > 0, "a clock runs");
        let (world, local) = (self.0.world.elapsed(), self.now());
        *lock(&self.0.clock) = Rate { world, local, percent };
        self.0.world.wake_sleepers(self.0.id);
    }

    /// Its wall clock, in milliseconds since the Unix epoch.
    pub fn wall_ms(&self) -> u64 {
        let right = WALL_MS + self.0.world.elapsed().as_millis() as u64;
        right.saturating_add_signed(self.0.wall_offset_ms.load(Ordering::Relaxed))
    }

    /// Sets its wall clock so far ahead of the right time.
    pub fn set_wall_clock(&self, ahead_ms: i64) {
        self.0.wall_offset_ms.store(ahead_ms, Ordering::Relaxed);
    }

    /// Stops its tasks, or lets them go on, like SIGSTOP and SIGCONT. Its clocks go on meanwhile.
    pub fn stop(&self, stopped: bool) {
        self.0.stopped.store(stopped, Ordering::Relaxed);
        if !stopped {
            let waiting = std::mem::take(&mut *lock(&self.0.waiting));
            self.0.world.requeue(waiting);
        }
    }

    /// Whether it is stopped.
    pub fn is_stopped(&self) -> bool {
        self.0.stopped.load(Ordering::Relaxed)
    }

    /// Ends it: its tasks are dropped where they wait, and run no further.
    pub fn kill(&self) {
        self.0.killed.store(true, Ordering::Relaxed);
        lock(&self.0.waiting).clear();
        let tasks = std::mem::take(&mut *lock(&self.0.tasks));
        for task in tasks.into_values().filter_map(|task| task.upgrade()) {
            self.enter(|| task.drop_future());
        }
    }

    /// Whether it was killed.
    pub fn is_killed(&self) -> bool {
        self.0.killed.load(Ordering::Relaxed)
    }

    /// A stopped process keeps the task until it goes on; whether it did.
    pub(crate) fn keeps(&self, task: &Arc<Task>) -> bool {
        let stopped = self.is_stopped();
        if stopped {
            lock(&self.0.waiting).push(task.clone());
        }
        stopped
    }

    pub(crate) fn ended(&self, task: u64) {
        lock(&self.0.tasks).remove(&task);
    }
}
