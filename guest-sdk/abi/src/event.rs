//! Events as handlers get them, topics, and the filters of watches and bindings.
//!
//! A topic is any UTF-8 text of 1 to `limits::EVENT_TOPIC_BYTES`; that `/` separates its parts is
//! custom and decides nothing but how a filter is written.
use alloc::string::{String, ToString};
use core::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{Blob, Limit, Shaped, SpaceName, decode, limit, limits};

/// An event, as the hook `#[on_event]` gets it: in the command that emitted it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The space that emitted it.
    pub space: SpaceName,
    /// What it is about.
    pub topic: String,
    /// postcard of the value that its recipe emitted.
    pub payload: Blob,
}

impl Event {
    /// The payload as a `T`; `None` if it is not one. An event does not say of which type it is: a
    /// handler that is bound to spaces of several recipes asks what [`Event::space`] is, or takes
    /// what decodes.
    pub fn decode<T: DeserializeOwned>(&self) -> Option<T> {
        decode(&self.payload.0).ok()
    }
}

/// What the events of a recipe carry: `#[recipe(…, emits = T)]` implements it for `T`, so that
/// nothing else is emitted, and a client that watches decodes nothing else.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not what a recipe emits",
    note = "name the payload of the recipe's events: #[recipe(…, emits = Type)], with a #[data] type of the \
        same crate"
)]
pub trait EventPayload:
    Shaped + Serialize + DeserializeOwned + Clone + fmt::Debug + Send + Sync + 'static
{
    /// Tells its shape from others, documentation aside: a client that watches sends it, so that it
    /// never decodes another type.
    const SIGNATURE: u64;
}

/// Why a topic was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum InvalidTopic {
    /// It has no characters.
    Empty,
    /// It is longer than [`limits::EVENT_TOPIC_BYTES`].
    TooLong,
}

impl InvalidTopic {
    /// The limit that the topic exceeds, if that is why it is refused.
    pub const fn limit(self) -> Option<Limit> {
        match self {
            Self::TooLong => Some(limit!(EVENT_TOPIC_BYTES)),
            Self::Empty => None,
        }
    }
}

impl fmt::Display for InvalidTopic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("a topic is empty; a filter for all topics is the empty prefix"),
            Self::TooLong => write!(f, "a topic has at most {} bytes", limits::EVENT_TOPIC_BYTES),
        }
    }
}

impl core::error::Error for InvalidTopic {}

/// Checks a topic that an event is to have.
///
/// # Errors
/// Which rule it breaks.
pub const fn check_topic(topic: &str) -> Result<(), InvalidTopic> {
    match topic.len() {
        0 => Err(InvalidTopic::Empty),
        1..=limits::EVENT_TOPIC_BYTES => Ok(()),
        _ => Err(InvalidTopic::TooLong),
    }
}

/// Which topics are wanted.
///
/// Written as text, `config/` and `config/*` are the topics that begin with `config/`, `db*` those
/// that begin with `db`, `*` and the empty text are all; anything else is that one topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TopicFilter {
    /// This topic.
    Exact(String),
    /// Every topic that begins with this; with the empty text: every topic.
    Prefix(String),
}

impl TopicFilter {
    /// Every topic.
    pub const fn all() -> Self {
        Self::Prefix(String::new())
    }

    /// The filter that `text` is written for, see [`TopicFilter`].
    pub fn parse(text: &str) -> Self {
        match text.strip_suffix('*') {
            Some(prefix) => Self::Prefix(prefix.to_string()),
            None if text.is_empty() || text.ends_with('/') => Self::Prefix(text.to_string()),
            None => Self::Exact(text.to_string()),
        }
    }

    /// Checks its length.
    ///
    /// # Errors
    /// Which rule it breaks.
    pub const fn check(&self) -> Result<(), InvalidTopic> {
        match self {
            Self::Exact(topic) => check_topic(topic.as_str()),
            Self::Prefix(prefix) if prefix.len() > limits::EVENT_TOPIC_BYTES => Err(InvalidTopic::TooLong),
            Self::Prefix(_) => Ok(()),
        }
    }

    /// Whether `topic` is wanted.
    pub fn matches(&self, topic: &str) -> bool {
        match self {
            Self::Exact(wanted) => topic == wanted,
            Self::Prefix(prefix) => topic.starts_with(prefix.as_str()),
        }
    }
}

impl fmt::Display for TopicFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(topic) => f.write_str(topic),
            Self::Prefix(prefix) if prefix.ends_with('/') => f.write_str(prefix),
            Self::Prefix(prefix) => write!(f, "{prefix}*"),
        }
    }
}

#[cfg(test)]
mod tests;
