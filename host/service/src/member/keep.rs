//! What a member finds out about itself, for its [availability](crate::availability): whether a
//! majority confirms its leader, whether it has applied what that confirms, whether its clocks are
//! right.
//!
//! A leader without a majority and a follower that is cut off learn it in no other way: nothing is
//! sent to them that says so.
use std::pin::pin;
use std::time::Duration;

use futures::future;

use super::{Inner, Member};
use crate::clocks::Measuring;
use crate::ports::{Ports, Runtime};
use crate::read::Probed;

/// How often a member that nothing is wrong with probes.
const PROBE_EVERY: Duration = Duration::from_millis(500);
/// How soon a member probes again after a probe that failed, and until it is ready.
const PROBE_AGAIN: Duration = Duration::from_millis(100);
/// How long a majority may take to confirm the leader to a probe.
const CONFIRM_TIMEOUT: Duration = Duration::from_millis(500);
/// How long after that the member may take to apply what was committed.
const APPLY_TIMEOUT: Duration = Duration::from_secs(1);

impl<P: Ports> Member<P> {
    /// Keeps the availability up to date until the member ends; waiting calls end while it keeps no
    /// clients.
    pub async fn keep_available(&self) {
        let Inner { runtime, standing, reader, observer, applied, parked, .. } = &*self.0;
        let mut confirmed_at = runtime.now();
        let mut up_to_date_at = confirmed_at;
        while !observer.is_closed() {
            let leadership = observer.leadership();
            let asked_at = runtime.now();
            let probed = reader.probe(CONFIRM_TIMEOUT, APPLY_TIMEOUT).await;
            if probed != Probed::Unconfirmed {
                confirmed_at = asked_at;
            }
            if probed == Probed::UpToDate {
                up_to_date_at = asked_at;
            }
            let now = runtime.now();
            let is_formed = applied.head().cluster.is_some();
            standing.note(|observed| {
                observed.is_formed = is_formed;
                observed.has_caught_up |= probed == Probed::UpToDate;
                observed.unconfirmed = now.since(confirmed_at);
                observed.behind = now.since(up_to_date_at);
            });
            let availability = standing.get();
            if availability.leaves_clients().is_some() {
                parked.end_all();
            }
            let is_good = probed == Probed::UpToDate && availability.impairment(false).is_none();
            let pause = runtime.sleep(if is_good { PROBE_EVERY } else { PROBE_AGAIN });
            future::select(pause, pin!(observer.changed(leadership))).await;
        }
    }

    /// Measures the clocks of the other members until the member ends.
    pub async fn keep_clocks(&self) {
        let Inner { runtime, standing, clocks, observer, touch_server, .. } = &*self.0;
        let me = observer.leadership().me;
        let measuring = Measuring { me, clocks, runtime, replication: &touch_server.replication };
        while !observer.is_closed() {
            measuring.ask_all(&|| observer.clocks_changed()).await;
            observer.clocks_changed();
            let own = clocks.own();
            standing.note(|observed| {
                observed.wall_clock_is_off = own.is_off();
                observed.clock_runs_wrong = own.runs_wrong;
            });
            measuring.pause().await;
        }
    }
}
