//! Ticks: a leader proposes one when something is due.
//!
//! Deadlines of waiting calls come first, in the order of their time; then recipes' timers, then
//! hooks that are owed: spaces have their turns one after the other, and in its turn what a space
//! has in line runs in the order of time and number. Each of the three has a share of what an entry
//! may run and write, and a number, `limits::TICK_TIMERS`, so that none keeps another from being
//! done. What is left follows in the next tick, and so does what a hook sets, which is due later
//! than now. A space whose hook fails again when it is tried has its next turn of that kind a while
//! later.
use synod_abi::{SpaceId, Time, TimerId, limits};

use crate::draft::draft::Draft;
use crate::draft::lines::{Due, Turn};
use crate::log::outcome::Reply;
use crate::log::rejection::Rejection;
use crate::ports::{Fatal, StateView, Table, Vm};
use crate::rows::codec::decode;
use crate::rows::counter::Counter;
use crate::rows::sessions::StoredTicket;
use crate::rows::timers::{Chore, Lane, spot_of};
use crate::run::hook::{Hook, Ran};
use crate::run::run::{Run, Used};

/// Kinds of work that share a tick.
const SHARES: usize = 3;

impl<S: StateView, V: Vm<Draft<S>>> Run<'_, S, V> {
    pub(crate) fn tick(&mut self) -> Result<Reply, Fatal> {
        let known = self.machine.next_due;
        self.do_chores(known.chore)?;
        self.serve(Lane::Timers, known.timer)?;
        self.serve(Lane::Owed, known.owed)?;
        Ok(Reply::Done)
    }

    fn do_chores(&mut self, known: Option<Time>) -> Result<(), Fatal> {
        let began = self.used();
        for (key, _) in self.draft.due_chores(known)? {
            let Some(chore) = self.draft.read(Table::Timers, &key, "a deadline")? else { continue };
            let (at, number) = spot_of(&key)?;
            match chore {
                Chore::Deadline { session, request } => {
                    self.give_up(StoredTicket { session, request }, Rejection::WaitTimeout)?;
                }
                Chore::Purge { space } => {
                    self.draft.remove_chore(at, TimerId(number))?;
                    self.draft.purge_lines(space)?;
                }
                Chore::Hasten { space, after } => {
                    self.draft.remove_chore(at, TimerId(number))?;
                    self.draft.hasten_some(space, after)?;
                }
                Chore::HastenAll { recipe, after } => {
                    self.draft.remove_chore(at, TimerId(number))?;
                    self.draft.hasten_spaces(&recipe, after)?;
                }
            }
            if self.did_enough(began, SHARES) {
                break;
            }
        }
        Ok(())
    }

    /// Serves the spaces of a lane in turn.
    fn serve(&mut self, lane: Lane, known: Option<Time>) -> Result<(), Fatal> {
        let began = self.used();
        let mut left = limits::TICK_TIMERS;
        let mut last: Option<Turn> = None;
        loop {
            let turns = self.draft.turns(lane, known, last)?;
            if turns.is_empty() {
                return Ok(());
            }
            for turn in turns {
                if left == 0 || self.did_enough(began, SHARES) {
                    return Ok(());
                }
                last = Some(turn);
                if self.draft.has_turn(lane, turn)? {
                    left -= self.serve_space(lane, turn.space, left.min(limits::TURN_TIMERS), began)?;
                }
            }
        }
    }

    /// Gives a space its turn, and returns how many of its items it had.
    fn serve_space(&mut self, lane: Lane, space: SpaceId, most: usize, began: Used) -> Result<usize, Fatal> {
        let now = self.draft.time();
        let (mut served, mut not_before) = (0, now);
        for Due { spot, item } in self.draft.due_in_line(lane, space, most)? {
            if !self.draft.is_in_line(lane, space, spot) {
                continue;
            }
            served += 1;
            self.draft.take_from_line(lane, space, spot, &item)?;
            let (_, number) = spot;
            match lane {
                Lane::Timers => {
                    self.draft.counts().timers.take(1, "timers")?;
                    self.hook(space, Hook::Timer(TimerId(number), &item))?;
                }
                Lane::Owed => {
                    self.draft.counts().owed.take(1, "hooks that are owed")?;
                    let owed = decode(&item, "a hook that is owed")?;
                    if matches!(self.retry(space, number, owed)?, Ran::Failed(_)) {
                        not_before = now.plus_ms(limits::OWED_PAUSE_MS);
                        break;
                    }
                }
            }
            if self.did_enough(began, SHARES) {
                break;
            }
        }
        self.draft.end_turn(lane, space, not_before)?;
        Ok(served)
    }
}

#[cfg(test)]
mod tests;
