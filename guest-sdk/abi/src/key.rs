//! Keys whose bytes sort as their values do, so that ranges over a map come in the order of its
//! keys.
//!
//! Unsigned integers are big-endian; signed ones have their sign bit flipped; strings and bytes
//! escape 0x00 as `00 FF` and end with `00 00`, so that one may stand before another part of a
//! tuple; tuples are their parts. The scheme is FoundationDB's tuple layer without its type codes.
use alloc::string::String;
use alloc::vec::Vec;
use core::ffi::CStr;

use crate::{Blob, Revision, SessionId, Shaped, TicketId, Time, TimerId, Token};

/// The bytes are not a key of the expected type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyError;

/// A type that can be the key of a `Map` or `Queue`. `#[data(key)]` implements it for structs.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a key",
    note = "keys are integers, bool, String, Blob, ids, tuples of these, and structs with #[data(key)]"
)]
pub trait Key: Shaped {
    /// Appends the key's bytes.
    fn encode_key(&self, out: &mut Vec<u8>);
}

/// A key that can be read back: every [`Key`] but `str`, which is the borrowed form of `String`.
pub trait OwnedKey: Key + Sized {
    /// Takes a key from the front of `bytes`.
    ///
    /// # Errors
    /// [`KeyError`] if the bytes are not such a key.
    fn decode_key(bytes: &mut &[u8]) -> Result<Self, KeyError>;
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], KeyError> {
    let (head, rest) = bytes.split_first_chunk::<N>().ok_or(KeyError)?;
    *bytes = rest;
    Ok(*head)
}

/// Where the first zero is. The search of `CStr` looks at words, not bytes: keys are made in every
/// call, and a guest pays for each step.
fn zero_at(bytes: &[u8]) -> Option<usize> {
    CStr::from_bytes_until_nul(bytes).ok().map(CStr::count_bytes)
}

fn put_escaped(bytes: &[u8], out: &mut Vec<u8>) {
    out.reserve(bytes.len() + 2);
    let mut rest = bytes;
    while let Some(at) = zero_at(rest) {
        out.extend_from_slice(&rest[..=at]);
        out.push(0xff);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.extend_from_slice(&[0, 0]);
}

fn take_escaped(bytes: &mut &[u8]) -> Result<Vec<u8>, KeyError> {
    let mut text = Vec::new();
    loop {
        let at = zero_at(bytes).ok_or(KeyError)?;
        text.extend_from_slice(&bytes[..at]);
        *bytes = &bytes[at + 1..];
        match take(bytes)? {
            [0] => return Ok(text),
            [0xff] => text.push(0),
            _ => return Err(KeyError),
        }
    }
}

macro_rules! unsigned {
    ($($type:ty),*) => {
        $(impl Key for $type {
            fn encode_key(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_be_bytes());
            }
}

impl OwnedKey for $type {
            fn decode_key(bytes: &mut &[u8]) -> Result<Self, KeyError> {
                take(bytes).map(Self::from_be_bytes)
            }
        })*
    };
}

unsigned!(u8, u16, u32, u64, u128);

macro_rules! signed {
    ($($type:ty as $unsigned:ty),*) => {
        $(impl Key for $type {
            fn encode_key(&self, out: &mut Vec<u8>) {
                (*self as $unsigned ^ (1 << (<$unsigned>::BITS - 1))).encode_key(out);
            }
}

impl OwnedKey for $type {
            fn decode_key(bytes: &mut &[u8]) -> Result<Self, KeyError> {
                <$unsigned>::decode_key(bytes).map(|n| (n ^ (1 << (<$unsigned>::BITS - 1))) as Self)
            }
        })*
    };
}

signed!(i8 as u8, i16 as u16, i32 as u32, i64 as u64, i128 as u128);

macro_rules! numbers {
    ($($type:ident),*) => {
        $(impl Key for $type {
            fn encode_key(&self, out: &mut Vec<u8>) {
                self.0.encode_key(out);
            }
}

impl OwnedKey for $type {
            fn decode_key(bytes: &mut &[u8]) -> Result<Self, KeyError> {
                OwnedKey::decode_key(bytes).map(Self)
            }
        })*
    };
}

numbers!(Token, Time, Revision, TimerId);

impl Key for TicketId {
    fn encode_key(&self, out: &mut Vec<u8>) {
        self.rank().encode_key(out);
    }
}

impl OwnedKey for TicketId {
    fn decode_key(bytes: &mut &[u8]) -> Result<Self, KeyError> {
        u64::decode_key(bytes).map(Self::of_rank)
    }
}

impl Key for SessionId {
    fn encode_key(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }
}

impl OwnedKey for SessionId {
    fn decode_key(bytes: &mut &[u8]) -> Result<Self, KeyError> {
        take(bytes).map(Self)
    }
}

impl Key for bool {
    fn encode_key(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
}

impl OwnedKey for bool {
    fn decode_key(bytes: &mut &[u8]) -> Result<Self, KeyError> {
        match take(bytes)? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(KeyError),
        }
    }
}

impl Key for () {
    fn encode_key(&self, _: &mut Vec<u8>) {}
}

impl OwnedKey for () {
    fn decode_key(_: &mut &[u8]) -> Result<Self, KeyError> {
        Ok(())
    }
}

impl Key for str {
    fn encode_key(&self, out: &mut Vec<u8>) {
        put_escaped(self.as_bytes(), out);
    }
}

impl Key for String {
    fn encode_key(&self, out: &mut Vec<u8>) {
        self.as_str().encode_key(out);
    }
}

impl OwnedKey for String {
    fn decode_key(bytes: &mut &[u8]) -> Result<Self, KeyError> {
        Self::from_utf8(take_escaped(bytes)?).map_err(|_| KeyError)
    }
}

impl Key for Blob {
    fn encode_key(&self, out: &mut Vec<u8>) {
        put_escaped(self, out);
    }
}

impl OwnedKey for Blob {
    fn decode_key(bytes: &mut &[u8]) -> Result<Self, KeyError> {
        take_escaped(bytes).map(Self)
    }
}

macro_rules! tuple {
    ($($type:ident $n:tt)+) => {
        impl<$($type: Key),+> Key for ($($type,)+) {
            fn encode_key(&self, out: &mut Vec<u8>) {
                $(self.$n.encode_key(out);)+
            }
        }

        impl<$($type: OwnedKey),+> OwnedKey for ($($type,)+) {
            fn decode_key(bytes: &mut &[u8]) -> Result<Self, KeyError> {
                Ok(($($type::decode_key(bytes)?,)+))
            }
        }
    };
}

tuple!(A 0 B 1);
tuple!(A 0 B 1 C 2);
tuple!(A 0 B 1 C 2 D 3);
