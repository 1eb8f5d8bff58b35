//! `synod.v1.Event`, written by hand: an event goes to every client that watches it, so a server
//! encodes it once and puts the same bytes into every message. A copy of it is a reference count.
//!
//! On the wire it is the message of the .proto file; a test compares it with the code that would be
//! generated.
use bytes::{Buf, BufMut, Bytes};
use prost::encoding::{DecodeContext, WireType, message, skip_field, string, uint32, uint64};
use prost::{DecodeError, Message};

use crate::v1::Value;

/// An event of a space.
///
/// A server makes it with [`from_encoded`](Self::from_encoded), of the result of
/// [`encode_to_vec`](Message::encode_to_vec); decoding it gives fields.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Event {
    /// Revision of the command that it was emitted in.
    pub revision: u64,
    /// Counts the events of the space in that revision, from 0.
    pub number: u32,
    /// Cluster time of its entry, in milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// Its topic.
    pub topic: String,
    /// Its payload.
    pub payload: Option<Value>,
    /// The encoded message. If it is not empty, the fields are ignored. Decoding leaves it empty.
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
mod tests;
