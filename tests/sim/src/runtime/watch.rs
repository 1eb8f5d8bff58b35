//! A watch channel that wakes its receivers in the order in which they began to wait.
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::task::{Context, Poll, Waker};

use synod_consensus::runtime::{
    OptionalSend, OptionalSync, RecvError, Watch, WatchReceiver, WatchSendError, WatchSender,
};

/// See the module.
#[derive(Debug)]
pub struct SimWatch;

struct Shared<T> {
    value: RwLock<T>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    version: u64,
    senders: usize,
    receivers: usize,
    next: u64,
    waiting: BTreeMap<u64, Waker>,
}

impl<T> Shared<T> {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> Seen<'_, T> {
        Seen(self.value.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn wake(&self) {
        let waiting = std::mem::take(&mut self.state().waiting);
        waiting.into_values().for_each(Waker::wake);
    }
}

/// The present value.
pub struct Seen<'a, T>(RwLockReadGuard<'a, T>);

impl<T> Deref for Seen<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

/// The sending end.
pub struct Sender<T>(Arc<Shared<T>>);

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.0.state().senders += 1;
        Self(self.0.clone())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let left = {
            let mut state = self.0.state();
            state.senders -= 1;
            state.senders
        };
        if left == 0 {
            self.0.wake();
        }
    }
}

/// A receiving end.
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    seen: u64,
    id: u64,
}

impl<T> Receiver<T> {
    fn new(shared: &Arc<Shared<T>>, seen: u64) -> Self {
        let mut state = shared.state();
        state.receivers += 1;
        state.next += 1;
        Self { shared: shared.clone(), seen, id: state.next }
    }

    fn poll_changed(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), RecvError>> {
        let mut state = self.shared.state();
        if state.version != self.seen {
            self.seen = state.version;
            return Poll::Ready(Ok(()));
        }
        if state.senders == 0 {
            return Poll::Ready(Err(RecvError(())));
        }
        state.waiting.insert(self.id, cx.waker().clone());
        Poll::Pending
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        Self::new(&self.shared, self.seen)
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.receivers -= 1;
        let waker = state.waiting.remove(&self.id);
        drop(state);
        drop(waker);
    }
}

impl Watch for SimWatch {
    type Sender<T: OptionalSend + OptionalSync> = Sender<T>;
    type Receiver<T: OptionalSend + OptionalSync> = Receiver<T>;
    type Ref<'a, T: OptionalSend + 'a> = Seen<'a, T>;

    fn channel<T: OptionalSend + OptionalSync>(init: T) -> (Sender<T>, Receiver<T>) {
        let state = State { senders: 1, ..State::default() };
        let shared = Arc::new(Shared { value: RwLock::new(init), state: Mutex::new(state) });
        let receiver = Receiver::new(&shared, 0);
        (Sender(shared), receiver)
    }
}

impl<T: OptionalSend + OptionalSync> WatchSender<SimWatch, T> for Sender<T> {
    fn send(&self, value: T) -> Result<(), WatchSendError<T>> {
        if self.0.state().receivers == 0 {
            return Err(WatchSendError(value));
        }
        self.send_if_modified(|present| {
            *present = value;
            true
        });
        Ok(())
    }

    fn send_if_modified<F>(&self, modify: F) -> bool
    where
        F: FnOnce(&mut T) -> bool,
    {
        let modified = modify(&mut self.0.value.write().unwrap_or_else(PoisonError::into_inner));
        if modified {
            self.0.state().version += 1;
            self.0.wake();
        }
        modified
    }

    fn borrow_watched(&self) -> Seen<'_, T> {
        self.0.read()
    }

    fn subscribe(&self) -> Receiver<T> {
        let version = self.0.state().version;
        Receiver::new(&self.0, version)
    }
}

impl<T: OptionalSend + OptionalSync> WatchReceiver<SimWatch, T> for Receiver<T> {
    async fn changed(&mut self) -> Result<(), RecvError> {
        poll_fn(|cx| self.poll_changed(cx)).await
    }

    fn borrow_watched(&self) -> Seen<'_, T> {
        self.shared.read()
    }

    fn borrow_and_update(&mut self) -> Seen<'_, T> {
        self.seen = self.shared.state().version;
        self.shared.read()
    }
}
