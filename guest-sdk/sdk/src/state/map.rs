//! A value per key, sorted by key.
use alloc::string::String;
use alloc::vec::Vec;
use core::borrow::Borrow;
use core::marker::PhantomData;
use core::ops::{Bound, RangeBounds};

use serde::Serialize;
use serde::de::DeserializeOwned;
use synod_abi::schema::StateKind;
use synod_abi::{Direction, Key, OwnedKey, Shape, Shaped, decode};

use super::scan::Scan;
use super::{PREFIX_BYTES, StateField, behind, prefix_key, read, row_key, write};
use crate::{Ctx, QueryCtx};

/// A value per key, sorted by key.
///
/// To change rows while going through them, collect their keys first: an iterator borrows the
/// context.
#[derive(Debug)]
pub struct Map<K, V> {
    prefix: u32,
    row: PhantomData<fn() -> (K, V)>,
}

impl<K: Key, V: Shaped> StateField for Map<K, V> {
    const KIND: StateKind = StateKind::Map;
    const KEY: Shape = K::SHAPE;
    const VALUE: Shape = V::SHAPE;
}

/// A tuple as a key: [`Map::prefix`] takes its first part.
pub trait TupleKey: Key {
    /// Its first part.
    type First;
}

/// A tuple of three or more as a key: [`Map::prefix2`] takes its first two parts.
pub trait LongKey: TupleKey {
    /// Its second part.
    type Second;
}

impl<A: Key, B: Key> TupleKey for (A, B) {
    type First = A;
}

impl<A: Key, B: Key, C: Key> TupleKey for (A, B, C) {
    type First = A;
}

impl<A: Key, B: Key, C: Key> LongKey for (A, B, C) {
    type Second = B;
}

impl<A: Key, B: Key, C: Key, D: Key> TupleKey for (A, B, C, D) {
    type First = A;
}

impl<A: Key, B: Key, C: Key, D: Key> LongKey for (A, B, C, D) {
    type Second = B;
}

impl<K: OwnedKey, V: Shaped + Serialize + DeserializeOwned> Map<K, V> {
    #[doc(hidden)]
    pub const fn at(prefix: u32) -> Self {
        Self { prefix, row: PhantomData }
    }

    /// The value of `key`.
    pub fn get<Q: Key + ?Sized>(&self, cx: &QueryCtx<'_>, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        read(cx, row_key(self.prefix, key), "map value")
    }

    /// Whether `key` has a value.
    pub fn contains<Q: Key + ?Sized>(&self, cx: &QueryCtx<'_>, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        cx.host.get(&row_key(self.prefix, key), &mut []) != u32::MAX
    }

    /// Sets the value of `key`.
    pub fn put<Q: Key + ?Sized>(&self, cx: &mut Ctx<'_>, key: &Q, value: &V)
    where
        K: Borrow<Q>,
    {
        write(cx, &row_key(self.prefix, key), value);
    }

    /// Removes `key`, if it is there.
    pub fn delete<Q: Key + ?Sized>(&self, cx: &mut Ctx<'_>, key: &Q)
    where
        K: Borrow<Q>,
    {
        cx.delete(&row_key(self.prefix, key));
    }

    /// Every row, by key.
    pub fn iter<'c, 'h>(&self, cx: &'c QueryCtx<'h>) -> Range<'c, 'h, K, V> {
        self.under(cx, prefix_key(self.prefix), Direction::Forward)
    }

    /// Every row, from the largest key.
    pub fn iter_rev<'c, 'h>(&self, cx: &'c QueryCtx<'h>) -> Range<'c, 'h, K, V> {
        self.under(cx, prefix_key(self.prefix), Direction::Backward)
    }

    /// The rows within `bounds`, by key.
    pub fn range<'c, 'h>(&self, cx: &'c QueryCtx<'h>, bounds: impl RangeBounds<K>) -> Range<'c, 'h, K, V> {
        self.within(cx, &bounds, Direction::Forward)
    }

    /// The rows within `bounds`, from the largest key.
    pub fn range_rev<'c, 'h>(
        &self,
        cx: &'c QueryCtx<'h>,
        bounds: impl RangeBounds<K>,
    ) -> Range<'c, 'h, K, V> {
        self.within(cx, &bounds, Direction::Backward)
    }

    /// The rows whose key's first part is `first`.
    pub fn prefix<'c, 'h, Q: Key + ?Sized>(&self, cx: &'c QueryCtx<'h>, first: &Q) -> Range<'c, 'h, K, V>
    where
        K: TupleKey,
        K::First: Borrow<Q>,
    {
        self.under(cx, row_key(self.prefix, first), Direction::Forward)
    }

    /// The rows whose key's first two parts are `first` and `second`.
    pub fn prefix2<'c, 'h, P, Q>(&self, cx: &'c QueryCtx<'h>, first: &P, second: &Q) -> Range<'c, 'h, K, V>
    where
        K: LongKey,
        K::First: Borrow<P>,
        K::Second: Borrow<Q>,
        P: Key + ?Sized,
        Q: Key + ?Sized,
    {
        let mut key = row_key(self.prefix, first);
        second.encode_key(&mut key);
        self.under(cx, key, Direction::Forward)
    }

    /// The row with the smallest key.
    pub fn first(&self, cx: &QueryCtx<'_>) -> Option<(K, V)> {
        self.iter(cx).at_most(1).next()
    }

    /// The row with the largest key.
    pub fn last(&self, cx: &QueryCtx<'_>) -> Option<(K, V)> {
        self.iter_rev(cx).at_most(1).next()
    }

    /// The number of rows, if it is less than `limit`, otherwise `limit`. There is no `len`, as it
    /// would read every row.
    pub fn len_at_most(&self, cx: &QueryCtx<'_>, limit: usize) -> usize {
        let mut scan = self.iter(cx).at_most(limit).scan;
        (0..limit).take_while(|_| scan.next().is_some()).count()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self, cx: &QueryCtx<'_>) -> bool {
        self.len_at_most(cx, 1) == 0
    }

    fn under<'c, 'h>(
        &self,
        cx: &'c QueryCtx<'h>,
        from: Vec<u8>,
        direction: Direction,
    ) -> Range<'c, 'h, K, V> {
        let to = behind(from.clone());
        Range { scan: Scan::new(cx, from, to, direction), row: PhantomData }
    }

    fn within<'c, 'h>(
        &self,
        cx: &'c QueryCtx<'h>,
        bounds: &impl RangeBounds<K>,
        direction: Direction,
    ) -> Range<'c, 'h, K, V> {
        let key = |key: &K| row_key(self.prefix, key);
        let behind_key = |key: &K| {
            let mut row = row_key(self.prefix, key);
            row.push(0);
            row
        };
        let from = match bounds.start_bound() {
            Bound::Included(start) => key(start),
            Bound::Excluded(start) => behind_key(start),
            Bound::Unbounded => prefix_key(self.prefix),
        };
        let to = match bounds.end_bound() {
            Bound::Included(end) => behind_key(end),
            Bound::Excluded(end) => key(end),
            Bound::Unbounded => behind(prefix_key(self.prefix)),
        };
        Range { scan: Scan::new(cx, from, to, direction), row: PhantomData }
    }
}

impl<V: Shaped + Serialize + DeserializeOwned> Map<String, V> {
    /// The rows whose key begins with `text`, by key.
    pub fn starting_with<'c, 'h>(&self, cx: &'c QueryCtx<'h>, text: &str) -> Range<'c, 'h, String, V> {
        let mut from = row_key(self.prefix, text);
        from.truncate(from.len() - 2);
        self.under(cx, from, Direction::Forward)
    }
}

/// The rows of a range, read in chunks as they are asked for.
pub struct Range<'c, 'h, K, V> {
    scan: Scan<'c, 'h>,
    row: PhantomData<fn() -> (K, V)>,
}

impl<K, V> Range<'_, '_, K, V> {
    /// Reads `rows` rows with the first host call: for who knows how many it wants.
    #[must_use]
    pub fn at_most(self, rows: usize) -> Self {
        Self { scan: self.scan.at_most(rows), row: PhantomData }
    }
}

impl<K: OwnedKey, V: DeserializeOwned> Iterator for Range<'_, '_, K, V> {
    type Item = (K, V);

    fn next(&mut self) -> Option<(K, V)> {
        let cx = self.scan.cx();
        let (key, value) = self.scan.next()?;
        let mut rest = &key[PREFIX_BYTES..];
        match (K::decode_key(&mut rest), rest, decode(value)) {
            (Ok(key), [], Ok(value)) => Some((key, value)),
            _ => cx.host.corrupt("map row"),
        }
    }
}

impl<K, V> core::fmt::Debug for Range<'_, '_, K, V> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Range")
    }
}
