//! JSON to postcard and back, by the schema of a recipe.
//!
//! Rules: absent or null is None; unknown and repeated fields are errors; integers of 64 bits and
//! more are read as number or decimal string and written as strings, as proto3 does; bytes are
//! base64; a session is 32 hexadecimal digits; tokens, times and revisions are 64-bit integers; a
//! variant without fields is `"A"`, any other `{"A": {…}}`, and a variant's one unnamed field is
//! called `"0"`; maps with string keys are objects, other maps lists of pairs; unit is null. Errors
//! carry a path and what was expected. Results are written with all their fields.
//!
//! No input makes it panic, recurse without end, or allocate more than a small multiple of the
//! limits. It is no general JSON library: it reads numbers as integers only, and keeps no order or
//! formatting.
mod describe;
mod json;
mod path;
mod read;
mod write;

use std::fmt;

use synod_abi::limits;
use synod_abi::schema::{EntryPointSchema, Errors, Type};

pub use write::to_json;

/// Most bytes of JSON that a value of at most [`limits::REPLY_BYTES`] may become.
pub const JSON_BYTES: usize = 4 * 1_024 * 1_024;

/// What is wrong with a JSON value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonError {
    /// Where: `$.limit.burst`, `$.items[3]`.
    pub path: String,
    /// What was expected, or what is wrong.
    pub message: String,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

impl std::error::Error for JsonError {}

/// Why postcard bytes do not become JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteError {
    /// The bytes do not hold the expected type, or more than it.
    Malformed,
    /// The JSON would be longer than [`JSON_BYTES`].
    TooLarge,
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => {
                f.write_str("the recipe answered bytes that do not have the type its schema says")
            }
            Self::TooLarge => write!(
                f,
                "the answer is longer than {JSON_BYTES} bytes as JSON; ask for postcard, or for less"
            ),
        }
    }
}

impl std::error::Error for WriteError {}

/// Encodes a JSON value as `ty`.
///
/// # Errors
/// [`JsonError`] with the path of the first mistake.
pub fn from_json(ty: &Type, text: &str) -> Result<Vec<u8>, JsonError> {
    let value = json::parse(text)?;
    read::Reader::new(limits::REPLY_BYTES).value(ty, &value)
}

/// Encodes a JSON object of named arguments as the tuple that `entry_point` takes. Empty text
/// stands for no arguments.
///
/// # Errors
/// [`JsonError`] with the path of the first mistake.
pub fn arguments_from_json(entry_point: &EntryPointSchema, text: &str) -> Result<Vec<u8>, JsonError> {
    let value = if text.trim().is_empty() { json::Json::Object(Vec::new()) } else { json::parse(text)? };
    read::Reader::new(limits::ARGS_BYTES).arguments(&entry_point.args, &value)
}

/// A business error as JSON: the variant, as any enum's.
///
/// # Errors
/// [`WriteError`] if the bytes are not a variant of `errors`.
pub fn error_to_json(errors: &Errors, bytes: &[u8]) -> Result<String, WriteError> {
    write::enum_to_json(&errors.shape, bytes)
}

#[cfg(test)]
mod tests;
