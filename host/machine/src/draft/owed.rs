//! Keeping hooks that are owed, taking them away, and trying them again soon after their recipe
//! changed: see [`rows::owed`](crate::rows::owed).
use alloc::vec::Vec;

use synod_abi::{Direction, RecipeRef, SpaceId, Time, limits};

use crate::draft::draft::Draft;
use crate::log::rejection::Rejection;
use crate::ports::{Fatal, StateView, Table};
use crate::rows::codec::damaged;
use crate::rows::counter::Counter;
use crate::rows::directory;
use crate::rows::owed::{OwedHook, OwedRecord, owed_hook};
use crate::rows::scan::{behind, page_of};
use crate::rows::timers::{Chore, Lane, number_of_index, space_of_line, time_in};

/// Hooks, or spaces, that one step of hastening looks at; the rest follow with the next.
const HASTENED: usize = 256;

impl<S: StateView> Draft<S> {
    /// How many hooks `space` is owed. Reads no row while the cluster owes none.
    pub(crate) fn owed_in(&mut self, space: SpaceId) -> Result<u32, Fatal> {
        if self.counts().owed == 0 {
            return Ok(0);
        }
        Ok(self.line(Lane::Owed, space)?.map_or(0, |line| line.items))
    }

    /// Refuses what could come to be owed in `space` by further sessions, while it is owed as much
    /// as that.
    pub(crate) fn may_owe(&mut self, space: SpaceId) -> Result<Result<(), Rejection>, Fatal> {
        let full = self.owed_in(space)? >= limits::SPACE_OWED;
        Ok(if full { Err(Rejection::TooManyOwed) } else { Ok(()) })
    }

    /// Keeps a hook, to be tried at `at`. Never refused: what could come to be owed is bounded when
    /// sessions call and timers are set.
    pub(crate) fn owe(&mut self, space: SpaceId, at: Time, hook: &OwedHook) -> Result<(), Fatal> {
        let numbers = self.numbers();
        numbers.last_owed += 1;
        let number = numbers.last_owed;
        self.owe_again(space, at, number, hook)
    }

    /// Keeps a hook under the number that it had.
    pub(crate) fn owe_again(
        &mut self,
        space: SpaceId,
        at: Time,
        number: u64,
        hook: &OwedHook,
    ) -> Result<(), Fatal> {
        self.counts().owed += 1;
        self.add_to_line(Lane::Owed, space, (at, number), synod_abi::encode(hook))
    }

    /// Takes a hook that is owed away; `None`: it is not.
    pub(crate) fn take_owed(&mut self, space: SpaceId, number: u64) -> Result<Option<OwedRecord>, Fatal> {
        let Some(owed) = owed_hook(&*self, space, number)? else { return Ok(None) };
        self.counts().owed.take(1, "hooks that are owed")?;
        self.remove_from_line(Lane::Owed, space, (owed.next_try, number))?;
        Ok(Some(owed))
    }

    /// Has what `space` is owed tried again soon, in ticks that follow.
    pub(crate) fn hasten(&mut self, space: SpaceId) -> Result<(), Fatal> {
        if self.owed_in(space)? > 0 {
            let now = self.time();
            self.add_chore(now, &Chore::Hasten { space, after: 0 });
        }
        Ok(())
    }

    /// The same for all spaces of a recipe.
    pub(crate) fn hasten_all(&mut self, recipe: &RecipeRef) {
        if self.counts().owed > 0 {
            let now = self.time();
            self.add_chore(now, &Chore::HastenAll { recipe: recipe.clone(), after: SpaceId(0) });
        }
    }

    /// Moves hooks with numbers after `after` to the next millisecond, in their order.
    pub(crate) fn hasten_some(&mut self, space: SpaceId, after: u64) -> Result<(), Fatal> {
        if self.line(Lane::Owed, space)?.is_none() {
            return Ok(());
        }
        let soon = self.time().plus_ms(1);
        let from = Lane::Owed.index_key(space, after.saturating_add(1));
        let to = behind(&Lane::Owed.index_prefix(space));
        let (rows, more) = self.range(Table::Timers, &from, &to, Direction::Forward, page_of(HASTENED))?;
        for (key, value) in &rows {
            let spot = (time_in(value)?, number_of_index(key)?);
            if spot.0 > soon {
                let item = self.row(Table::Timers, &Lane::Owed.item_key(space, spot))?;
                let item = item.ok_or_else(|| damaged("a hook that is owed"))?.into_owned();
                self.remove_from_line(Lane::Owed, space, spot)?;
                self.add_to_line(Lane::Owed, space, (soon, spot.1), item)?;
            }
        }
        if let Some((key, _)) = rows.last().filter(|_| more) {
            let after = number_of_index(key)?;
            self.add_chore(soon, &Chore::Hasten { space, after });
        }
        Ok(())
    }

    /// Hastens what spaces after `after` are owed, if they run `recipe`.
    pub(crate) fn hasten_spaces(&mut self, recipe: &RecipeRef, after: SpaceId) -> Result<(), Fatal> {
        let from = Lane::Owed.line_key(SpaceId(after.0.saturating_add(1)));
        let to = behind(&Lane::Owed.lines());
        let (rows, more) = self.range(Table::Timers, &from, &to, Direction::Forward, page_of(HASTENED))?;
        let spaces = rows.iter().map(|(key, _)| space_of_line(key)).collect::<Result<Vec<_>, Fatal>>()?;
        for space in &spaces {
            if directory::space_by_id(&*self, *space)?.is_some_and(|record| record.recipe == *recipe) {
                self.hasten(*space)?;
            }
        }
        if let Some(last) = spaces.last().filter(|_| more) {
            let soon = self.time().plus_ms(1);
            self.add_chore(soon, &Chore::HastenAll { recipe: recipe.clone(), after: *last });
        }
        Ok(())
    }
}
