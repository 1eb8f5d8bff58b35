//! postcard, with the two checks it leaves out: no bytes may be left over, and errors carry no
//! text.
use alloc::vec::Vec;
use core::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The bytes do not hold the expected type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeError;

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the bytes do not hold the expected type, or more than it")
    }
}

impl core::error::Error for DecodeError {}

/// Encodes `value` with postcard.
///
/// # Panics
/// Never for types that `#[data]` accepts: postcard fails only on lengths it is not told and on
/// full buffers.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    postcard::to_allocvec(value).expect("postcard encodes every type that has a shape")
}

/// Appends the postcard of `value` to `out`: arguments and replies are values behind each other.
///
/// # Panics
/// As [`encode`].
pub fn encode_into<T: Serialize + ?Sized>(value: &T, out: Vec<u8>) -> Vec<u8> {
    postcard::to_extend(value, out).expect("postcard encodes every type that has a shape")
}

/// Takes a `T` from the front of `bytes`, which then begin behind it.
///
/// # Errors
/// [`DecodeError`] if the bytes are malformed or end early; they are then left as they were.
pub fn decode_from<T: DeserializeOwned>(bytes: &mut &[u8]) -> Result<T, DecodeError> {
    let (value, rest) = postcard::take_from_bytes(bytes).map_err(|_| DecodeError)?;
    *bytes = rest;
    Ok(value)
}

/// Decodes a `T` that fills `bytes`.
///
/// # Errors
/// [`DecodeError`] if the bytes are malformed, end early, or go on behind the value.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        _ => Err(DecodeError),
    }
}
