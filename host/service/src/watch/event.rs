//! An event, shared by all watches that want it and encoded at most once in each form; and the
//! space that it belongs to, whose schema makes JSON of its payload.
use std::sync::{Arc, Mutex, OnceLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use synod_abi::schema::Schema;
use synod_abi::{SpaceId, SpaceName};
use synod_machine::events::{EventPosition, StoredEvent};

use super::update::{EncodeEvent, EventForm, EventRef};
use crate::failure::Value;
use crate::progress::lock;
use crate::transcode;

/// Longest JSON of a payload; a longer one is sent as a base64 string.
const JSON_BYTES: usize = 1_024 * 1_024;
/// Memory of an event beside its topic and payload, about.
const OVERHEAD: usize = 256;
/// Estimate of what encoding adds to topic and payload.
const FRAME: usize = 24;

/// A space that is watched.
#[derive(Debug)]
pub(crate) struct WatchedSpace {
    pub(crate) id: SpaceId,
    pub(crate) name: SpaceName,
    schema: Mutex<Arc<Schema>>,
}

impl WatchedSpace {
    pub(super) fn new(id: SpaceId, name: SpaceName, schema: Arc<Schema>) -> Self {
        Self { id, name, schema: Mutex::new(schema) }
    }

    /// Its last known schema: events of a deleted space are still sent.
    pub(crate) fn schema(&self) -> Arc<Schema> {
        lock(&self.schema).clone()
    }

    /// Its recipe may have been upgraded.
    pub(crate) fn learn(&self, schema: &Arc<Schema>) {
        *lock(&self.schema) = schema.clone();
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct SharedEvent {
    pub(super) position: EventPosition,
    pub(super) stored: StoredEvent,
    json: OnceLock<Bytes>,
    postcard: OnceLock<Bytes>,
}

impl SharedEvent {
    pub(super) fn new(position: EventPosition, stored: StoredEvent) -> Self {
        Self { position, stored, json: OnceLock::new(), postcard: OnceLock::new() }
    }

    fn form(&self, form: EventForm) -> &OnceLock<Bytes> {
        match form {
            EventForm::Json => &self.json,
            EventForm::Postcard => &self.postcard,
        }
    }

    /// Bytes of its topic and payload.
    pub(super) fn bytes(&self) -> usize {
        self.stored.topic.len() + self.stored.payload.0.len()
    }

    /// Its share of the tails' memory, encoded in both forms.
    pub(super) fn cost(&self) -> usize {
        OVERHEAD + 4 * self.bytes()
    }

    /// Its encoded length, or an estimate if it is not encoded yet.
    pub(super) fn size(&self, form: EventForm) -> usize {
        self.form(form).get().map_or_else(|| self.bytes() + FRAME, Bytes::len)
    }

    /// Its encoded bytes.
    pub(super) fn encoded(&self, form: EventForm, schema: &Schema, encode: EncodeEvent) -> Bytes {
        let make = || {
            let payload = match form {
                EventForm::Json => Value::Json(json(schema, &self.stored.payload.0)),
                EventForm::Postcard => Value::Postcard(self.stored.payload.0.clone()),
            };
            let EventPosition { revision, number } = self.position;
            let StoredEvent { topic, time, .. } = &self.stored;
            encode(EventRef { revision, number, time: *time, topic, payload: &payload }).into()
        };
        self.form(form).get_or_init(make).clone()
    }
}

fn json(schema: &Schema, payload: &[u8]) -> String {
    let text = schema.emits.as_ref().and_then(|emits| transcode::to_json(&emits.shape, payload).ok());
    text.filter(|text| text.len() <= JSON_BYTES)
        .unwrap_or_else(|| format!("\"{}\"", STANDARD.encode(payload)))
}
