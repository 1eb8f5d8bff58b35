//! Parked calls: their tickets, and how they get their outcomes.
//!
//! A ticket lies under its space, so that a space completes nobody else's calls and a deleted one
//! finds its own. Completing costs neither the write budget of a call nor its session's table: at
//! most `limits::SPACE_TICKETS` are in a space, and all of them can be completed at once. A call
//! may hold several: whichever is completed first answers it, and the others are gone with it.
use synod_abi::{
    Direction, REPLY_ERROR, REPLY_RESULT, RequestId, SessionId, SpaceId, TicketId, Time, TimerId, limits,
};

use crate::draft::draft::Draft;
use crate::draft::effects::Completed;
use crate::draft::stop::Stop;
use crate::log::outcome::{Outcome, Reply};
use crate::log::rejection::Rejection;
use crate::ports::{Fatal, RangeLimit, StateView, Table};
use crate::rows::codec::{damaged, decode};
use crate::rows::counter::Counter;
use crate::rows::scan::behind;
use crate::rows::sessions::{
    RequestRecord, RequestState, SessionRecord, StoredTicket, Tickets, request_key, session_key, ticket_key,
    ticket_prefix, waiting_key,
};
use crate::rows::timers::Chore;

/// All tickets of a space, whose rows have less than 64 bytes.
const TICKETS: RangeLimit =
    RangeLimit { rows: limits::SPACE_TICKETS as usize, bytes: limits::SPACE_TICKETS as usize * 64 };

/// The result in a reply that a recipe completes a call with; `None` if it is malformed or too
/// long.
pub(crate) fn reply_of(reply: &[u8]) -> Option<Result<Reply, Rejection>> {
    let (status, payload) = reply.split_first()?;
    match *status {
        REPLY_RESULT if payload.len() <= limits::REPLY_BYTES => Some(Ok(Reply::Result(payload.into()))),
        REPLY_ERROR => {
            let (code, error) = payload.split_first_chunk()?;
            let rejection = || Rejection::Recipe { code: u32::from_le_bytes(*code), error: error.into() };
            (error.len() <= limits::REPLY_BYTES).then(|| Err(rejection()))
        }
        _ => None,
    }
}

impl<S: StateView> Draft<S> {
    /// Makes the call that runs wait: it has the first tickets of the command.
    pub(crate) fn park(
        &mut self,
        space: SpaceId,
        by: StoredTicket,
        count: u16,
        wait_ms: Option<u64>,
    ) -> Result<RequestState, Stop> {
        let tickets = Tickets { revision: self.revision(), count };
        let waiting = self.waiting_in(space)? + u32::from(count);
        if waiting > limits::SPACE_TICKETS {
            return Err(Rejection::TooManyWaiting.into());
        }
        let deadline = match wait_ms {
            None => None,
            Some(ms) => {
                let at = self.time().plus_ms(ms);
                let chore = Chore::Deadline { session: by.session, request: by.request };
                Some((at, self.add_deadline(at, &chore)?))
            }
        };
        self.set_waiting_in(space, waiting);
        self.counts().waiting += 1;
        for ticket in tickets.iter() {
            self.overlay().put_new(Table::Sessions, &ticket_key(space, ticket), synod_abi::encode(&by));
        }
        Ok(RequestState::Waiting { tickets, deadline })
    }

    /// Answers the call that waits for `ticket` in `space`, and returns whether one did.
    pub(crate) fn complete_ticket(
        &mut self,
        space: SpaceId,
        ticket: TicketId,
        result: Result<Reply, Rejection>,
    ) -> Result<bool, Fatal> {
        let key = ticket_key(space, ticket);
        let Some(StoredTicket { session, request }) = self.read(Table::Sessions, &key, "a ticket")? else {
            return Ok(false);
        };
        self.settle(session, request, result, Some(ticket))?;
        Ok(true)
    }

    /// Gives a waiting request its outcome and returns its space and tickets; `granted` is the one
    /// with which a recipe may take the result back.
    pub(crate) fn settle(
        &mut self,
        session: SessionId,
        request: RequestId,
        result: Result<Reply, Rejection>,
        granted: Option<TicketId>,
    ) -> Result<(SpaceId, Tickets), Fatal> {
        let key = request_key(session, request);
        let row = self.row(Table::Sessions, &key)?.ok_or_else(|| damaged("a request that waits"))?;
        let former = row.len() as u64;
        let record: RequestRecord = decode(&row, "a request that waits")?;
        let RequestState::Waiting { tickets, deadline } = record.state else {
            return Err(damaged("a request that waits"));
        };
        self.unpark(record.space, tickets, deadline)?;
        let outcome = Outcome { revision: self.revision(), time: self.time(), result };
        let state = RequestState::Done { outcome, ticket: granted, parked: true };
        let record = RequestRecord { state, ..record };
        self.replace_request(StoredTicket { session, request }, former, &record, 1)?;
        if let RequestState::Done { outcome, .. } = record.state {
            self.effects().completions.push(Completed { session, request, outcome });
        }
        Ok((record.space, tickets))
    }

    /// Takes the tickets and the deadline of a waiting call away.
    pub(crate) fn unpark(
        &mut self,
        space: SpaceId,
        tickets: Tickets,
        deadline: Option<(Time, TimerId)>,
    ) -> Result<(), Fatal> {
        for ticket in tickets.iter() {
            self.overlay().delete(Table::Sessions, &ticket_key(space, ticket));
        }
        if let Some((at, timer)) = deadline {
            self.remove_chore(at, timer)?;
        }
        self.counts().waiting.take(1, "calls that wait")?;
        let mut waiting = self.waiting_in(space)?;
        waiting.take(tickets.count.into(), "tickets of a space")?;
        self.set_waiting_in(space, waiting);
        Ok(())
    }

    /// Gives up the calls that wait in a space that is deleted. No hook runs.
    pub(crate) fn abandon_tickets(&mut self, space: SpaceId) -> Result<(), Fatal> {
        let prefix = ticket_prefix(space);
        let (rows, _) =
            self.range(Table::Sessions, &prefix, &behind(&prefix), Direction::Forward, TICKETS)?;
        for (key, value) in rows {
            if self.row(Table::Sessions, &key)?.is_none() {
                continue;
            }
            let StoredTicket { session, request } = decode(&value, "a ticket")?;
            self.settle(session, request, Err(Rejection::UnknownSpace), None)?;
        }
        Ok(())
    }

    /// Writes another record of a request in place of one of `former` bytes, after which so many
    /// less wait.
    pub(crate) fn replace_request(
        &mut self,
        of: StoredTicket,
        former: u64,
        record: &RequestRecord,
        less: u32,
    ) -> Result<(), Fatal> {
        let key = session_key(of.session);
        let bytes = synod_abi::encode(record);
        let mut session: SessionRecord = self
            .read(Table::Sessions, &key, "the record of a session")?
            .ok_or_else(|| damaged("the record of a session"))?;
        session.waiting.take(less, "a session's calls that wait")?;
        session.outcome_bytes += bytes.len() as u64;
        session.outcome_bytes.take(former, "bytes of a session's outcomes")?;
        self.overlay().put(Table::Sessions, &key, synod_abi::encode(&session));
        self.overlay().put(Table::Sessions, &request_key(of.session, of.request), bytes);
        Ok(())
    }

    fn waiting_in(&mut self, space: SpaceId) -> Result<u32, Fatal> {
        Ok(self.read(Table::Sessions, &waiting_key(space), "the number of waiting calls")?.unwrap_or(0))
    }

    fn set_waiting_in(&mut self, space: SpaceId, waiting: u32) {
        let key = waiting_key(space);
        match waiting {
            0 => self.overlay().delete(Table::Sessions, &key),
            waiting => self.overlay().put(Table::Sessions, &key, synod_abi::encode(&waiting)),
        }
    }
}

#[cfg(test)]
mod tests;
