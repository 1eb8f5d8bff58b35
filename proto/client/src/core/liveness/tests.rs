//! Unit tests of `liveness`.
use super::*;

#[test]
fn silence_is_asked_about_and_then_ends_it() {
    let mut stream = Liveness::new(100, 0);
    assert_eq!(stream.next(10), Beat::WaitUntil(50));
    assert_eq!(
        (stream.next(50), stream.next(60), stream.next(100)),
        (Beat::Probe, Beat::WaitUntil(100), Beat::Silent)
    );
    stream.heard(99);
    assert_eq!((stream.next(100), stream.next(149)), (Beat::WaitUntil(149), Beat::Probe));
}

#[test]
fn a_client_that_was_stopped_for_long_asks_before_it_gives_up() {
    let mut stream = Liveness::new(100, 0);
    assert_eq!(
        (stream.next(5_000), stream.next(5_049), stream.next(5_050)),
        (Beat::Probe, Beat::WaitUntil(5_050), Beat::Silent)
    );
}

#[test]
fn marks_that_stay_behind_the_cluster_end_it_and_those_that_follow_it_do_not() {
    let mut stream = Liveness::new(100, 0);
    for now_ms in (0..1_000).step_by(40) {
        stream.marked(now_ms, now_ms + 40, now_ms);
        assert_eq!(stream.next(now_ms), Beat::WaitUntil(now_ms + 50), "a little behind, and following");
    }
    for (now_ms, beat) in
        [(1_000, Beat::WaitUntil(1_050)), (1_040, Beat::WaitUntil(1_090)), (1_060, Beat::Behind)]
    {
        stream.marked(960, 2_000, now_ms);
        assert_eq!(stream.next(now_ms), beat);
    }
}
