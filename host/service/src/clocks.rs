//! The clocks of the members, as each member knows them.
//!
//! Members [`measure`] one another's clocks all the time over their connections, so that an
//! election asks nobody: a new leader has what it needs to stamp. A [`history`] holds the last
//! readings of one member, the [`table`] those of all, and what follows: the lower median of the
//! wall clocks, and whether this member's own clocks are right. Both are pure.
//!
//! What the cluster's time becomes of it is the leader's business.
mod history;
mod measure;
mod table;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex};

use synod_abi::MemberId;

use crate::ports::{Clock, ClockReading, Monotonic, Runtime};
use crate::progress::lock;

pub(crate) use history::Exchange;
pub(crate) use measure::Measuring;
use table::Table;
pub use table::{OwnClocks, WRONG_OFFSET_MS};

/// This member's own clocks.
trait Own: Send + Sync {
    fn now(&self) -> Monotonic;
    fn wall_ms(&self) -> u64;
}

struct Host<R, C>(R, Arc<C>);

impl<R: Runtime, C: Clock> Own for Host<R, C> {
    fn now(&self) -> Monotonic {
        self.0.now()
    }

    fn wall_ms(&self) -> u64 {
        self.1.wall_ms()
    }
}

struct Shared {
    own: Box<dyn Own>,
    incarnation: u64,
    table: Mutex<Table>,
}

/// See the module. Clones share it.
#[derive(Clone)]
pub(crate) struct Clocks(Arc<Shared>);

impl fmt::Debug for Clocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Clocks").field(&*lock(&self.0.table)).finish()
    }
}

impl Clocks {
    /// Those of a cluster of which `member` knows nobody yet, not even itself.
    pub(crate) fn new<R: Runtime, C: Clock>(
        (member, incarnation): (MemberId, u64),
        runtime: R,
        clock: Arc<C>,
    ) -> Self {
        let table = Mutex::new(Table::new(member));
        Self(Arc::new(Shared { own: Box::new(Host(runtime, clock)), incarnation, table }))
    }

    /// Now, on this member's monotonic clock.
    pub(crate) fn now(&self) -> Monotonic {
        self.0.own.now()
    }

    /// What this member's clocks show.
    pub(crate) fn read(&self) -> ClockReading {
        let Shared { own, incarnation, .. } = &*self.0;
        ClockReading { wall_ms: own.wall_ms(), monotonic: own.now(), incarnation: *incarnation }
    }

    /// Sets whose clocks count.
    pub(crate) fn set_voters(&self, voters: BTreeSet<MemberId>) {
        lock(&self.0.table).set_voters(voters);
    }

    /// Notes what `member` answered.
    pub(crate) fn heard(&self, member: MemberId, exchange: Exchange) {
        lock(&self.0.table).heard(member, exchange);
    }

    /// The wall clock that a majority allows at `now`; see [`Table::median_ms`].
    pub(crate) fn median_ms(&self, now: Monotonic) -> Option<u64> {
        lock(&self.0.table).median_ms(now, self.0.own.wall_ms())
    }

    /// How this member's own clocks compare with those of the others.
    pub(crate) fn own(&self) -> OwnClocks {
        let ClockReading { wall_ms, monotonic, .. } = self.read();
        lock(&self.0.table).own(monotonic, wall_ms)
    }
}
