//! Budgets of bytes: how much memory a port keeps for all of its connections, and for each of them.
//!
//! A [`Pool`] is what a port has for all connections, a [`Total`] what one connection has for
//! everything, a [`Meter`] what one connection has of one pool, a [`Charge`] bytes that are kept
//! until it is dropped. Bytes whose number is known beforehand are *taken*, which waits or fails
//! while they don't fit. Bytes that are there already, such as a frame that was read, are *owed*:
//! they always count, and nothing more is read or written for a connection that owes too much.
//!
//! A connection may never hold more of the pool than it leaves over. So a thousand greedy ones
//! leave as much to the next one as each of them has, and a small share is always granted.
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::{Either, select};
use tokio::sync::Notify;

/// Bytes for all connections of a port.
#[derive(Debug)]
pub(crate) struct Pool {
    limit: usize,
    used: AtomicUsize,
    freed: Notify,
}

impl Pool {
    /// A pool of `limit` bytes.
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, used: AtomicUsize::new(0), freed: Notify::new() })
    }

    /// Takes `bytes` for a connection that holds `after` with them.
    fn try_take(&self, bytes: usize, after: usize, share: usize) -> bool {
        let fits = |used: usize| {
            let all = used + bytes;
            (after <= share || all + after <= self.limit).then_some(all)
        };
        self.used.fetch_update(Ordering::AcqRel, Ordering::Acquire, fits).is_ok()
    }
}

/// Bytes of one connection, whatever they are for.
#[derive(Debug)]
pub(crate) struct Total {
    limit: usize,
    used: AtomicUsize,
    freed: Notify,
    /// Held while bytes are taken, so that no attempt fails because of another that fails.
    taking: Mutex<()>,
}

impl Total {
    /// A connection that may hold `limit` bytes, and holds none.
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        let (used, freed, taking) = (AtomicUsize::new(0), Notify::new(), Mutex::new(()));
        Arc::new(Self { limit, used, freed, taking })
    }
}

/// What one connection may hold of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Bytes that are taken fit if no more than so many are held with them.
    pub(crate) taken_bytes: usize,
    /// With so many bytes owed, nothing more is read or written.
    pub(crate) owed_bytes: usize,
    /// Bytes that it may hold however little of the pool is left.
    pub(crate) share_bytes: usize,
}

/// Why bytes don't fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Short {
    Connection,
    Pool,
}

/// What one connection holds of a pool.
#[derive(Debug)]
pub(crate) struct Meter {
    pool: Arc<Pool>,
    total: Arc<Total>,
    bounds: Bounds,
    used: AtomicUsize,
    owed: AtomicUsize,
}

impl Meter {
    /// Holds nothing yet; what it will hold counts in `total`, too.
    pub(crate) fn new(pool: Arc<Pool>, total: Arc<Total>, bounds: Bounds) -> Arc<Self> {
        let (used, owed) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Arc::new(Self { pool, total, bounds, used, owed })
    }

    /// What it may hold.
    pub(crate) fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// Takes `bytes` if they fit.
    pub(crate) fn try_take(self: &Arc<Self>, bytes: usize) -> Option<Charge> {
        self.try_charge(bytes).ok()
    }

    fn try_charge(self: &Arc<Self>, bytes: usize) -> Result<Charge, Short> {
        let _alone = self.total.taking.lock().unwrap_or_else(PoisonError::into_inner);
        let Bounds { taken_bytes, share_bytes, .. } = self.bounds;
        let after = self.used.load(Ordering::Acquire) + bytes;
        let in_all = self.total.used.load(Ordering::Acquire) + bytes;
        if after > taken_bytes || in_all > self.total.limit {
            return Err(Short::Connection);
        }
        if !self.pool.try_take(bytes, after, share_bytes) {
            return Err(Short::Pool);
        }
        self.used.fetch_add(bytes, Ordering::AcqRel);
        self.total.used.fetch_add(bytes, Ordering::AcqRel);
        Ok(Charge { meter: self.clone(), bytes, owed: 0 })
    }

    /// Takes `bytes` if they fit, and owes them.
    pub(crate) fn try_owe(self: &Arc<Self>, bytes: usize) -> Option<Charge> {
        let mut charge = self.try_take(bytes)?;
        self.owed.fetch_add(bytes, Ordering::AcqRel);
        charge.owed = bytes;
        Some(charge)
    }

    /// Counts `bytes` that are there already.
    pub(crate) fn owe(self: &Arc<Self>, bytes: usize) -> Charge {
        for counted in [&self.used, &self.owed, &self.total.used, &self.pool.used] {
            counted.fetch_add(bytes, Ordering::AcqRel);
        }
        Charge { meter: self.clone(), bytes, owed: bytes }
    }

    /// Takes `bytes`, and waits until they fit. More than the connection may hold never do.
    pub(crate) async fn take(self: Arc<Self>, bytes: usize) -> Charge {
        self.take_between(bytes, bytes).await
    }

    /// Takes `most`, or `least` where the other connections leave no more, and waits until that
    /// fits.
    pub(crate) async fn take_between(self: Arc<Self>, least: usize, most: usize) -> Charge {
        self.when(|| match self.try_charge(most) {
            Err(Short::Pool) if least < most => self.try_charge(least),
            charged => charged,
        })
        .await
    }

    /// Whether more may be read or written.
    pub(crate) fn has_room(&self) -> bool {
        self.room_now().is_ok()
    }

    fn room_now(&self) -> Result<(), Short> {
        let owed = self.owed.load(Ordering::Acquire);
        if owed >= self.bounds.owed_bytes {
            return Err(Short::Connection);
        }
        let scarce = self.pool.used.load(Ordering::Acquire) + owed >= self.pool.limit;
        if scarce && owed >= self.bounds.share_bytes { Err(Short::Pool) } else { Ok(()) }
    }

    /// Waits until more may be read or written.
    pub(crate) async fn room(self: Arc<Self>) {
        self.when(|| self.room_now()).await;
    }

    /// Waits until `attempt` succeeds. What a connection frees wakes all that wait in it; what the
    /// pool gets back wakes one, which wakes the next if it has what it needs.
    async fn when<T>(&self, mut attempt: impl FnMut() -> Result<T, Short>) -> T {
        let mut woken_by_pool = false;
        loop {
            let mut here = pin!(self.total.freed.notified());
            here.as_mut().enable();
            let attempted = attempt();
            if woken_by_pool && attempted.as_ref().err() != Some(&Short::Pool) {
                self.pool.freed.notify_one();
            }
            woken_by_pool = false;
            match attempted {
                Ok(done) => return done,
                Err(Short::Connection) => here.await,
                Err(Short::Pool) => {
                    let mut anywhere = pin!(self.pool.freed.notified());
                    anywhere.as_mut().enable();
                    if let Ok(done) = attempt() {
                        return done;
                    }
                    woken_by_pool = matches!(select(here, anywhere).await, Either::Right(_));
                }
            }
        }
    }
}

/// Bytes that are kept until this is dropped.
#[derive(Debug)]
#[must_use = "the bytes count only as long as this is kept"]
pub(crate) struct Charge {
    meter: Arc<Meter>,
    bytes: usize,
    owed: usize,
}

impl Charge {
    /// How many there are.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Splits the first `bytes` off, or all if there are fewer.
    pub(crate) fn split(&mut self, bytes: usize) -> Self {
        let (bytes, owed) = (bytes.min(self.bytes), bytes.min(self.owed));
        self.bytes -= bytes;
        self.owed -= owed;
        Self { meter: self.meter.clone(), bytes, owed }
    }

    /// Adds what `other` keeps, which must be of the same connection.
    pub(crate) fn merge(&mut self, mut other: Self) {
        self.bytes += std::mem::take(&mut other.bytes);
        self.owed += std::mem::take(&mut other.owed);
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        if self.bytes == 0 {
            return;
        }
        let Meter { pool, total, used, owed, .. } = &*self.meter;
        for counted in [used, &total.used, &pool.used] {
            counted.fetch_sub(self.bytes, Ordering::AcqRel);
        }
        owed.fetch_sub(self.owed, Ordering::AcqRel);
        total.freed.notify_waiters();
        pool.freed.notify_one();
    }
}

#[cfg(test)]
mod tests;
