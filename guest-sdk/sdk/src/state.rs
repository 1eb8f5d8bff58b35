//! Typed handles on a recipe's rows. A handle is a prefix known at compile time: nothing is loaded
//! that is not asked for.
//!
//! A row's key is the prefix, big-endian, and the bytes of the typed key; its value is postcard.
//! Rows stay sorted by their typed key, so ranges come in its order.
mod cell;
mod claims;
mod counter;
mod line;
mod map;
mod queue;
mod scan;

use alloc::vec::Vec;

use serde::Serialize;
use serde::de::DeserializeOwned;
use synod_abi::schema::StateKind;
use synod_abi::{Key, Shape, decode, encode};

pub use cell::Cell;
pub use claims::{Claimed, Claims};
pub use counter::{Counter, CounterValue};
pub use line::{Line, Waiting};
pub use map::{LongKey, Map, Range, TupleKey};
pub use queue::{Position, Queue, QueueIter};

use crate::{Ctx, QueryCtx};

/// A type that a field of a `#[recipe]` can have.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a field of a recipe",
    note = "the fields of a recipe are handles on its rows: Cell<T>, Map<K, V>, Queue<K, T>, Counter, \
            Line<K, R, D>, Claims<T, MOST>"
)]
pub trait StateField {
    /// How it stores.
    const KIND: StateKind;
    /// Shape of its keys.
    const KEY: Shape;
    /// Shape of its values.
    const VALUE: Shape;
}

/// Bytes of the prefix of a row's key.
const PREFIX_BYTES: usize = 4;

fn prefix_key(prefix: u32) -> Vec<u8> {
    let mut key = Vec::with_capacity(48);
    key.extend_from_slice(&prefix.to_be_bytes());
    key
}

fn row_key<K: Key + ?Sized>(prefix: u32, key: &K) -> Vec<u8> {
    let mut row = prefix_key(prefix);
    key.encode_key(&mut row);
    row
}

/// The smallest key behind all that begin with `key`. There is one, since `#[recipe]` refuses the
/// prefix `FF FF FF FF`.
fn behind(mut key: Vec<u8>) -> Vec<u8> {
    while let Some(last) = key.pop() {
        if last != u8::MAX {
            key.push(last + 1);
            break;
        }
    }
    key
}

fn read<T: DeserializeOwned>(cx: &QueryCtx<'_>, key: Vec<u8>, what: &str) -> Option<T> {
    cx.host.read(key, |value| decode(value)).map(|value| value.unwrap_or_else(|_| cx.host.corrupt(what)))
}

fn write<T: Serialize>(cx: &mut Ctx<'_>, key: &[u8], value: &T) {
    cx.put(key, &encode(value));
}

#[cfg(test)]
mod tests;
