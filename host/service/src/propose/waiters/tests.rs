//! Unit tests of `waiters`.
use synod_abi::MemberId;
use synod_machine::{Action, Caller};

use super::*;

fn origin(member: u64, incarnation: u64, sequence: u64) -> Origin {
    Origin { member: MemberId(member), incarnation, sequence }
}

fn waiter(origin: Origin, placement: Placement) -> (Waiter, oneshot::Receiver<DeliveryResult>) {
    let (reply, result) = oneshot::channel();
    let packed = Packed::new(
        origin,
        Caller::default(),
        &Action::FormCluster { cluster: synod_abi::ClusterId([0; 16]) },
    );
    let deadline = Monotonic::default();
    (Waiter { packed, deadline, placement, place: 0, only_in: None, reply, room: None }, result)
}

#[test]
fn only_the_same_member_and_incarnation_is_waited_for() {
    let mut waiters = Waiters::new(origin(1, 5, 0));
    let (first, _result) = waiter(origin(1, 5, 9), Placement::Queued);
    waiters.insert(first);
    assert_eq!(waiters.waiting(origin(1, 5, 9)), Some(9));
    assert_eq!(waiters.waiting(origin(2, 5, 9)), None);
    assert_eq!(waiters.waiting(origin(1, 4, 9)), None);
    assert_eq!(waiters.waiting(origin(1, 5, 8)), None);
}

#[test]
fn the_end_tells_what_is_surely_not_applied_from_what_is_unknown() {
    let mut waiters = Waiters::new(origin(1, 5, 0));
    let (queued, mut queued_result) = waiter(origin(1, 5, 1), Placement::Queued);
    let (bound, mut bound_result) = waiter(origin(1, 5, 2), Placement::Bound { term: 3, position: None });
    waiters.insert(queued);
    waiters.insert(bound);
    assert!(waiters.bytes() > 0);
    let error = ProposalError::unavailable(crate::failure::UnavailableReason::ShuttingDown, "going");
    waiters.end(&error, "gone").send();
    assert_eq!(queued_result.try_recv(), Ok(Some(Err(error))));
    assert_eq!(bound_result.try_recv(), Ok(Some(Err(ProposalError::OutcomeUnknown("gone".into())))));
    assert_eq!((waiters.len(), waiters.bytes()), (0, 0));
}
