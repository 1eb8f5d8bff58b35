//! Setting and removing timers, and which of them are due.
//!
//! When the next one is due is known to the caller: an entry that touches no timer reads no row of
//! one.
use alloc::vec::Vec;

use synod_abi::{Direction, Fault, SpaceId, Time, TimerId, limits};

use crate::draft::draft::Draft;
use crate::ports::{Fatal, RangeLimit, Row, StateView, Table};
use crate::rows::counter::Counter;
use crate::rows::scan::{Scan, page_of, successor};
use crate::rows::timers::{
    Fires, TIMER_ROWS_BYTES, time_in, time_of_timer, timer_index_key, timer_index_prefix, timer_key,
    timer_of_index,
};

/// Timers of a deleted space that one command removes; the rest go with the ticks that follow.
const PURGED_TIMERS: usize = 4_096;
/// Bytes of a timer's key up to its time.
const TIME_PREFIX_BYTES: usize = 9;

impl<S: StateView> Draft<S> {
    /// Sets a timer, if the cluster may have another.
    pub(crate) fn add_timer(&mut self, at: Time, fires: &Fires) -> Result<TimerId, Fault> {
        if self.counts().timers >= limits::TIMERS {
            return Err(Fault::TooManyTimers);
        }
        Ok(self.add(at, fires))
    }

    fn add(&mut self, at: Time, fires: &Fires) -> TimerId {
        let numbers = self.numbers();
        numbers.counts.timers += 1;
        numbers.last_timer += 1;
        let timer = TimerId(numbers.last_timer);
        self.overlay().put_new(Table::Timers, &timer_key(at, timer), synod_abi::encode(fires));
        if let Fires::Hook { space, .. } = fires {
            self.overlay().put_new(
                Table::Timers,
                &timer_index_key(*space, timer),
                at.0.to_be_bytes().to_vec(),
            );
        }
        timer
    }

    /// Removes a timer that is there, of a recipe if `space` is given.
    pub(crate) fn remove_timer(
        &mut self,
        at: Time,
        timer: TimerId,
        space: Option<SpaceId>,
    ) -> Result<(), Fatal> {
        self.counts().timers.take(1, "timers")?;
        self.overlay().delete(Table::Timers, &timer_key(at, timer));
        if let Some(space) = space {
            self.overlay().delete(Table::Timers, &timer_index_key(space, timer));
        }
        Ok(())
    }

    /// Removes a timer of the recipe in `space`, and returns whether it was pending.
    pub(crate) fn cancel(&mut self, space: SpaceId, timer: TimerId) -> Result<bool, Fatal> {
        let row = self.row(Table::Timers, &timer_index_key(space, timer))?;
        let Some(at) = row.map(|row| time_in(&row)).transpose()? else { return Ok(false) };
        self.remove_timer(at, timer, Some(space))?;
        Ok(true)
    }

    /// Removes timers of a deleted space; a timer that is due at once removes the rest.
    pub(crate) fn purge_timers(&mut self, space: SpaceId) -> Result<(), Fatal> {
        let mut removed = 0;
        let mut scan = Scan::prefix(Table::Timers, timer_index_prefix(space));
        while let Some(rows) = scan.next_page(self)? {
            for (key, value) in &rows {
                self.remove_timer(time_in(value)?, timer_of_index(key)?, Some(space))?;
            }
            removed += rows.len();
            if removed >= PURGED_TIMERS && scan.has_more() {
                self.add(Time(0), &Fires::Purge { space });
                return Ok(());
            }
        }
        Ok(())
    }

    /// The timers that a tick fires, if none is before `known` but those that this entry set.
    pub(crate) fn due_timers(&mut self, known: Option<Time>) -> Result<Vec<Row>, Fatal> {
        let Some(first) = self.earliest_timer(known) else { return Ok(Vec::new()) };
        let from = timer_key(first, TimerId(0));
        let to = successor(timer_key(self.time(), TimerId(u64::MAX)));
        let limit = RangeLimit {
            rows: limits::TICK_TIMERS,
            bytes: limits::TICK_TIMERS * (limits::TIMER_PAYLOAD_BYTES + TIMER_ROWS_BYTES),
        };
        Ok(self.range(Table::Timers, &from, &to, Direction::Forward, limit)?.0)
    }

    /// When the next timer is due, if none was before `known` when the entry began.
    pub(crate) fn next_timer(&mut self, known: Option<Time>) -> Result<Option<Time>, Fatal> {
        let Some(first) = self.earliest_timer(known) else { return Ok(None) };
        let from = timer_key(first, TimerId(0));
        let at_first = &from[..TIME_PREFIX_BYTES];
        let removed = |(key, there): (&[u8], bool)| !there && key.starts_with(at_first);
        if !self.overlay().changed(Table::Timers, &from).any(removed) {
            return Ok(Some(first));
        }
        let (rows, _) = self.range(Table::Timers, &from, b"u", Direction::Forward, page_of(8))?;
        rows.first().map(|(key, _)| time_of_timer(key).map(|(at, _)| at)).transpose()
    }

    /// A time that no timer is before; `None` if there are none.
    fn earliest_timer(&mut self, known: Option<Time>) -> Option<Time> {
        let set = self.overlay().changed(Table::Timers, b"t").find(|(_, there)| *there);
        let set = set.and_then(|(key, _)| time_of_timer(key).ok()).map(|(at, _)| at);
        [known, set].into_iter().flatten().min()
    }
}
