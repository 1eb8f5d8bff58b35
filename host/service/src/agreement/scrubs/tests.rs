//! Unit tests of `agreement::scrubs`.
use futures::FutureExt;

use super::*;

#[test]
fn who_asks_while_one_runs_gets_the_next_one() {
    let scrubs = Scrubs::default();
    assert!(scrubs.asked().now_or_never().is_none());
    assert_eq!([scrubs.ask(), scrubs.ask()], [1, 1], "none has begun");
    assert!(scrubs.asked().now_or_never().is_some());
    scrubs.begin();
    assert!(scrubs.asked().now_or_never().is_none());
    scrubs.progress(RowsRead { rows: 2, bytes: 9 });
    assert_eq!(scrubs.ask(), 2);
    scrubs.end(ScrubReport::default());
    assert!(scrubs.asked().now_or_never().is_some());
    let status = scrubs.status();
    assert_eq!((status.begun, status.ended, status.read.rows, status.last.is_some()), (1, 1, 2, true));
}

#[test]
fn members_begin_at_different_times_soon_after_their_start() {
    let day = Duration::from_secs(24 * 3_600);
    let pace = ScrubPace { every: Some(day), bytes_per_second: 1 };
    let first = |member| pace.first(MemberId(member)).expect("it is due some time");
    assert_eq!(first(0), day / 24);
    assert!(first(1) > first(0) && first(1_023) < day / 12);
    assert_eq!(ScrubPace { every: None, ..pace }.first(MemberId(1)), None);
}
