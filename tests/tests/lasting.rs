//! A cluster that serves for long needs no more memory, descriptors and disk than at first, and
//! loses nothing.
//!
//! `make soak WHAT=lasting` lasts an hour, and prints a line a lap.
use std::time::Duration;

use synod_tests::chaos::{Lap, Lasting, Need};

/// Operations of the shortest lap.
const FEWEST_OPERATIONS: u64 = 200;
/// What a member may need more, in percent and beside that.
const MORE_PERCENT: u64 = 10;
const MORE_BYTES: u64 = 32 << 20;
const MORE_DESCRIPTORS: u64 = 32;

/// How many laps, and how long each lasts.
fn laps() -> (usize, Duration) {
    if std::env::var_os("SYNOD_SOAK").is_some() {
        (60, Duration::from_secs(58))
    } else {
        (3, Duration::from_secs(4))
    }
}

/// The most that any member needed in these laps.
fn most(laps: &[Lap], what: impl Fn(&Need) -> u64) -> u64 {
    laps.iter().flat_map(|lap| &lap.needs).map(what).max().expect("there are laps")
}

/// Of the laps after the first third, the later half must need what the earlier half does: before,
/// caches fill.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_serves_for_long_loses_nothing_and_needs_no_more() {
    let (count, lasts) = laps();
    let mut cluster = Lasting::start().await;
    let mut laps = Vec::new();
    for number in 1..=count {
        let lap = cluster.lap(lasts).await;
        assert!(lap.operations >= FEWEST_OPERATIONS, "only {} operations", lap.operations);
        eprintln!("lap {number}: {} operations checked, {:?}", lap.operations, lap.needs);
        laps.push(lap);
    }
    let operations: u64 = laps.iter().map(|lap| lap.operations).sum();
    eprintln!("{operations} operations checked, no violation");
    let (earlier, later) = laps[count / 3..].split_at(count / 3);
    let grown = |what: fn(&Need) -> u64, more: u64| {
        let (before, after) = (most(earlier, what), most(later, what));
        (after > before + before * MORE_PERCENT / 100 + more).then_some((before, after))
    };
    assert_eq!(grown(|need| need.resident_bytes, MORE_BYTES), None, "memory grows");
    assert_eq!(grown(|need| need.descriptors, MORE_DESCRIPTORS), None, "descriptors grow");
    assert_eq!(grown(|need| need.disk_bytes, MORE_BYTES), None, "the folder grows");
}
