//! Outcomes that have room, and those that have none.
use std::sync::atomic::{AtomicUsize, Ordering};

use synod_abi::{Blob, Revision, Time};

use super::*;

/// Room for a number of bytes.
#[derive(Debug)]
struct Shelf(Arc<AtomicUsize>);

struct OnShelf(Arc<AtomicUsize>, usize);

impl Drop for OnShelf {
    fn drop(&mut self) {
        self.0.fetch_add(self.1, Ordering::Relaxed);
    }
}

impl ReplyRoom for Shelf {
    fn keep(&self, bytes: usize) -> Option<Kept> {
        let left = |left: usize| left.checked_sub(bytes);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left).ok()?;
        Some(Box::new(OnShelf(self.0.clone(), bytes)))
    }

    fn park(&self, bytes: usize) -> Option<Kept> {
        self.keep(bytes)
    }
}

fn room(bytes: usize) -> (Room, Arc<AtomicUsize>) {
    let left = Arc::new(AtomicUsize::new(bytes));
    (Some(Arc::new(Shelf(left.clone()))), left)
}

fn outcome(bytes: usize) -> Outcome {
    Outcome { revision: Revision(1), time: Time(2), result: Ok(Reply::Result(Blob(vec![7; bytes]))) }
}

#[test]
fn an_outcome_takes_room_until_its_call_is_done_with_it() {
    let (room, left) = room(10_000);
    let delivered = deliver(Ok(outcome(9_000)), &room).expect("it has room");
    assert_eq!((delivered.result.clone(), left.load(Ordering::Relaxed)), (outcome(9_000).result, 1_000));
    drop(delivered);
    assert_eq!(left.load(Ordering::Relaxed), 10_000);
}

#[test]
fn without_room_the_outcome_is_unknown() {
    let (room, left) = room(1_000);
    let refused = deliver(Ok(outcome(1_001)), &room);
    assert!(matches!(refused, Err(ProposalError::OutcomeUnknown(_))), "{refused:?}");
    assert_eq!(left.load(Ordering::Relaxed), 1_000);
    let rejection = Rejection::Recipe { code: 1, error: Blob(vec![0; 1_001]) };
    let refused = deliver(Ok(Outcome { result: Err(rejection), ..outcome(0) }), &room);
    assert!(matches!(refused, Err(ProposalError::OutcomeUnknown(_))), "{refused:?}");
}

#[test]
fn short_outcomes_and_those_of_the_member_itself_take_none() {
    let (room, _left) = room(0);
    assert!(deliver(Ok(outcome(SHORT_BYTES)), &room).is_ok());
    assert!(deliver(Ok(outcome(1_000_000)), &None).is_ok());
}
