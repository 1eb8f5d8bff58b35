//! `synod.v1.Event`, written by hand: an event goes to every client that watches it, so a server
//! encodes it once and puts the same bytes into every message. A copy of it is a reference count.
//!
//! On the wire it is the message that the .proto file says; a test compares it with what would be
//! generated.
use bytes::{Buf, BufMut, Bytes};
use prost::encoding::{DecodeContext, WireType, message, skip_field, string, uint32, uint64};
use prost::{DecodeError, Message};

use crate::v1::Value;

/// An event of a space.
///
/// A server makes it with [`from_encoded`](Self::from_encoded), from what
/// [`encode_to_vec`](Message::encode_to_vec) made of its fields; whoever decodes it gets fields.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Event {
    /// Revision of the command that it was emitted in.
    pub revision: u64,
    /// Counts the events of the space in that revision, from 0.
    pub number: u32,
    /// Cluster time of its entry, in milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// What it is about.
    pub topic: String,
    /// What it says.
    pub payload: Option<Value>,
    /// The whole message, encoded. If it is not empty, the fields are not looked at. Decoding
    /// leaves it empty.
    pub encoded: Bytes,
}

impl Event {
    /// The event that `encoded` is the message of. It is not checked.
    pub fn from_encoded(encoded: Bytes) -> Self {
        Self { encoded, ..Self::default() }
    }
}

impl Message for Event {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        if !self.encoded.is_empty() {
            buf.put_slice(&self.encoded);
            return;
        }
        if self.revision != 0 {
            uint64::encode(1, &self.revision, buf);
        }
        if self.number != 0 {
            uint32::encode(2, &self.number, buf);
        }
        if self.time_ms != 0 {
            uint64::encode(3, &self.time_ms, buf);
        }
        if !self.topic.is_empty() {
            string::encode(4, &self.topic, buf);
        }
        if let Some(payload) = &self.payload {
            message::encode(5, payload, buf);
        }
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        ctx: DecodeContext,
    ) -> Result<(), DecodeError> {
        match tag {
            1 => uint64::merge(wire_type, &mut self.revision, buf, ctx),
            2 => uint32::merge(wire_type, &mut self.number, buf, ctx),
            3 => uint64::merge(wire_type, &mut self.time_ms, buf, ctx),
            4 => string::merge(wire_type, &mut self.topic, buf, ctx),
            5 => message::merge(wire_type, self.payload.get_or_insert_with(Value::default), buf, ctx),
            _ => skip_field(wire_type, tag, buf, ctx),
        }
    }

    fn encoded_len(&self) -> usize {
        if !self.encoded.is_empty() {
            return self.encoded.len();
        }
        let mut len = 0;
        if self.revision != 0 {
            len += uint64::encoded_len(1, &self.revision);
        }
        if self.number != 0 {
            len += uint32::encoded_len(2, &self.number);
        }
        if self.time_ms != 0 {
            len += uint64::encoded_len(3, &self.time_ms);
        }
        if !self.topic.is_empty() {
            len += string::encoded_len(4, &self.topic);
        }
        if let Some(payload) = &self.payload {
            len += message::encoded_len(5, payload);
        }
        len
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
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
        let event = Event {
            revision: 812,
            number: 3,
            time_ms: 5,
            topic: "db".into(),
            payload,
            encoded: Bytes::new(),
        };
        assert_eq!(event.encode_to_vec(), golden);
    }

    #[test]
    fn one_that_is_encoded_already_is_the_same_within_a_message() {
        let update = |events| {
            let events = WatchEvents { events, partial: true };
            WatchUpdate { watch_id: 7, update: Some(Update::Events(events)) }
        };
        let encoded =
            events().iter().map(|event| Event::from_encoded(event.encode_to_vec().into())).collect();
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
}
