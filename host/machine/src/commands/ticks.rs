//! Timers: set by recipes and by calls that wait for a while, fired by ticks that a leader
//! proposes.
//!
//! They fire in the order of their time, then of their number; a tick fires at most
//! `limits::TICK_TIMERS` of those that are due when it begins, so that what a hook sets for a time
//! that has passed fires in a later tick; fewer, once it has written or run as much as an entry
//! should. When the next one is due is kept in memory: an entry that touches no timer reads no row
//! of one.
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use synod_abi::{Blob, Direction, Fault, RequestId, SessionId, SpaceId, Time, TimerId, limits};

use crate::apply::{Carried, Decided, Machine, Turn};
use crate::draft::draft::Workspace;
use crate::draft::tickets::StoredTicket;
use crate::log::outcome::Reply;
use crate::log::rejection::Rejection;
use crate::ports::{Fatal, RangeLimit, Row, StateView, Table, Vm};
use crate::rows::sessions::{damaged, time_of_timer, timer_index_key, timer_index_prefix, timer_key};
use crate::run::hook::Hook;

/// Bytes of the keys of a recipe's timer, and of the time that its index holds.
pub(crate) const TIMER_ROWS_BYTES: usize = 17 + 13 + 8;
/// Timers of a deleted space that one command removes; the rest go with the ticks that follow.
const PURGED_TIMERS: usize = 4_096;
/// Rows of timers that are read at a time.
const PAGE: RangeLimit = RangeLimit { rows: 256, bytes: 1_024 * 1_024 };

/// What a timer does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Fires {
    /// Runs the hook of a space.
    Hook { space: SpaceId, payload: Blob },
    /// Ends the waiting of a call.
    Deadline { session: SessionId, request: RequestId },
    /// Removes timers of a deleted space.
    Purge { space: SpaceId },
}

impl<S: StateView> Workspace<S> {
    /// Sets a timer, if the cluster may have another.
    pub(crate) fn add_timer(&mut self, at: Time, fires: &Fires) -> Result<TimerId, Fault> {
        if self.counts().timers >= limits::TIMERS {
            return Err(Fault::TooManyTimers);
        }
        Ok(self.add(at, fires))
    }

    fn add(&mut self, at: Time, fires: &Fires) -> TimerId {
        let counts = self.counts();
        counts.timers += 1;
        counts.last_timer += 1;
        let timer = TimerId(counts.last_timer);
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
    pub(crate) fn remove_timer(&mut self, at: Time, timer: TimerId, space: Option<SpaceId>) {
        self.counts().timers = self.counts().timers.saturating_sub(1);
        self.overlay().delete(Table::Timers, &timer_key(at, timer));
        if let Some(space) = space {
            self.overlay().delete(Table::Timers, &timer_index_key(space, timer));
        }
    }

    /// Removes a timer of the recipe in `space`, and tells whether it was pending.
    pub(crate) fn cancel(&mut self, space: SpaceId, timer: TimerId) -> Result<bool, Fatal> {
        let Some(at) = self.row(Table::Timers, &timer_index_key(space, timer))?.map(|row| time_in(&row))
        else {
            return Ok(false);
        };
        self.remove_timer(at?, timer, Some(space));
        Ok(true)
    }

    /// Removes timers of a deleted space; a timer that is due at once removes the rest.
    pub(crate) fn purge_timers(&mut self, space: SpaceId) -> Result<(), Fatal> {
        let (mut removed, prefix) = (0, timer_index_prefix(space));
        loop {
            let (rows, more) = self.range(
                Table::Timers,
                &prefix,
                &crate::rows::overlay::behind(&prefix),
                Direction::Forward,
                PAGE,
            )?;
            for (key, value) in &rows {
                let timer = key
                    .last_chunk()
                    .map(|id| TimerId(u64::from_be_bytes(*id)))
                    .ok_or_else(|| damaged("the index of a timer"))?;
                self.remove_timer(time_in(value)?, timer, Some(space));
            }
            removed += rows.len();
            if !more {
                return Ok(());
            }
            if removed >= PURGED_TIMERS {
                self.add(Time(0), &Fires::Purge { space });
                return Ok(());
            }
        }
    }
}

impl Machine {
    pub(crate) fn tick<S: StateView, V: Vm<Workspace<S>>>(
        &mut self,
        mut workspace: Workspace<S>,
        vm: &mut V,
        turn: &mut Turn,
    ) -> Carried<S, Decided> {
        for (key, _) in self.due(&mut workspace)? {
            let Some(fires) = workspace.read(Table::Timers, &key, "a timer")? else { continue };
            let (at, timer) = time_of_timer(&key)?;
            match fires {
                Fires::Hook { space, payload } => {
                    workspace.remove_timer(at, timer, Some(space));
                    workspace = self.run_hook(workspace, vm, space, Hook::Timer(timer, &payload), turn)?;
                }
                Fires::Deadline { session, request } => {
                    let by = StoredTicket { session, request };
                    workspace = self.give_up(workspace, vm, by, Rejection::WaitTimeout, turn)?;
                }
                Fires::Purge { space } => {
                    workspace.remove_timer(at, timer, None);
                    workspace.purge_timers(space)?;
                }
            }
            let wrote_enough = workspace.written_by_command() >= limits::ENTRY_WRITE_BYTES;
            if wrote_enough
                || turn.fuel >= limits::ENTRY_FUEL
                || turn.hooks as usize >= limits::CAUSE_DELIVERIES
            {
                break;
            }
        }
        Ok((workspace, Decided::Done(Reply::Done)))
    }

    /// The timers that the next tick fires.
    fn due<S: StateView>(&self, workspace: &mut Workspace<S>) -> Result<Vec<Row>, Fatal> {
        let Some(first) = self.earliest(workspace) else { return Ok(Vec::new()) };
        let (from, mut to) = (timer_key(first, TimerId(0)), timer_key(workspace.time(), TimerId(u64::MAX)));
        to.push(0);
        let limit = RangeLimit {
            rows: limits::TICK_TIMERS,
            bytes: limits::TICK_TIMERS * (limits::TIMER_PAYLOAD_BYTES + TIMER_ROWS_BYTES),
        };
        Ok(workspace.range(Table::Timers, &from, &to, Direction::Forward, limit)?.0)
    }

    /// A time that no timer is before; `None` if there are none.
    fn earliest<S: StateView>(&self, workspace: &mut Workspace<S>) -> Option<Time> {
        let set = workspace.overlay().changed(Table::Timers, b"t").find(|(_, there)| *there);
        let set = set.and_then(|(key, _)| time_of_timer(key).ok()).map(|(at, _)| at);
        [self.next_timer, set].into_iter().flatten().min()
    }

    /// When the next timer is due after the commands in `workspace`.
    pub(crate) fn next_timer<S: StateView>(
        &self,
        workspace: &mut Workspace<S>,
    ) -> Result<Option<Time>, Fatal> {
        let Some(first) = self.earliest(workspace) else { return Ok(None) };
        let from = timer_key(first, TimerId(0));
        let gone = workspace
            .overlay()
            .changed(Table::Timers, &from)
            .any(|(key, there)| !there && key[..9] == from[..9]);
        if !gone {
            return Ok(Some(first));
        }
        let (rows, _) = workspace.range(
            Table::Timers,
            &from,
            b"u",
            Direction::Forward,
            RangeLimit { rows: 8, ..PAGE },
        )?;
        rows.first().map(|(key, _)| time_of_timer(key).map(|(at, _)| at)).transpose()
    }
}

fn time_in(row: &[u8]) -> Result<Time, Fatal> {
    row.try_into().map(|at| Time(u64::from_be_bytes(at))).map_err(|_| damaged("the index of a timer"))
}

#[cfg(test)]
mod tests;
