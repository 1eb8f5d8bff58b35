//! Tables of what a watch decides.
use synod_api::v1::Value;

use super::*;

const BACKOFF: Backoff = Backoff { base_ms: 10, max_ms: 40 };

fn event(revision: u64, number: u32) -> Event {
    Event { revision, number, topic: "t".into(), ..Event::default() }
}

fn begun(revision: u64) -> Watching {
    let mut watch = Watching::new(Begin::Now, BACKOFF);
    watch.created(revision, 7).expect("it begins");
    watch
}

fn heard(watch: &mut Watching, events: &[(u64, u32)], partial: bool) -> Vec<(u64, usize)> {
    let events = events.iter().map(|&(revision, number)| event(revision, number)).collect();
    let whole = watch.events(events, partial).expect("in order");
    whole.iter().map(|whole| (whole.revision, whole.events.len())).collect()
}

fn failure(kind: Kind, reason: &str) -> Failure {
    Failure { kind: kind as i32, reason: reason.into(), message: "m".into(), ..Failure::default() }
}

#[test]
fn it_asks_for_what_it_was_told_and_then_for_what_follows() {
    for from in [Begin::Now, Begin::Oldest, Begin::Query, Begin::Revision(5)] {
        let mut watch = Watching::new(from, BACKOFF);
        assert_eq!((watch.request(), watch.is_begun(), watch.revision()), ((from, 0), false, 0));
        watch.created(4, 7).expect("it begins");
        assert_eq!((watch.request(), watch.revision()), ((Begin::Revision(5), 7), 4));
        heard(&mut watch, &[(9, 0)], false);
        assert_eq!(watch.request(), (Begin::Revision(10), 7));
    }
}

#[test]
fn revisions_come_whole_and_once() {
    let mut watch = begun(4);
    assert_eq!(heard(&mut watch, &[(3, 0), (4, 9)], false), [], "heard before");
    assert_eq!(heard(&mut watch, &[(5, 0), (5, 2), (7, 1)], false), [(5, 2), (7, 1)]);
    assert_eq!(
        heard(&mut watch, &[(7, 1), (7, 5), (8, 0)], false),
        [(8, 1)],
        "what is whole is not added to"
    );
    assert_eq!(heard(&mut watch, &[(9, 0), (10, 0), (10, 1)], true), [(9, 1)]);
    assert_eq!(watch.revision(), 9);
    assert_eq!(heard(&mut watch, &[(10, 1), (10, 2)], true), []);
    assert_eq!(heard(&mut watch, &[(10, 3)], false), [(10, 4)]);
    assert_eq!(watch.revision(), 10);
}

#[test]
fn what_is_not_whole_when_the_stream_breaks_comes_again() {
    let mut watch = begun(4);
    assert_eq!(heard(&mut watch, &[(5, 0), (6, 0)], true), [(5, 1)]);
    assert_eq!(watch.lost(0), 0);
    assert_eq!(watch.request(), (Begin::Revision(6), 7));
    watch.created(5, 7).expect("it goes on");
    assert_eq!(heard(&mut watch, &[(6, 0), (6, 1)], false), [(6, 2)]);
}

#[test]
fn progress_moves_it_on_but_not_back_and_not_over_what_is_not_whole() {
    let mut watch = Watching::new(Begin::Now, BACKOFF);
    assert!(!watch.progress(9), "it has not begun");
    watch.created(4, 7).expect("it begins");
    assert!(watch.progress(4) && watch.progress(9) && !watch.progress(8));
    assert_eq!(watch.request(), (Begin::Revision(10), 7));
    heard(&mut watch, &[(12, 0)], true);
    assert!(!watch.progress(12));
    assert_eq!(heard(&mut watch, &[(12, 1)], false), [(12, 2)]);
    assert!(watch.progress(12));
}

#[test]
fn a_gap_and_disorder_end_it() {
    let mut watch = begun(4);
    watch.created(3, 7).expect("it hears some again");
    assert!(matches!(watch.created(5, 7), Err(WatchError::Failed(Error::Internal(_)))));
    assert!(begun(4).events(vec![event(6, 0), event(5, 0)], true).is_err());
    heard(&mut watch, &[(5, 0)], true);
    assert!(watch.events(vec![event(6, 0)], false).is_err(), "the rest of revision 5 is owed");
}

#[test]
fn a_revision_is_bounded_while_it_is_gathered() {
    let mut watch = begun(4);
    let large = |number| {
        let payload = Value { form: Some(Form::Postcard(vec![0; 16 << 20])), signature: 0 };
        vec![Event { payload: Some(payload), ..event(5, number) }]
    };
    let ended = (0..).find(|&number| watch.events(large(number), true).is_err());
    assert_eq!(ended, Some(15));
}

#[test]
fn what_a_cancel_means() {
    let again = |after_ms, elsewhere| Next::Again { after_ms, elsewhere };
    let over = |kind, reason: &str| Next::Over(WatchError::Failed(failure(kind, reason).into()));
    let compacted = || {
        Next::Over(WatchError::Compacted { compacted_revision: 8, resume_revision: 9, message: "m".into() })
    };
    let deleted = || Next::Over(WatchError::SpaceDeleted { message: "m".into() });
    for (kind, reason, first, later) in [
        (Kind::Rejected, "COMPACTED", compacted(), compacted()),
        (Kind::Rejected, "SPACE_DELETED", deleted(), deleted()),
        (Kind::Rejected, "UNKNOWN_SPACE", over(Kind::Rejected, "UNKNOWN_SPACE"), deleted()),
        (Kind::Rejected, "WATCH_TOO_SLOW", again(0, false), again(0, false)),
        (Kind::Rejected, "TOO_MANY_WATCHES", again(0, true), again(0, true)),
        (
            Kind::Rejected,
            "INVALID_TOPIC",
            over(Kind::Rejected, "INVALID_TOPIC"),
            over(Kind::Rejected, "INVALID_TOPIC"),
        ),
        (
            Kind::Rejected,
            "RECIPE_ERROR",
            over(Kind::Rejected, "RECIPE_ERROR"),
            over(Kind::Rejected, "RECIPE_ERROR"),
        ),
        (Kind::Unavailable, "SHUTTING_DOWN", again(0, true), again(0, true)),
        (Kind::OutcomeUnknown, "TIMEOUT", again(0, true), again(0, true)),
        (Kind::Internal, "BROKEN", over(Kind::Internal, "BROKEN"), again(0, true)),
    ] {
        let mut unborn = Watching::new(Begin::Now, BACKOFF);
        assert_eq!(unborn.cancelled(failure(kind, reason), 8, 9, 0), first, "{reason}");
        assert_eq!(begun(4).cancelled(failure(kind, reason), 8, 9, 0), later, "{reason}");
    }
}

#[test]
fn the_first_failure_is_made_up_for_at_once_and_further_ones_at_a_growing_pace_until_it_hears_something() {
    let mut watch = begun(4);
    let delays: Vec<u64> = (0..5).map(|_| watch.lost(u32::MAX)).collect();
    assert_eq!(delays, [0, 10, 20, 40, 40]);
    watch.created(4, 7).expect("it goes on");
    assert_eq!(watch.lost(u32::MAX), 40, "created is not yet served");
    assert!(watch.progress(4));
    assert_eq!(watch.lost(u32::MAX), 0);
    let patient = Failure { retry_after_ms: 70, ..failure(Kind::Unavailable, "NO_LEADER") };
    assert_eq!(watch.cancelled(patient, 0, 0, 0), Next::Again { after_ms: 70, elsewhere: true });
}
