//! A virtual world as openraft's runtime and the service crate's: tasks, timers and chance of the
//! process that asks.
//!
//! openraft asks without naming a process, so it is the one whose task runs. Channels and mutexes
//! are those of the real runtime: they need no thread, and their order is that of their calls. Only
//! its watch channel wakes in an order that is drawn at random; ours is in `watch`.
mod watch;

use std::fmt;
use std::future::Future;
use std::io;
use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt;
use futures::channel::oneshot;
use futures::future::BoxFuture;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use synod_consensus::TokioRuntime;
use synod_consensus::runtime::{AsyncRuntime, Instant, OptionalSend};
use synod_service::ports::{Clock, Monotonic, Runtime};
use synod_world::{Process, Sleep};

use watch::SimWatch;

/// openraft's runtime. No value of it is used.
#[derive(Debug)]
pub struct SimRuntime;

/// A time on the monotonic clock of the process that asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SimInstant(Duration);

impl Instant for SimInstant {
    fn now() -> Self {
        Self(Process::current().now())
    }
}

impl Add<Duration> for SimInstant {
    type Output = Self;
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }
}

impl AddAssign<Duration> for SimInstant {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl Sub<Duration> for SimInstant {
    type Output = Self;
    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(duration))
    }
}

impl Sub for SimInstant {
    type Output = Duration;
    fn sub(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl SubAssign<Duration> for SimInstant {
    fn sub_assign(&mut self, duration: Duration) {
        *self = *self - duration;
    }
}

/// The task ended with its process.
#[derive(Debug)]
pub struct Killed;

impl fmt::Display for Killed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the task ended with its process")
    }
}

/// The result of a task, which runs on when this is dropped.
#[derive(Debug)]
pub struct Join<T>(oneshot::Receiver<T>);

impl<T> Future for Join<T> {
    type Output = Result<T, Killed>;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll_unpin(cx).map_err(|_| Killed)
    }
}

/// The time was over first.
#[derive(Debug)]
pub struct Elapsed;

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the time is over")
    }
}

/// A future with a time limit.
#[derive(Debug)]
pub struct Timeout<F> {
    work: Pin<Box<F>>,
    limit: Sleep,
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Poll::Ready(value) = self.work.as_mut().poll(cx) {
            return Poll::Ready(Ok(value));
        }
        self.limit.poll_unpin(cx).map(|()| Err(Elapsed))
    }
}

/// Runs `work` for at most `limit` on the clock of `process`; none: the time was over first.
pub async fn within<T>(process: &Process, limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    Timeout { work: Box::pin(work), limit: process.sleep(limit) }.await.ok()
}

impl AsyncRuntime for SimRuntime {
    type JoinError = Killed;
    type JoinHandle<T: OptionalSend + 'static> = Join<T>;
    type Sleep = Sleep;
    type Instant = SimInstant;
    type TimeoutError = Elapsed;
    type Timeout<R, T: Future<Output = R> + OptionalSend> = Timeout<T>;
    type ThreadLocalRng = SmallRng;

    fn spawn<T>(future: T) -> Join<T::Output>
    where
        T: Future + OptionalSend + 'static,
        T::Output: OptionalSend + 'static,
    {
        Join(Process::current().start(future))
    }

    fn sleep(duration: Duration) -> Sleep {
        Process::current().sleep(duration)
    }

    fn sleep_until(deadline: SimInstant) -> Sleep {
        Process::current().sleep_until(deadline.0)
    }

    fn timeout<R, F: Future<Output = R> + OptionalSend>(duration: Duration, future: F) -> Timeout<F> {
        Timeout { work: Box::pin(future), limit: Self::sleep(duration) }
    }

    fn timeout_at<R, F: Future<Output = R> + OptionalSend>(deadline: SimInstant, future: F) -> Timeout<F> {
        Timeout { work: Box::pin(future), limit: Self::sleep_until(deadline) }
    }

    fn is_panic(_: &Killed) -> bool {
        false
    }

    fn thread_rng() -> SmallRng {
        SmallRng::seed_from_u64(Process::current().chance())
    }

    type Mpsc = <TokioRuntime as AsyncRuntime>::Mpsc;
    type Watch = SimWatch;
    type Oneshot = <TokioRuntime as AsyncRuntime>::Oneshot;
    type Mutex<T: OptionalSend + 'static> = <TokioRuntime as AsyncRuntime>::Mutex<T>;

    fn new(_: usize) -> Self {
        Self
    }

    fn block_on<F, T>(&mut self, _: F) -> T
    where
        F: Future<Output = T>,
    {
        panic!("a world runs its tasks itself")
    }

    async fn spawn_blocking<F, T>(work: F) -> Result<T, io::Error>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        Ok(work())
    }
}

/// A process as the service crate's runtime and clock.
#[derive(Clone, Debug)]
pub struct Tasks(pub Process);

impl Runtime for Tasks {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.0.spawn(task);
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.0.sleep(duration).boxed()
    }

    fn now(&self) -> Monotonic {
        Monotonic(self.0.now())
    }

    fn run_blocking(&self, work: Box<dyn FnOnce() + Send>) {
        work();
    }
}

impl Clock for Tasks {
    fn wall_ms(&self) -> u64 {
        self.0.wall_ms()
    }
}
