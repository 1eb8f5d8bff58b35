//! Events as simulated members send them.
use synod_checker::watch::Event;
use synod_service::Value;
use synod_service::watch::EventRef;

/// The space whose events watches follow, a handler reacts to and faults forget.
pub const SPACE: &str = "kv";

/// Encodes an event for clients.
pub fn encode_event(event: EventRef<'_>) -> Vec<u8> {
    let payload = match event.payload {
        Value::Json(text) => text.as_bytes(),
        Value::Postcard(bytes) => bytes,
    };
    synod_abi::encode(&(event.revision.0, event.number, event.topic, payload))
}

/// Decodes what [`encode_event`] made: an event of the space that watches follow.
///
/// # Panics
/// It is something else.
pub fn decode_event(bytes: &[u8]) -> Event<Vec<u8>> {
    let decoded = synod_abi::decode::<(u64, u32, String, Vec<u8>)>(bytes);
    let (revision, number, topic, payload) = decoded.expect("an event that this module encoded");
    Event { revision, number, space: SPACE.to_owned(), topic, payload }
}
