//! One FIFO per key.
//!
//! A queue that has items has a row, under its key alone, that says where they lie: no item is
//! before `head`, and the next one goes to `tail` or behind it. So pushing reads one row, and what
//! looks for the first item starts where the last one was taken, and never steps over what was
//! popped before. An item that was removed from the middle is passed once.
//!
//! A position is at least the command's revision times 2^20, and greater than every position in the
//! queue: an item pushed later has a greater one, also after the queue was empty, when nothing is
//! left of it. Only within one command can the position of an item that it pushed and removed come
//! again.
use alloc::vec::Vec;
use core::borrow::Borrow;
use core::marker::PhantomData;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use synod_abi::schema::StateKind;
use synod_abi::{Direction, Key, OwnedKey, Shape, Shaped, decode};

use super::scan::Scan;
use super::{StateField, read, row_key, write};
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

/// The row of a queue that has items.
#[derive(Serialize, Deserialize)]
struct Ends {
    /// No item is before it.
    head: u64,
    /// No item is there or behind it.
    tail: u64,
    /// How many there are.
    items: u64,
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

    /// Appends `item` and returns its position, which is greater than that of every item before.
    pub fn push_back<Q: Key + ?Sized>(&self, cx: &mut Ctx<'_>, key: &Q, item: &T) -> Position
    where
        K: Borrow<Q>,
    {
        let least = cx.revision().0 << POSITIONS_PER_REVISION_BITS;
        let Ends { head, tail, items } =
            self.ends(cx, key).unwrap_or(Ends { head: least, tail: least, items: 0 });
        let position = tail.max(least);
        write(cx, &self.item_key(key, position), item);
        self.set_ends(cx, key, &Ends { head, tail: position + 1, items: items + 1 });
        Position(position)
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
        let ends = self.ends(cx, key)?;
        Some(self.first_within(cx, key, &ends))
    }

    /// Removes and returns the first item.
    pub fn pop_front<Q: Key + ?Sized>(&self, cx: &mut Ctx<'_>, key: &Q) -> Option<T>
    where
        K: Borrow<Q>,
    {
        let ends = self.ends(cx, key)?;
        let (Position(first), item) = self.first_within(cx, key, &ends);
        cx.delete(&self.item_key(key, first));
        self.set_ends(cx, key, &Ends { head: first + 1, items: ends.items - 1, ..ends });
        Some(item)
    }

    /// The item at `position`.
    pub fn get<Q: Key + ?Sized>(&self, cx: &QueryCtx<'_>, key: &Q, position: Position) -> Option<T>
    where
        K: Borrow<Q>,
    {
        read(cx, self.item_key(key, position.0), "queue item")
    }

    /// Removes and returns the item at `position`.
    pub fn remove<Q: Key + ?Sized>(&self, cx: &mut Ctx<'_>, key: &Q, position: Position) -> Option<T>
    where
        K: Borrow<Q>,
    {
        let item = self.get(cx, key, position)?;
        let ends = self.ends(cx, key).unwrap_or_else(|| cx.host.corrupt("queue"));
        cx.delete(&self.item_key(key, position.0));
        let head = if position.0 == ends.head { position.0 + 1 } else { ends.head };
        self.set_ends(cx, key, &Ends { head, items: ends.items - 1, ..ends });
        Some(item)
    }

    /// The items of the queue of `key`, first to last, with their positions.
    pub fn iter<'c, 'h, Q: Key + ?Sized>(&self, cx: &'c QueryCtx<'h>, key: &Q) -> QueueIter<'c, 'h, T>
    where
        K: Borrow<Q>,
    {
        let Ends { head, tail, .. } = self.ends(cx, key).unwrap_or(Ends { head: 0, tail: 0, items: 0 });
        self.iter_within(cx, key, head, tail)
    }

    /// The number of items; reads one row.
    pub fn len<Q: Key + ?Sized>(&self, cx: &QueryCtx<'_>, key: &Q) -> u64
    where
        K: Borrow<Q>,
    {
        self.ends(cx, key).map_or(0, |ends| ends.items)
    }

    /// The number of items, if it is less than `limit`, otherwise `limit`.
    pub fn len_at_most<Q: Key + ?Sized>(&self, cx: &QueryCtx<'_>, key: &Q, limit: usize) -> usize
    where
        K: Borrow<Q>,
    {
        usize::try_from(self.len(cx, key)).unwrap_or(usize::MAX).min(limit)
    }

    /// Whether the queue of `key` has no items.
    pub fn is_empty<Q: Key + ?Sized>(&self, cx: &QueryCtx<'_>, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.ends(cx, key).is_none()
    }

    /// The first item of a queue that has some.
    fn first_within<Q: Key + ?Sized>(&self, cx: &QueryCtx<'_>, key: &Q, ends: &Ends) -> (Position, T) {
        let mut items = self.iter_within(cx, key, ends.head, ends.tail).at_most(1);
        items.next().unwrap_or_else(|| cx.host.corrupt("queue"))
    }

    fn ends<Q: Key + ?Sized>(&self, cx: &QueryCtx<'_>, key: &Q) -> Option<Ends> {
        read(cx, row_key(self.prefix, key), "queue")
    }

    fn set_ends<Q: Key + ?Sized>(&self, cx: &mut Ctx<'_>, key: &Q, ends: &Ends) {
        let row = row_key(self.prefix, key);
        if ends.items == 0 { cx.delete(&row) } else { write(cx, &row, ends) }
    }

    fn item_key<Q: Key + ?Sized>(&self, key: &Q, position: u64) -> Vec<u8> {
        let mut row = row_key(self.prefix, key);
        position.encode_key(&mut row);
        row
    }

    fn iter_within<'c, 'h, Q: Key + ?Sized>(
        &self,
        cx: &'c QueryCtx<'h>,
        key: &Q,
        from: u64,
        to: u64,
    ) -> QueueIter<'c, 'h, T> {
        let (from, to) = (self.item_key(key, from), self.item_key(key, to));
        QueueIter { scan: Scan::new(cx, from, to, Direction::Forward), item: PhantomData }
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
