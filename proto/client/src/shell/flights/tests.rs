//! Unit tests of `flights`.
use super::*;

fn reply(tag: u64) -> CallReply {
    CallReply { tag, ..CallReply::default() }
}

#[test]
fn answers_find_their_callers_in_any_order() {
    let flights = Arc::new(Flights::<CallReply>::default());
    let (a, mut for_a) = flights.enter().expect("open");
    let (b, mut for_b) = flights.enter().expect("open");
    assert!(flights.leave(a.tag) && flights.leave(b.tag));
    flights.land(reply(b.tag));
    flights.land(CallReply { failure: Some(Failure::default()), ..reply(a.tag) });
    flights.land(reply(999));
    assert!(matches!(for_b.try_recv(), Ok(Ok(_))));
    assert!(matches!(for_a.try_recv(), Ok(Err(Trouble::Answered(_)))));
}

#[test]
fn a_broken_stream_tells_who_left_from_who_did_not() {
    let flights = Arc::new(Flights::<CallReply>::default());
    let (left, mut for_left) = flights.enter().expect("open");
    let (_queued, mut for_queued) = flights.enter().expect("open");
    assert!(flights.leave(left.tag));
    flights.close("reset");
    assert_eq!(for_left.try_recv(), Ok(Err(Trouble::NoAnswer("reset".into()))));
    assert_eq!(for_queued.try_recv(), Ok(Err(Trouble::NotSent("reset".into()))));
    assert!(flights.is_closed());
    assert!(matches!(flights.enter().map(|_| ()), Err(Trouble::NotSent(why)) if why == "reset"));
}

#[test]
fn a_stream_is_empty_without_requests_and_after_their_answers() {
    let flights = Arc::new(Flights::<CallReply>::default());
    assert!(flights.is_empty());
    let (ticket, _receiver) = flights.enter().expect("open");
    assert!(flights.leave(ticket.tag) && !flights.is_empty());
    flights.land(reply(ticket.tag));
    assert!(flights.is_empty());
}

#[test]
fn what_was_taken_back_never_leaves() {
    let flights = Arc::new(Flights::<CallReply>::default());
    let (ticket, _receiver) = flights.enter().expect("open");
    let tag = ticket.tag;
    assert!(!ticket.take_back(), "it had not left");
    assert!(!flights.leave(tag));
    let (dropped, _receiver) = flights.enter().expect("open");
    let tag = dropped.tag;
    drop(dropped);
    assert!(!flights.leave(tag));
}

#[derive(Default)]
struct Heard(Mutex<Vec<(Key, Landing<CallReply>)>>);

impl Ground<CallReply> for Heard {
    fn landed(self: Arc<Self>, key: Key, landing: Landing<CallReply>) {
        self.0.lock().expect("nobody panicked").push((key, landing));
    }
}

#[test]
fn sessions_hear_interim_replies_too_and_other_callers_only_the_last() {
    let flights = Arc::new(Flights::<CallReply>::default());
    let session = Arc::new(Heard::default());
    let key = Key { id: 7, round: 2 };
    let ticket = flights.enter_for(Arc::clone(&session) as Arc<dyn Ground<CallReply>>, key).expect("open");
    let (plain, mut for_plain) = flights.enter().expect("open");
    for tag in [ticket.tag, plain.tag] {
        assert!(flights.leave(tag));
        flights.land(CallReply { parked: true, ..reply(tag) });
        flights.land(reply(tag));
    }
    let parked = CallReply { parked: true, ..reply(ticket.tag) };
    assert_eq!(
        *session.0.lock().expect("nobody panicked"),
        [(key, Ok(parked)), (key, Ok(reply(ticket.tag)))]
    );
    assert_eq!(for_plain.try_recv(), Ok(Ok(reply(plain.tag))));
}
