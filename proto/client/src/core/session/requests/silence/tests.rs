//! Unit tests of `silence`: how long a member that answers nothing, or not everything, is waited
//! for.
use super::*;
use crate::core::{Backoff, Landed, Policy};

fn requests(give_up_ms: u64) -> Requests {
    let policy = Policy { give_up_ms, backoff: Backoff { base_ms: 10, max_ms: 10 } };
    Requests::new(1, Patience { policy, attempt_ms: 15_000, silent_ms: 700 })
}

/// Begins a round and sends everything.
fn send(requests: &mut Requests, now_ms: u64) -> Vec<(u64, u64)> {
    requests.begin_round();
    std::iter::from_fn(|| requests.next_to_send(now_ms)).map(|sending| (sending.id, sending.round)).collect()
}

fn leave(requests: &mut Requests) {
    requests.in_flight().into_iter().for_each(|id| requests.take_back(id));
}

#[test]
fn a_silent_member_is_left_soon_and_the_next_ones_later_and_later() {
    let mut requests = requests(60_000);
    requests.add(0).expect("there is room");
    send(&mut requests, 0);
    assert_eq!(requests.wake_at(0), Some(700));
    assert_eq!(requests.overdue(699, 0), None);
    assert!(requests.overdue(700, 0).is_some());
    leave(&mut requests);
    send(&mut requests, 1_000);
    assert_eq!(requests.overdue(2_399, 0), None, "twice as long");
    assert!(requests.overdue(2_400, 0).is_some());
    leave(&mut requests);
    send(&mut requests, 3_000);
    assert_eq!(requests.overdue(5_799, 0), None);
    assert!(requests.overdue(5_800, 0).is_some());
}

#[test]
fn a_member_that_answers_others_may_take_as_long_as_an_attempt() {
    let mut requests = requests(60_000);
    requests.add(0).expect("there is room");
    requests.add(0).expect("there is room");
    let sent = send(&mut requests, 0);
    let (second, round) = sent[1];
    requests.landed(second, round, Landed::Result, 600, 0);
    assert_eq!(requests.overdue(1_299, 0), None, "it answered something 699 ms ago");
    for now_ms in (1_200..15_000).step_by(600) {
        let id = requests.add(now_ms).expect("there is room");
        let sending = requests.next_to_send(now_ms).expect("it is sent");
        requests.landed(id, sending.round, Landed::Result, now_ms, 0);
        assert_eq!(requests.overdue(now_ms, 0), None, "{now_ms}");
    }
    assert!(requests.overdue(15_000, 0).is_some());
}

#[test]
fn a_call_ends_when_its_time_is_over_and_not_that_long_after_the_silence_was_noticed() {
    let mut requests = requests(1_000);
    let id = requests.add(0).expect("there is room");
    send(&mut requests, 0);
    requests.overdue(700, 0).expect("it is silent");
    leave(&mut requests);
    assert_eq!(requests.given_up(999), []);
    let given_up = requests.given_up(1_000);
    assert!(
        matches!(&given_up[..], [(given_up, Error::OutcomeUnknown(_))] if *given_up == id),
        "{given_up:?}"
    );
}
