//! Ticks: a leader proposes one when a timer is due.
//!
//! Timers fire in the order of their time, then of their number; a tick fires at most
//! `limits::TICK_TIMERS` of those that are due when it begins, so that what a hook sets for a time
//! that has passed fires in a later tick; fewer, once it has written or run as much as an entry
//! should.
use synod_abi::limits;

use crate::draft::draft::Draft;
use crate::log::outcome::Reply;
use crate::log::rejection::Rejection;
use crate::ports::{Fatal, StateView, Table, Vm};
use crate::rows::sessions::StoredTicket;
use crate::rows::timers::{Fires, time_of_timer};
use crate::run::hook::Hook;
use crate::run::run::Run;

impl<S: StateView, V: Vm<Draft<S>>> Run<'_, S, V> {
    pub(crate) fn tick(&mut self) -> Result<Reply, Fatal> {
        for (key, _) in self.draft.due_timers(self.machine.next_timer)? {
            let Some(fires) = self.draft.read(Table::Timers, &key, "a timer")? else { continue };
            let (at, timer) = time_of_timer(&key)?;
            match fires {
                Fires::Hook { space, payload } => {
                    self.draft.remove_timer(at, timer, Some(space))?;
                    self.hook(space, Hook::Timer(timer, &payload))?;
                }
                Fires::Deadline { session, request } => {
                    self.give_up(StoredTicket { session, request }, Rejection::WaitTimeout)?;
                }
                Fires::Purge { space } => {
                    self.draft.remove_timer(at, timer, None)?;
                    self.draft.purge_timers(space)?;
                }
            }
            if self.did_enough() {
                break;
            }
        }
        Ok(Reply::Done)
    }

    /// Whether the tick wrote or ran as much as an entry should.
    fn did_enough(&self) -> bool {
        self.draft.written_by_command() >= limits::ENTRY_WRITE_BYTES
            || self.turn.fuel >= limits::ENTRY_FUEL
            || self.turn.reactions as usize >= limits::CAUSE_DELIVERIES
    }
}

#[cfg(test)]
mod tests;
