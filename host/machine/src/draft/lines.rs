//! What spaces have in line, and whose turn it is: see [`rows::timers`](crate::rows::timers).
//!
//! Adding and removing keep a space's place in the queue of turns exact. During its turn only the
//! number of its items is; [`Draft::end_turn`] puts the rest in order. When the next turn is due is
//! known to the caller: an entry that touches no line reads no row of one.
use alloc::vec::Vec;

use synod_abi::{Direction, SpaceId, Time, limits};

use crate::draft::draft::Draft;
use crate::ports::{Fatal, RangeLimit, Row, StateView, Table};
use crate::rows::codec::damaged;
use crate::rows::counter::Counter;
use crate::rows::scan::{PAGE_BYTES, behind, page_of, successor};
use crate::rows::timers::{Lane, Line, Spot, space_in, spot_key, spot_of};

/// Spaces that are read at a time while it is their turn.
const TURNS: usize = 64;
/// Bytes of a key up to its time.
const TIME_PREFIX_BYTES: usize = 9;

/// An item that is due.
pub(crate) struct Due {
    pub(crate) spot: Spot,
    pub(crate) item: Vec<u8>,
}

/// A space whose turn it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    pub(crate) space: SpaceId,
    place: Spot,
}

impl<S: StateView> Draft<S> {
    /// What `space` has in line; `None`: nothing.
    pub(crate) fn line(&mut self, lane: Lane, space: SpaceId) -> Result<Option<Line>, Fatal> {
        self.read(Table::Timers, &lane.line_key(space), "what a space has in line")
    }

    /// Puts an item in line.
    pub(crate) fn add_to_line(
        &mut self,
        lane: Lane,
        space: SpaceId,
        spot: Spot,
        item: Vec<u8>,
    ) -> Result<(), Fatal> {
        let (at, number) = spot;
        let line = match self.line(lane, space)? {
            None => Line { items: 1, first: spot, place: self.take_place(lane, space, at) },
            Some(Line { items, first, place }) => {
                let place = self.move_place(lane, space, place, at < place.0, at);
                Line { items: items + 1, first: first.min(spot), place }
            }
        };
        let overlay = self.overlay();
        overlay.put_new(Table::Timers, &lane.item_key(space, spot), item);
        overlay.put_new(Table::Timers, &lane.index_key(space, number), at.0.to_be_bytes().to_vec());
        overlay.put(Table::Timers, &lane.line_key(space), synod_abi::encode(&line));
        Ok(())
    }

    /// Takes an item out of line.
    pub(crate) fn remove_from_line(&mut self, lane: Lane, space: SpaceId, spot: Spot) -> Result<(), Fatal> {
        self.overlay().delete(Table::Timers, &lane.item_key(space, spot));
        let Some(mut line) = self.one_less(lane, space, spot)? else { return Ok(()) };
        if line.first == spot {
            line.first = self.first_in_line(lane, space, spot)?;
            let at = line.first.0;
            line.place = self.move_place(lane, space, line.place, at > line.place.0, at);
        }
        self.overlay().put(Table::Timers, &lane.line_key(space), synod_abi::encode(&line));
        Ok(())
    }

    /// Takes an item out of line in the turn of its space.
    pub(crate) fn take_from_line(
        &mut self,
        lane: Lane,
        space: SpaceId,
        spot: Spot,
        item: &[u8],
    ) -> Result<(), Fatal> {
        let (at, number) = spot;
        self.overlay().delete_known(Table::Timers, &lane.item_key(space, spot), item);
        if let Some(mut line) = self.one_less(lane, space, spot)? {
            line.first = line.first.max((at, number.saturating_add(1)));
            self.overlay().put(Table::Timers, &lane.line_key(space), synod_abi::encode(&line));
        }
        Ok(())
    }

    /// Takes the index of an item away and counts it off; `None`: it was the last one.
    fn one_less(&mut self, lane: Lane, space: SpaceId, (at, number): Spot) -> Result<Option<Line>, Fatal> {
        self.overlay().delete_known(Table::Timers, &lane.index_key(space, number), &at.0.to_be_bytes());
        let mut line = self.line(lane, space)?.ok_or_else(|| damaged("what a space has in line"))?;
        line.items.take(1, "items in line")?;
        if line.items > 0 {
            return Ok(Some(line));
        }
        self.leave_place(lane, space, line.place);
        self.overlay().delete(Table::Timers, &lane.line_key(space));
        Ok(None)
    }

    /// Whether an item that was read during this turn is still in line.
    pub(crate) fn is_in_line(&mut self, lane: Lane, space: SpaceId, spot: Spot) -> bool {
        let key = lane.item_key(space, spot);
        let mut changed = self.overlay().changed(Table::Timers, &key);
        changed.next().is_none_or(|(of, there)| there || of != key)
    }

    /// The items that are due in the turn of a space, at most so many.
    pub(crate) fn due_in_line(&mut self, lane: Lane, space: SpaceId, most: usize) -> Result<Vec<Due>, Fatal> {
        let Some(line) = self.line(lane, space)? else { return Ok(Vec::new()) };
        let from = lane.item_key(space, line.first);
        let to = successor(lane.item_key(space, (self.time(), u64::MAX)));
        let limit = RangeLimit { rows: most, bytes: most * (limits::TIMER_PAYLOAD_BYTES + from.len()) };
        let (rows, _) = self.range(Table::Timers, &from, &to, Direction::Forward, limit)?;
        rows.into_iter().map(|(key, item)| Ok(Due { spot: spot_of(&key)?, item })).collect()
    }

    /// Ends the turn of a space: if it has more in line, it gets a place behind those that are due
    /// now, at `not_before` or later.
    pub(crate) fn end_turn(&mut self, lane: Lane, space: SpaceId, not_before: Time) -> Result<(), Fatal> {
        let Some(mut line) = self.line(lane, space)? else { return Ok(()) };
        line.first = self.first_in_line(lane, space, line.first)?;
        let at = line.first.0.max(not_before);
        line.place = self.move_place(lane, space, line.place, true, at);
        self.overlay().put(Table::Timers, &lane.line_key(space), synod_abi::encode(&line));
        Ok(())
    }

    /// Takes the place of a space that is deleted away; its items are left.
    pub(crate) fn leave_line(&mut self, lane: Lane, space: SpaceId) -> Result<(), Fatal> {
        if let Some(line) = self.line(lane, space)? {
            self.leave_place(lane, space, line.place);
            self.overlay().delete(Table::Timers, &lane.line_key(space));
        }
        Ok(())
    }

    /// The next spaces whose turn it is, behind `last`, if none is before `known` but those that
    /// this entry added.
    pub(crate) fn turns(
        &mut self,
        lane: Lane,
        known: Option<Time>,
        last: Option<Turn>,
    ) -> Result<Vec<Turn>, Fatal> {
        let Some(first) = self.earliest(lane.places(), known) else { return Ok(Vec::new()) };
        let first = lane.place_key((first, 0));
        let from = last.map_or(first, |last| successor(lane.place_key(last.place)));
        let rows = self.due(lane.places(), from, page_of(TURNS))?;
        rows.into_iter()
            .map(|(key, value)| Ok(Turn { space: space_in(&value)?, place: spot_of(&key)? }))
            .collect()
    }

    /// Whether a space still has the place that it had when its turn was read.
    pub(crate) fn has_turn(&mut self, lane: Lane, turn: Turn) -> Result<bool, Fatal> {
        Ok(self.line(lane, turn.space)?.is_some_and(|line| line.place == turn.place))
    }

    /// Rows from `from` on of which the times in the keys have come.
    pub(crate) fn due(&mut self, prefix: u8, from: Vec<u8>, limit: RangeLimit) -> Result<Vec<Row>, Fatal> {
        let to = successor(spot_key(prefix, (self.time(), u64::MAX)));
        Ok(self.range(Table::Timers, &from, &to, Direction::Forward, limit)?.0)
    }

    /// The time of the first row behind `prefix`, if none was before `known` when the entry began.
    pub(crate) fn next_of(&mut self, prefix: u8, known: Option<Time>) -> Result<Option<Time>, Fatal> {
        let Some(first) = self.earliest(prefix, known) else { return Ok(None) };
        let from = spot_key(prefix, (first, 0));
        let at_first = &from[..TIME_PREFIX_BYTES];
        let removed = |(key, there): (&[u8], bool)| !there && key.starts_with(at_first);
        if !self.overlay().changed(Table::Timers, &from).any(removed) {
            return Ok(Some(first));
        }
        let to = behind(&[prefix]);
        let (rows, _) = self.range(Table::Timers, &from, &to, Direction::Forward, page_of(1))?;
        rows.first().map(|(key, _)| spot_of(key).map(|(at, _)| at)).transpose()
    }

    /// A time that no row behind `prefix` is before; `None` if there are none.
    pub(crate) fn earliest(&mut self, prefix: u8, known: Option<Time>) -> Option<Time> {
        let of_prefix = [prefix];
        let set = self.overlay().changed(Table::Timers, &of_prefix);
        let set = set.take_while(|(key, _)| key.starts_with(&of_prefix)).find(|(_, there)| *there);
        let set = set.and_then(|(key, _)| spot_of(key).ok()).map(|(at, _)| at);
        [known, set].into_iter().flatten().min()
    }

    /// The first item of a space, of which none is before `from`.
    fn first_in_line(&mut self, lane: Lane, space: SpaceId, from: Spot) -> Result<Spot, Fatal> {
        let from = lane.item_key(space, from);
        let to = successor(lane.item_key(space, (Time(u64::MAX), u64::MAX)));
        let limit = RangeLimit { rows: 1, bytes: PAGE_BYTES };
        let (rows, _) = self.range(Table::Timers, &from, &to, Direction::Forward, limit)?;
        let (key, _) = rows.first().ok_or_else(|| damaged("what a space has in line"))?;
        spot_of(key)
    }

    fn move_place(&mut self, lane: Lane, space: SpaceId, place: Spot, moves: bool, to: Time) -> Spot {
        if !moves {
            return place;
        }
        self.leave_place(lane, space, place);
        self.take_place(lane, space, to)
    }

    fn take_place(&mut self, lane: Lane, space: SpaceId, at: Time) -> Spot {
        let numbers = self.numbers();
        numbers.last_turn += 1;
        let place = (at, numbers.last_turn);
        self.overlay().put_new(Table::Timers, &lane.place_key(place), space.0.to_be_bytes().to_vec());
        place
    }

    fn leave_place(&mut self, lane: Lane, space: SpaceId, place: Spot) {
        self.overlay().delete_known(Table::Timers, &lane.place_key(place), &space.0.to_be_bytes());
    }
}
