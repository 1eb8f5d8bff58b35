//! Setting and removing timers, and the host's own work that is due at a time: deadlines of waiting
//! calls, and removing what a deleted space left.
use alloc::vec::Vec;

use synod_abi::{Fault, SpaceId, Time, TimerId, limits};

use crate::draft::draft::Draft;
use crate::log::rejection::{Counted, Rejection};
use crate::ports::{Fatal, RangeLimit, Row, StateView, Table};
use crate::rows::counter::Counter;
use crate::rows::scan::{PAGE_BYTES, Scan};
use crate::rows::timers::{CHORES, Chore, Lane, NextDue, chore_key, number_of_index, spot_key, time_in};

/// What one command removes of what a deleted space had in line; the rest goes with the ticks that
/// follow.
const PURGED: usize = 4_096;

impl<S: StateView> Draft<S> {
    /// Sets a timer of a recipe, if its space and the cluster may have another. It is due a
    /// millisecond from now at the earliest, so that what a hook sets fires in a later entry.
    pub(crate) fn add_timer(
        &mut self,
        space: SpaceId,
        at: Time,
        payload: &[u8],
    ) -> Result<Result<TimerId, Fault>, Fatal> {
        let counts = *self.counts();
        if counts.timers - counts.deadlines >= limits::TIMERS {
            return Ok(Err(Fault::TooManyTimers));
        }
        let pending = self.line(Lane::Timers, space)?.map_or(0, |line| line.items);
        if pending.saturating_add(self.owed_in(space)?) >= limits::SPACE_TIMERS {
            return Ok(Err(Fault::TooManySpaceTimers));
        }
        let timer = self.next_timer_id();
        let at = at.max(self.time().plus_ms(limits::TIMER_FLOOR_MS));
        self.add_to_line(Lane::Timers, space, (at, timer.0), payload.to_vec())?;
        Ok(Ok(timer))
    }

    /// Sets the deadline of a waiting call, if the cluster may have another.
    pub(crate) fn add_deadline(&mut self, at: Time, deadline: &Chore) -> Result<TimerId, Rejection> {
        if self.counts().deadlines >= limits::DEADLINES {
            return Err(Rejection::TooMany { what: Counted::Deadlines });
        }
        Ok(self.add_chore(at, deadline))
    }

    pub(crate) fn add_chore(&mut self, at: Time, chore: &Chore) -> TimerId {
        let timer = self.next_timer_id();
        self.counts().deadlines += 1;
        self.overlay().put_new(Table::Timers, &chore_key(at, timer), synod_abi::encode(chore));
        timer
    }

    fn next_timer_id(&mut self) -> TimerId {
        let numbers = self.numbers();
        numbers.counts.timers += 1;
        numbers.last_timer += 1;
        TimerId(numbers.last_timer)
    }

    /// Removes a deadline, or other work of the host's own, that is there.
    pub(crate) fn remove_chore(&mut self, at: Time, timer: TimerId) -> Result<(), Fatal> {
        self.counts().timers.take(1, "timers")?;
        self.counts().deadlines.take(1, "deadlines")?;
        self.overlay().delete(Table::Timers, &chore_key(at, timer));
        Ok(())
    }

    /// Removes a timer of the recipe in `space`, and returns whether it was pending.
    pub(crate) fn cancel(&mut self, space: SpaceId, timer: TimerId) -> Result<bool, Fatal> {
        let row = self.row(Table::Timers, &Lane::Timers.index_key(space, timer.0))?;
        let Some(at) = row.map(|row| time_in(&row)).transpose()? else { return Ok(false) };
        self.counts().timers.take(1, "timers")?;
        self.remove_from_line(Lane::Timers, space, (at, timer.0))?;
        Ok(true)
    }

    /// Removes what a space that is deleted has in line: none of it comes to its turn any more.
    pub(crate) fn abandon_timers(&mut self, space: SpaceId) -> Result<(), Fatal> {
        self.leave_line(Lane::Timers, space)?;
        self.leave_line(Lane::Owed, space)?;
        self.purge_lines(space)
    }

    /// Removes what a deleted space had in line; work that is due at once removes the rest.
    pub(crate) fn purge_lines(&mut self, space: SpaceId) -> Result<(), Fatal> {
        let mut room = PURGED;
        for lane in [Lane::Timers, Lane::Owed] {
            let mut scan = Scan::prefix(Table::Timers, lane.index_prefix(space));
            while let Some(rows) = scan.next_page(self)? {
                if room == 0 {
                    self.add_chore(Time(0), &Chore::Purge { space });
                    return Ok(());
                }
                for (key, value) in &rows {
                    let spot = (time_in(value)?, number_of_index(key)?);
                    self.overlay().delete_known(Table::Timers, key, value);
                    self.overlay().delete(Table::Timers, &lane.item_key(space, spot));
                }
                let counts = self.counts();
                match lane {
                    Lane::Timers => counts.timers.take(rows.len() as u64, "timers")?,
                    Lane::Owed => counts.owed.take(rows.len() as u64, "hooks that are owed")?,
                }
                room = room.saturating_sub(rows.len());
            }
        }
        Ok(())
    }

    /// The work of the host's own that a tick does.
    pub(crate) fn due_chores(&mut self, known: Option<Time>) -> Result<Vec<Row>, Fatal> {
        let Some(first) = self.earliest(CHORES, known) else { return Ok(Vec::new()) };
        let limit = RangeLimit { rows: limits::TICK_TIMERS, bytes: PAGE_BYTES };
        self.due(CHORES, spot_key(CHORES, (first, 0)), limit)
    }

    /// When what is done next is due, if none was before `known` when the entry began.
    pub(crate) fn next_due(&mut self, known: NextDue) -> Result<NextDue, Fatal> {
        Ok(NextDue {
            chore: self.next_of(CHORES, known.chore)?,
            timer: self.next_of(Lane::Timers.places(), known.timer)?,
            owed: self.next_of(Lane::Owed.places(), known.owed)?,
        })
    }
}
