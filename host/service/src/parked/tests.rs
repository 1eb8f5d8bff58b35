//! Unit tests of `parked`.
use futures::FutureExt;
use synod_abi::{Blob, Revision, Time};
use synod_machine::{MemoryState, Outcome, Reply};

use super::*;
use crate::failure::ProposalError;
use crate::ports::{Kept, ReplyRoom};

const SESSION: SessionId = SessionId([1; 16]);

fn place(calls: &ParkedCalls, id: u64, bytes: usize) -> Result<Place, CallFailure> {
    calls.wait(SESSION, RequestId(id), bytes, None)
}

fn completed(id: u64) -> Completed {
    let outcome = Outcome { revision: Revision(9), time: Time(1), result: Ok(Reply::Done) };
    Completed { session: SESSION, request: RequestId(id), outcome }
}

#[test]
fn calls_and_their_bytes_are_bounded_and_one_large_call_may_wait() {
    let calls = ParkedCalls::default();
    let large = place(&calls, 1, WAITING_CALL_BYTES + 1);
    assert!(large.is_ok() && place(&calls, 2, 1).is_err());
    drop(large);
    let places: Vec<_> = (0..WAITING_CALLS as u64).map(|id| place(&calls, id, 1)).collect();
    assert!(places.iter().all(Result::is_ok) && place(&calls, u64::MAX, 0).is_err());
    drop(places);
    assert_eq!(calls.counts(), (0, 0, 0));
}

#[test]
fn a_completion_reaches_only_those_who_wait_for_it() {
    let calls = ParkedCalls::default();
    let (mut one, mut two) = (place(&calls, 1, 0).expect("room"), place(&calls, 2, 0).expect("room"));
    calls.complete(vec![completed(2), completed(3)]);
    assert!(one.resolution().now_or_never().is_none());
    assert!(matches!(
        two.resolution().now_or_never(),
        Some(Some(Resolution::Outcome(Ok(outcome)))) if outcome.revision == Revision(9)
    ));
}

/// A client that has no room for anything.
#[derive(Debug)]
struct NoRoom;

impl ReplyRoom for NoRoom {
    fn keep(&self, _: usize) -> Option<Kept> {
        None
    }

    fn park(&self, _: usize) -> Option<Kept> {
        None
    }
}

#[test]
fn long_arguments_without_room_of_their_connection_wait_nowhere() {
    let calls = ParkedCalls::default();
    let wait = |bytes| calls.wait(SESSION, RequestId(1), bytes, Some(Arc::new(NoRoom)));
    let refused = wait(SHORT_BYTES + 1).map(drop);
    assert!(matches!(refused, Err(CallFailure::Unavailable { .. })), "{refused:?}");
    assert_eq!(calls.counts(), (0, 0, 0));
    assert!(wait(SHORT_BYTES).is_ok(), "the number of calls bounds short ones");
}

#[test]
fn a_long_outcome_without_room_is_unknown_to_the_one_who_has_none() {
    let calls = ParkedCalls::default();
    let mut other = place(&calls, 1, 0).expect("room");
    let mut full = calls.wait(SESSION, RequestId(1), 0, Some(Arc::new(NoRoom))).expect("room");
    let mut long = completed(1);
    long.outcome.result = Ok(Reply::Result(Blob(vec![7; 100_000])));
    calls.complete(vec![long]);
    assert!(matches!(other.resolution().now_or_never(), Some(Some(Resolution::Outcome(Ok(_))))));
    assert!(matches!(
        full.resolution().now_or_never(),
        Some(Some(Resolution::Outcome(Err(ProposalError::OutcomeUnknown(_)))))
    ));
}

#[test]
fn who_is_lost_hears_again_when_the_place_is_renewed() {
    let calls = ParkedCalls::default();
    let mut place = place(&calls, 1, 0).expect("room");
    calls.restored(&MemoryState::default()).expect("rows in memory");
    assert!(matches!(place.resolution().now_or_never(), Some(Some(Resolution::Lost))));
    place.renew();
    assert!(place.resolution().now_or_never().is_none());
    calls.complete(vec![completed(1)]);
    assert!(matches!(place.resolution().now_or_never(), Some(Some(Resolution::Outcome(Ok(_))))));
}

#[test]
fn the_end_is_heard_by_those_who_wait_and_those_who_come_later() {
    let calls = ParkedCalls::default();
    let mut before = place(&calls, 1, 0).expect("room");
    calls.close();
    let mut after = place(&calls, 1, 0).expect("room");
    after.renew();
    assert!(matches!(
        (before.resolution().now_or_never(), after.resolution().now_or_never()),
        (Some(None), Some(None))
    ));
    drop((before, after));
    assert_eq!(calls.counts(), (0, 0, 0));
}
