//! One FIFO per key.
//!
//! A position is at least the command's revision times 2^20, and greater than every position in the
//! queue: an item pushed later has a greater one, also after the queue was empty, without a row
//! that remembers the last. Only within one command can the position of an item that it pushed and
//! removed come again.
use alloc::vec::Vec;
use core::borrow::Borrow;
use core::marker::PhantomData;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use synod_abi::schema::StateKind;
use synod_abi::{Direction, Key, OwnedKey, Shape, Shaped, decode};

use super::scan::Scan;
use super::{StateField, behind, read, row_key, write};
use crate::{Ctx, QueryCtx};

const POSITIONS_PER_REVISION_BITS: u32 = 20;

/// Where an item stands in its queue; kept while others come and go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Position(pub u64);

impl Shaped for Position {
    const SHAPE: Shape = Shape::U64;
}

impl Key for Position {
    fn encode_key(&self, out: &mut Vec<u8>) {
        self.0.encode_key(out);
    }
}

impl OwnedKey for Position {
    fn decode_key(bytes: &mut &[u8]) -> Result<Self, synod_abi::KeyError> {
        u64::decode_key(bytes).map(Self)
    }
}

/// One FIFO per key; for a single one let the key be `()`.
#[derive(Debug)]
pub struct Queue<K, T> {
    prefix: u32,
    row: PhantomData<fn() -> (K, T)>,
}

impl<K: Key, T: Shaped> StateField for Queue<K, T> {
    const KIND: StateKind = StateKind::Queue;
    const KEY: Shape = K::SHAPE;
    const VALUE: Shape = T::SHAPE;
}

impl<K: OwnedKey, T: Shaped + Serialize + DeserializeOwned> Queue<K, T> {
    #[doc(hidden)]
    pub const fn at(prefix: u32) -> Self {
        Self { prefix, row: PhantomData }
    }

    /// Appends `item` and returns its position.
    pub fn push_back<Q: Key + ?Sized>(&self, cx: &mut Ctx<'_>, key: &Q, item: &T) -> Position
    where
        K: Borrow<Q>,
    {
        let after_last = self
            .iter_at(cx, key, Direction::Backward)
            .at_most(1)
            .next_position()
            .map_or(0, |last| last.0 + 1);
        let position = Position(after_last.max(cx.revision().0 << POSITIONS_PER_REVISION_BITS));
        write(cx, &self.item_key(key, position), item);
        position
    }

    /// The first item.
    pub fn front<Q: Key + ?Sized>(&self, cx: &QueryCtx<'_>, key: &Q) -> Option<T>
    where
        K: Borrow<Q>,
    {
        self.first(cx, key).map(|(_, item)| item)
    }

    /// The first item and its position.
    pub fn first<Q: Key + ?Sized>(&self, cx: &QueryCtx<'_>, key: &Q) -> Option<(Position, T)>
    where
        K: Borrow<Q>,
    {
        self.iter_at(cx, key, Direction::Forward).at_most(1).next()
    }

    /// Removes and returns the first item.
    pub fn pop_front<Q: Key + ?Sized>(&self, cx: &mut Ctx<'_>, key: &Q) -> Option<T>
    where
        K: Borrow<Q>,
    {
        let (position, item) = self.first(cx, key)?;
        self.delete(cx, key, position);
        Some(item)
    }

    /// The item at `position`.
    pub fn get<Q: Key + ?Sized>(&self, cx: &QueryCtx<'_>, key: &Q, position: Position) -> Option<T>
    where
        K: Borrow<Q>,
    {
        read(cx, self.item_key(key, position), "queue item")
    }

    /// Removes and returns the item at `position`.
    pub fn remove<Q: Key + ?Sized>(&self, cx: &mut Ctx<'_>, key: &Q, position: Position) -> Option<T>
    where
        K: Borrow<Q>,
    {
        let item = self.get(cx, key, position)?;
        self.delete(cx, key, position);
        Some(item)
    }

    /// The items of the queue of `key`, first to last, with their positions.
    pub fn iter<'c, 'h, Q: Key + ?Sized>(&self, cx: &'c QueryCtx<'h>, key: &Q) -> QueueIter<'c, 'h, T>
    where
        K: Borrow<Q>,
    {
        self.iter_at(cx, key, Direction::Forward)
    }

    /// The number of items, if it is less than `limit`, otherwise `limit`.
    pub fn len_at_most<Q: Key + ?Sized>(&self, cx: &QueryCtx<'_>, key: &Q, limit: usize) -> usize
    where
        K: Borrow<Q>,
    {
        let mut items = self.iter(cx, key).at_most(limit);
        (0..limit).take_while(|_| items.next_position().is_some()).count()
    }

    /// Whether the queue of `key` has no items.
    pub fn is_empty<Q: Key + ?Sized>(&self, cx: &QueryCtx<'_>, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.len_at_most(cx, key, 1) == 0
    }

    fn item_key<Q: Key + ?Sized>(&self, key: &Q, position: Position) -> Vec<u8> {
        let mut row = row_key(self.prefix, key);
        position.encode_key(&mut row);
        row
    }

    fn delete<Q: Key + ?Sized>(&self, cx: &mut Ctx<'_>, key: &Q, position: Position) {
        cx.delete(&self.item_key(key, position));
    }

    fn iter_at<'c, 'h, Q: Key + ?Sized>(
        &self,
        cx: &'c QueryCtx<'h>,
        key: &Q,
        direction: Direction,
    ) -> QueueIter<'c, 'h, T> {
        let from = row_key(self.prefix, key);
        let to = behind(from.clone());
        QueueIter { scan: Scan::new(cx, from, to, direction), item: PhantomData }
    }
}

/// The items of one queue, read in chunks as they are asked for.
pub struct QueueIter<'c, 'h, T> {
    scan: Scan<'c, 'h>,
    item: PhantomData<fn() -> T>,
}

impl<T> QueueIter<'_, '_, T> {
    /// Reads `items` items with the first host call: for who knows how many it wants.
    #[must_use]
    pub fn at_most(self, items: usize) -> Self {
        Self { scan: self.scan.at_most(items), item: PhantomData }
    }

    fn next_position(&mut self) -> Option<Position> {
        let cx = self.scan.cx();
        let (key, _) = self.scan.next()?;
        Some(position_of(key).unwrap_or_else(|| cx.host.corrupt("queue position")))
    }
}

fn position_of(key: &[u8]) -> Option<Position> {
    key.last_chunk().map(|bytes| Position(u64::from_be_bytes(*bytes)))
}

impl<T: DeserializeOwned> Iterator for QueueIter<'_, '_, T> {
    type Item = (Position, T);

    fn next(&mut self) -> Option<(Position, T)> {
        let cx = self.scan.cx();
        let (key, value) = self.scan.next()?;
        match (position_of(key), decode(value)) {
            (Some(position), Ok(item)) => Some((position, item)),
            _ => cx.host.corrupt("queue item"),
        }
    }
}

impl<T> core::fmt::Debug for QueueIter<'_, '_, T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("QueueIter")
    }
}
