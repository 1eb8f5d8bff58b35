//! Requests of a session: a call takes effect once per request id, its outcome is kept until it is
//! acknowledged.
//!
//! The order of the checks is the contract: what is wrong with session or request leaves nothing
//! behind, not even acknowledgements (those of a request that finds no room excepted), and is sent
//! again or not by the client; once the operation was tried, its outcome is recorded, a rejection
//! too. What the operation emitted and sent is delivered when its record is there, so that a
//! delivery may complete it if it is parked; one that fails makes its rejection the outcome.
use alloc::vec::Vec;

use synod_abi::{RequestId, SessionId, SpaceId, TicketId, limits};
use synod_planted::{Bug, is_planted};

use crate::commands::open::Open;
use crate::draft::draft::{Draft, Mark};
use crate::draft::stop::{Stop, or_rejected};
use crate::log::command::{Call, Caller, Request, SessionCall};
use crate::log::outcome::{Cancelled, Outcome, Reply};
use crate::log::rejection::Rejection;
use crate::ports::{Completion, StateView, Table, Vm};
use crate::rows::sessions::{RequestRecord, RequestState, SessionRecord, StoredTicket, session_key};
use crate::run::call::{Answered, answered};
use crate::run::hook::Hook;
use crate::run::run::{Decided, Run};

/// Fingerprint of a request that was cancelled before it ran: it matches every call.
const ANY: [u8; 16] = [0; 16];

/// An operation that was not rejected.
struct Tried {
    state: RequestState,
    /// What to return to if a delivery rejects it; `None`: it emitted and sent nothing.
    before: Option<(Open, Mark)>,
}

/// What the checks before a call find.
enum Checked {
    /// The session has the outcome.
    Known(Outcome),
    /// It is to run.
    New(Open),
    /// It does not run for want of room, though what it acknowledges is forgotten: else a session
    /// that cannot make room with one request never could.
    Full(Open, Rejection),
}

impl<S: StateView, V: Vm<Draft<S>>> Run<'_, S, V> {
    pub(crate) fn session_call(
        &mut self,
        SessionCall { call, request }: &SessionCall,
        user: u64,
    ) -> Result<Decided, Stop> {
        let fingerprint = self.fingerprint(call, user);
        let mut open = match check(&mut self.draft, self.turn.caller, request, fingerprint)? {
            Checked::New(open) => open,
            Checked::Known(outcome) => return Ok(Decided::Recorded(outcome)),
            Checked::Full(Open { id, record, .. }, rejection) => {
                self.draft.overlay().put(Table::Sessions, &session_key(id), synod_abi::encode(&record));
                return Ok(Decided::Recorded(self.refusal(rejection)));
            }
        };
        let record = |state| RequestRecord { fingerprint, space: call.space, state };
        let (state, before) = match or_rejected(self.try_call(call, request, &mut open))? {
            Ok(Tried { state, before }) => (state, before),
            Err(rejection) => (self.refused(rejection), None),
        };
        let mut state = open.insert(&mut self.draft, request.id, record(state));
        if let Some((open, mark)) = before
            && let Err(rejection) = or_rejected(self.deliver_call(call, &mark))?
        {
            let refused = self.refused(rejection);
            state = open.insert(&mut self.draft, request.id, record(refused));
        }
        Ok(match state {
            RequestState::Waiting { tickets, .. } => Decided::Done(Reply::Parked { ticket: tickets.first() }),
            RequestState::Done { outcome: Outcome { result: Ok(reply), .. }, .. } => Decided::Done(reply),
            RequestState::Done { outcome, .. } => Decided::Recorded(outcome),
        })
    }

    /// Runs the operation; a rejection leaves nothing of it.
    fn try_call(&mut self, call: &Call, request: &Request, open: &mut Open) -> Result<Tried, Stop> {
        let target = self.find(call)?;
        let wants_end = target.interface.on_session_end;
        if wants_end && open.record.spaces.binary_search(&call.space).is_err() {
            if open.record.spaces.len() >= limits::SESSION_SPACES {
                return Err(Rejection::TooManySpaces.into());
            }
            self.draft.may_owe(call.space)??;
        }
        let mark = self.draft.savepoint();
        let completion = self.enter(&target, call, Some(open.id))?;
        let state = match or_rejected(self.state_after(call, request, open.id, completion))? {
            Ok(state) => state,
            Err(rejection) => {
                self.undo(call.space, &mark, &rejection);
                return Err(rejection.into());
            }
        };
        let before = (!self.draft.emissions().is_quiet()).then(|| (open.clone(), mark));
        if self.draft.completed_since(&mark) {
            open.follow(&mut self.draft)?;
        }
        let SessionRecord { spaces, without_hook, .. } = &mut open.record;
        join(if wants_end { spaces } else { without_hook }, call.space);
        Ok(Tried { state, before })
    }

    /// How far the request is after its operation ran; parks it if it is to wait.
    fn state_after(
        &mut self,
        call: &Call,
        request: &Request,
        session: SessionId,
        completion: Completion,
    ) -> Result<RequestState, Stop> {
        match answered(completion)? {
            Answered::Result { result, reversible } => {
                let revision = self.turn.revision;
                let ticket = reversible.then_some(TicketId::new(revision, 0));
                let outcome =
                    Outcome { revision, time: self.draft.time(), result: Ok(Reply::Result(result)) };
                Ok(RequestState::Done { outcome, ticket, parked: false })
            }
            Answered::Later { .. } if request.wait_ms == Some(0) => Err(Rejection::WaitTimeout.into()),
            Answered::Later { tickets } => {
                let by = StoredTicket { session, request: request.id };
                self.draft.park(call.space, by, tickets, request.wait_ms)
            }
        }
    }

    pub(crate) fn cancel_request(&mut self, request: RequestId) -> Result<Reply, Stop> {
        let open = Open::enter(&mut self.draft, self.turn.caller)?;
        if request.0 == 0 {
            return Err(Rejection::InvalidRequest.into());
        }
        let session = open.id;
        let Some((former, record)) = open.request(&mut self.draft, request)? else {
            return self.cancel_unknown(open, request);
        };
        let RequestRecord { fingerprint, space, state } = record;
        let was = match state {
            RequestState::Waiting { .. } => {
                self.give_up(StoredTicket { session, request }, Rejection::Cancelled)?;
                Cancelled::Waiting
            }
            RequestState::Done { outcome: Outcome { result: Ok(_), .. }, ticket: Some(ticket), parked } => {
                self.draft.may_owe(space)??;
                let state = RequestState::Done { outcome: self.cancelled(), ticket: None, parked };
                let record = RequestRecord { fingerprint, space, state };
                self.draft.replace_request(StoredTicket { session, request }, former, &record, 0)?;
                self.hook(space, Hook::Cancel { session, ticket, granted: true })?;
                Cancelled::Granted
            }
            RequestState::Done { .. } => Cancelled::Final,
        };
        Ok(Reply::Cancelled { was })
    }

    /// Cancels a request without a record: it was acknowledged, or it has not run and never will.
    fn cancel_unknown(&mut self, open: Open, request: RequestId) -> Result<Reply, Stop> {
        if request < open.record.floor {
            return Ok(Reply::Cancelled { was: Cancelled::Final });
        }
        open.has_room()?;
        let state = RequestState::Done { outcome: self.cancelled(), ticket: None, parked: false };
        let record = RequestRecord { fingerprint: ANY, space: SpaceId(0), state };
        open.insert(&mut self.draft, request, record);
        Ok(Reply::Cancelled { was: Cancelled::NotRun })
    }

    fn cancelled(&self) -> Outcome {
        let result = Err(Rejection::Cancelled);
        Outcome { revision: self.turn.revision, time: self.draft.time(), result }
    }

    /// The outcome of a request that is rejected, at the revision of the state that rejects it.
    fn refusal(&self, rejection: Rejection) -> Outcome {
        Outcome { revision: self.machine.head.revision, time: self.draft.time(), result: Err(rejection) }
    }

    fn refused(&self, rejection: Rejection) -> RequestState {
        RequestState::Done { outcome: self.refusal(rejection), ticket: None, parked: false }
    }

    /// Distinguishes a request from others with the same id: other calls, and those of other users.
    fn fingerprint(&mut self, call: &Call, user: u64) -> [u8; 16] {
        let hashed = &mut self.machine.hashed;
        hashed.clear();
        hashed.extend_from_slice(&call.space.0.to_be_bytes());
        hashed.extend_from_slice(&call.operation.0.to_be_bytes());
        hashed.extend_from_slice(&call.args);
        let mut fingerprint = [0; 16];
        fingerprint.copy_from_slice(&blake3::hash(hashed).as_bytes()[..16]);
        for (byte, of_user) in fingerprint.iter_mut().zip(user.to_be_bytes()) {
            *byte ^= of_user;
        }
        fingerprint
    }
}

/// Puts a space in the list, if it is not there and there is room.
fn join(spaces: &mut Vec<SpaceId>, space: SpaceId) {
    if let Err(at) = spaces.binary_search(&space)
        && spaces.len() < limits::SESSION_SPACES
    {
        spaces.insert(at, space);
    }
}

fn check<S: StateView>(
    draft: &mut Draft<S>,
    caller: Caller,
    request: &Request,
    fingerprint: [u8; 16],
) -> Result<Checked, Stop> {
    let mut open = Open::enter(draft, caller)?;
    if !is_valid(request) {
        return Err(Rejection::InvalidRequest.into());
    }
    if let Some((_, record)) = open.request(draft, request.id)?
        && !is_planted(Bug::OutcomeIgnored)
    {
        return match record.fingerprint == fingerprint || record.fingerprint == ANY {
            true => Ok(Checked::Known(known(draft, record.state))),
            false => Err(Rejection::RequestReused.into()),
        };
    }
    if request.id < open.record.floor {
        return Err(Rejection::AlreadyAcknowledged.into());
    }
    open.acknowledge(draft, request)?;
    if let Some(after) = request.after
        && after >= open.record.floor
        && open.request(draft, after)?.is_none()
    {
        return Err(Rejection::OutOfOrder.into());
    }
    Ok(match open.has_room() {
        Ok(()) => Checked::New(open),
        Err(rejection) => Checked::Full(open, rejection),
    })
}

fn is_valid(Request { id, acknowledged_below, acknowledged, after, wait_ms: _ }: &Request) -> bool {
    id.0 > 0
        && acknowledged_below <= id
        && acknowledged.len() <= limits::SESSION_OUTCOMES as usize
        && acknowledged.iter().all(|other| other < id)
        && after.is_none_or(|after| after < *id)
}

/// The reply to a retry: the outcome as it was, or the ticket again.
fn known<S: StateView>(draft: &Draft<S>, state: RequestState) -> Outcome {
    match state {
        RequestState::Done { outcome, .. } => outcome,
        RequestState::Waiting { tickets, .. } => {
            let result = Ok(Reply::Parked { ticket: tickets.first() });
            Outcome { revision: tickets.revision, time: draft.time(), result }
        }
    }
}

#[cfg(test)]
mod tests;
