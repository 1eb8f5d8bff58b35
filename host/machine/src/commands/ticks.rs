//! Ticks: a leader proposes one when something is due.
//!
//! Deadlines of waiting calls come first, in the order of their time; then recipes' timers: spaces
//! have their turns one after the other, and in its turn a space's timers fire in the order of
//! time and number. Each of the two has a share of what an entry may run and write, and a number,
//! `limits::TICK_TIMERS`, so that neither keeps the other from being done. What is left follows
//! in the next tick, and so does what a hook sets, which is due later than now.
use synod_abi::{SpaceId, Time, TimerId, limits};

use crate::draft::draft::Draft;
use crate::draft::lines::{Due, Turn};
use crate::log::outcome::Reply;
use crate::log::rejection::Rejection;
use crate::ports::{Fatal, StateView, Table, Vm};
use crate::rows::counter::Counter;
use crate::rows::sessions::StoredTicket;
use crate::rows::timers::{Chore, Lane, spot_of};
use crate::run::hook::Hook;
use crate::run::run::Run;

/// Kinds of work that share a tick.
const SHARES: usize = 2;

/// What a command has used.
#[derive(Clone, Copy)]
struct Used {
    written_bytes: usize,
    fuel: u64,
    reactions: u32,
}

impl<S: StateView, V: Vm<Draft<S>>> Run<'_, S, V> {
    pub(crate) fn tick(&mut self) -> Result<Reply, Fatal> {
        let known = self.machine.next_due;
        self.do_chores(known.chore)?;
        self.serve(Lane::Timers, known.timer)?;
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
                    self.draft.purge_timers(space)?;
                }
            }
            if self.did_enough(began) {
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
                if left == 0 || self.did_enough(began) {
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
        let mut served = 0;
        for due in self.draft.due_in_line(lane, space, most)? {
            if !self.draft.is_in_line(lane, space, due.spot) {
                continue;
            }
            served += 1;
            self.draft.take_from_line(lane, space, &due)?;
            let Due { spot: (_, number), item } = due;
            self.draft.counts().timers.take(1, "timers")?;
            self.hook(space, Hook::Timer(TimerId(number), &item))?;
            if self.did_enough(began) {
                break;
            }
        }
        let now = self.draft.time();
        self.draft.end_turn(lane, space, now)?;
        Ok(served)
    }

    fn used(&self) -> Used {
        Used {
            written_bytes: self.draft.written_by_command(),
            fuel: self.turn.fuel,
            reactions: self.turn.reactions,
        }
    }

    /// Whether the tick has written or run its share of what an entry should since `began`.
    fn did_enough(&self, began: Used) -> bool {
        let Used { written_bytes, fuel, reactions } = self.used();
        written_bytes - began.written_bytes >= limits::ENTRY_WRITE_BYTES / SHARES
            || fuel - began.fuel >= limits::ENTRY_FUEL / SHARES as u64
            || (reactions - began.reactions) as usize >= limits::CAUSE_DELIVERIES / SHARES
    }
}

#[cfg(test)]
mod tests;
