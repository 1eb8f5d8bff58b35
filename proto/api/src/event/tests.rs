//! Unit tests of `event`.
use super::*;
use crate::v1::value::Form;
use crate::v1::{WatchEvents, WatchUpdate, watch_update::Update};

/// What would be generated.
#[derive(Clone, PartialEq, Message)]
struct Generated {
    #[prost(uint64, tag = "1")]
    revision: u64,
    #[prost(uint32, tag = "2")]
    number: u32,
    #[prost(uint64, tag = "3")]
    time_ms: u64,
    #[prost(string, tag = "4")]
    topic: String,
    #[prost(message, optional, tag = "5")]
    payload: Option<Value>,
}

fn events() -> Vec<Event> {
    let value = |form, signature| Some(Value { form: Some(form), signature });
    let event = |revision, number, time_ms, topic: &str, payload| Event {
        revision,
        number,
        time_ms,
        topic: topic.into(),
        payload,
        encoded: Bytes::new(),
    };
    vec![
        Event::default(),
        event(1, 0, 0, "", None),
        event(u64::MAX, u32::MAX, u64::MAX, "config/ü", value(Form::Postcard(vec![0; 300]), u64::MAX)),
        event(812, 3, 1_700_000_000_000, "db", value(Form::Json("{\"Deleted\":{}}".into()), 0)),
        event(0, 0, 0, "db", Some(Value::default())),
    ]
}

#[test]
fn its_bytes_are_those_that_would_be_generated() {
    for event in events() {
        let Event { revision, number, time_ms, topic, payload, .. } = event.clone();
        let bytes = Generated { revision, number, time_ms, topic, payload }.encode_to_vec();
        assert_eq!(event.encode_to_vec(), bytes);
        assert_eq!(event.encoded_len(), bytes.len());
        assert_eq!(Event::decode(&*bytes).expect("it is one"), event);
    }
    let golden =
        [0x08, 0xac, 0x06, 0x10, 0x03, 0x18, 0x05, 0x22, 0x02, b'd', b'b', 0x2a, 0x03, 0x12, 0x01, 0x07];
    let payload = Some(Value { form: Some(Form::Postcard(vec![7])), signature: 0 });
    let event =
        Event { revision: 812, number: 3, time_ms: 5, topic: "db".into(), payload, encoded: Bytes::new() };
    assert_eq!(event.encode_to_vec(), golden);
}

#[test]
fn one_that_is_encoded_already_is_the_same_within_a_message() {
    let update = |events| {
        let events = WatchEvents { events, partial: true };
        WatchUpdate { watch_id: 7, update: Some(Update::Events(events)) }
    };
    let encoded = events().iter().map(|event| Event::from_encoded(event.encode_to_vec().into())).collect();
    let bytes = update(encoded).encode_to_vec();
    assert_eq!(bytes, update(events()).encode_to_vec());
    assert_eq!(WatchUpdate::decode(&*bytes).expect("it is one"), update(events()));
}

#[test]
fn a_copy_shares_its_bytes() {
    let event = Event::from_encoded(Bytes::from(vec![8, 1]));
    assert_eq!(event.clone().encoded.as_ptr(), event.encoded.as_ptr());
}

#[test]
fn what_a_later_version_adds_is_skipped_and_what_is_malformed_is_refused() {
    let later = [&[0x08, 0x07][..], &[0x7a, 0x01, 0xff]].concat();
    assert_eq!(Event::decode(&*later).map(|event| event.revision), Ok(7));
    assert!(Event::decode(&[0x0a, 0x01, 0x00][..]).is_err(), "a number is not text");
    assert!(Event::decode(&[0x22, 0x05, b'a'][..]).is_err(), "it ends early");
}
