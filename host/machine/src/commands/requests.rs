//! Requests of a session: a call takes effect once per request id, its outcome is kept until it is
//! acknowledged.
//!
//! The order of the checks is the contract: what is wrong with session or request leaves nothing
//! behind, not even acknowledgements (those of a request that finds no room excepted), and is sent
//! again or not by the client; once the operation was tried, its outcome is recorded, a rejection
//! too. What the operation emitted and sent is delivered when its record is there, so that a
//! delivery may complete it if it is parked; one that fails makes its rejection the outcome. A
//! request that is acknowledged singly while the floor is not above it leaves a mark until it is: a
//! late copy of it must not run.
use synod_abi::{Direction, RequestId, SessionId, SpaceId, TicketId, limits};

use crate::apply::{Carried, Decided, Machine, Stop, Turn, rejected};
use crate::commands::sessions::record_of;
use crate::draft::draft::{Mark, Workspace};
use crate::draft::tickets::StoredTicket;
use crate::log::command::{Call, Request, SessionCall};
use crate::log::outcome::{Cancelled, Outcome, Reply};
use crate::log::rejection::Rejection;
use crate::ports::{Fatal, RangeLimit, StateView, Table, Vm};
use crate::rows::sessions::{
    RequestRecord, RequestState, SessionRecord, decode, request_key, request_of_key, session_key,
};
use crate::run::call::{Answered, answered, invoke, undo};
use crate::run::hook::Hook;

/// As many requests are forgotten one by one; more are looked for in a range.
const POINT_READS: u64 = 32;
/// Rows of requests that are read at a time.
const PAGE: RangeLimit = RangeLimit { rows: 256, bytes: 1_024 * 1_024 };
/// Fingerprint of a request that was cancelled before it ran: whatever it is, it does not run.
const ANY: [u8; 16] = [0; 16];

/// The session in whose name a command runs: its record as it will be written, and what its row
/// says of what other requests of it change while this one runs.
#[derive(Clone)]
struct Open {
    id: SessionId,
    record: SessionRecord,
    stored_bytes: u64,
    stored_waiting: u32,
}

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

impl Machine {
    pub(crate) fn session_call<S: StateView, V: Vm<Workspace<S>>>(
        &mut self,
        mut workspace: Workspace<S>,
        vm: &mut V,
        SessionCall { call, request }: &SessionCall,
        turn: &mut Turn,
    ) -> Carried<S, Decided> {
        let fingerprint = self.fingerprint(call);
        let mut open = match check(&mut workspace, turn, request, fingerprint) {
            Ok(Checked::New(open)) => open,
            Ok(Checked::Known(outcome)) => return Ok((workspace, Decided::Recorded(outcome))),
            Ok(Checked::Full(Open { id, record, .. }, rejection)) => {
                workspace.overlay().put(Table::Sessions, &session_key(id), synod_abi::encode(&record));
                let outcome =
                    Outcome { revision: self.head.revision, time: workspace.time(), result: Err(rejection) };
                return Ok((workspace, Decided::Recorded(outcome)));
            }
            Err(stop) => return rejected(stop).map(|rejection| (workspace, Decided::Rejected(rejection))),
        };
        let (mut workspace, tried) = self.try_call(workspace, vm, (call, request), &mut open, turn)?;
        let refused = |workspace: &Workspace<S>, revision, rejection| {
            let outcome = Outcome { revision, time: workspace.time(), result: Err(rejection) };
            RequestState::Done { outcome, ticket: None, parked: false }
        };
        let record = |state| RequestRecord { fingerprint, space: call.space, state };
        let (state, before) = match tried {
            Ok(Tried { state, before }) => (state, before),
            Err(rejection) => (refused(&workspace, self.head.revision, rejection), None),
        };
        let mut state = insert(&mut workspace, open, request.id, record(state));
        if let Some((open, mark)) = before {
            let delivered;
            (workspace, delivered) = self.deliver_call(workspace, vm, call, &mark, turn)?;
            if let Err(rejection) = delivered {
                let refused = refused(&workspace, self.head.revision, rejection);
                state = insert(&mut workspace, open, request.id, record(refused));
            }
        }
        let decided = match state {
            RequestState::Waiting { ticket, .. } => Decided::Done(Reply::Parked { ticket }),
            RequestState::Done { outcome: Outcome { result: Ok(reply), .. }, .. } => Decided::Done(reply),
            RequestState::Done { outcome, .. } => Decided::Recorded(outcome),
        };
        Ok((workspace, decided))
    }

    /// Runs the operation; a rejection leaves nothing of it.
    fn try_call<S: StateView, V: Vm<Workspace<S>>>(
        &mut self,
        mut workspace: Workspace<S>,
        vm: &mut V,
        (call, request): (&Call, &Request),
        open: &mut Open,
        turn: &mut Turn,
    ) -> Carried<S, Result<Tried, Rejection>> {
        let target = match self.find(&workspace, call)? {
            Ok(target) => target,
            Err(rejection) => return Ok((workspace, Err(rejection))),
        };
        let hears = target.interface.on_session_end;
        let joins = if hears { open.record.spaces.binary_search(&call.space).err() } else { None };
        if joins.is_some() && open.record.spaces.len() >= limits::SESSION_SPACES {
            return Ok((workspace, Err(Rejection::TooManySpaces)));
        }
        let context = self.context(turn, Some(open.id), true);
        let mark = workspace.savepoint();
        workspace.begin_cause();
        let (mut workspace, completion) = invoke(workspace, vm, target.operation(call, &context), turn)?;
        let tried = match answered(completion) {
            Ok(Answered::Result { result, reversible }) => {
                let ticket = reversible.then_some(TicketId(turn.revision.0));
                let outcome = Outcome {
                    revision: turn.revision,
                    time: workspace.time(),
                    result: Ok(Reply::Result(result)),
                };
                Ok(RequestState::Done { outcome, ticket, parked: false })
            }
            Ok(Answered::Later) if request.wait_ms == Some(0) => Err(Rejection::WaitTimeout),
            Ok(Answered::Later) => {
                let by = StoredTicket { session: open.id, request: request.id };
                match workspace.park(call.space, by, request.wait_ms) {
                    Ok(state) => Ok(state),
                    Err(stop) => Err(rejected(stop)?),
                }
            }
            Err(rejection) => Err(rejection),
        };
        let state = match tried {
            Ok(state) => state,
            Err(rejection) => {
                undo(&mut workspace, vm, call.space, &mark, &rejection);
                return Ok((workspace, Err(rejection)));
            }
        };
        let before = (!workspace.emissions().is_quiet()).then(|| (open.clone(), mark));
        if workspace.completed_since(&mark) {
            open.follow(&mut workspace)?;
        }
        if let Some(at) = joins {
            open.record.spaces.insert(at, call.space);
        }
        Ok((workspace, Ok(Tried { state, before })))
    }

    pub(crate) fn cancel_request<S: StateView, V: Vm<Workspace<S>>>(
        &mut self,
        mut workspace: Workspace<S>,
        vm: &mut V,
        request: RequestId,
        turn: &mut Turn,
    ) -> Carried<S, Decided> {
        let open = match enter(&mut workspace, turn)
            .and_then(|open| if request.0 == 0 { Err(Rejection::InvalidRequest.into()) } else { Ok(open) })
        {
            Ok(open) => open,
            Err(stop) => return rejected(stop).map(|rejection| (workspace, Decided::Rejected(rejection))),
        };
        let session = open.id;
        let outcome =
            Outcome { revision: turn.revision, time: workspace.time(), result: Err(Rejection::Cancelled) };
        let was = match open.request(&mut workspace, request)? {
            None if request < open.record.floor => Cancelled::Final,
            None => {
                if let Err(rejection) = open.has_room() {
                    return Ok((workspace, Decided::Rejected(rejection)));
                }
                let state = RequestState::Done { outcome, ticket: None, parked: false };
                insert(
                    &mut workspace,
                    open,
                    request,
                    RequestRecord { fingerprint: ANY, space: SpaceId(0), state },
                );
                Cancelled::NotRun
            }
            Some((_, RequestRecord { state: RequestState::Waiting { .. }, .. })) => {
                workspace = self.give_up(
                    workspace,
                    vm,
                    StoredTicket { session, request },
                    Rejection::Cancelled,
                    turn,
                )?;
                Cancelled::Waiting
            }
            Some((
                former,
                RequestRecord {
                    fingerprint,
                    space,
                    state:
                        RequestState::Done {
                            outcome: Outcome { result: Ok(_), .. },
                            ticket: Some(ticket),
                            parked,
                        },
                },
            )) => {
                let state = RequestState::Done { outcome, ticket: None, parked };
                workspace.replace_request(
                    StoredTicket { session, request },
                    former,
                    &RequestRecord { fingerprint, space, state },
                    0,
                )?;
                workspace = self.run_hook(
                    workspace,
                    vm,
                    space,
                    Hook::Cancel { session, ticket, granted: true },
                    turn,
                )?;
                Cancelled::Granted
            }
            Some((_, RequestRecord { state: RequestState::Done { .. }, .. })) => Cancelled::Final,
        };
        Ok((workspace, Decided::Done(Reply::Cancelled { was })))
    }

    /// What tells a request from another that has its id.
    fn fingerprint(&mut self, call: &Call) -> [u8; 16] {
        self.hashed.clear();
        self.hashed.extend_from_slice(&call.space.0.to_be_bytes());
        self.hashed.extend_from_slice(&call.operation.0.to_be_bytes());
        self.hashed.extend_from_slice(&call.args);
        let mut fingerprint = [0; 16];
        fingerprint.copy_from_slice(&blake3::hash(&self.hashed).as_bytes()[..16]);
        fingerprint
    }
}

impl Open {
    /// A request of it, and the bytes of its record. What was never used is not looked for.
    fn request<S: StateView>(
        &self,
        workspace: &mut Workspace<S>,
        id: RequestId,
    ) -> Result<Option<(u64, RequestRecord)>, Fatal> {
        if id > self.record.last_request {
            return Ok(None);
        }
        let Some(row) = workspace.row(Table::Sessions, &request_key(self.id, id))? else { return Ok(None) };
        Ok(Some((row.len() as u64, decode(&row, "the record of a request")?)))
    }

    fn has_room(&self) -> Result<(), Rejection> {
        let SessionRecord { requests, outcome_bytes, .. } = self.record;
        if requests >= limits::SESSION_OUTCOMES {
            return Err(Rejection::TooManyOutcomes { limit: u64::from(limits::SESSION_OUTCOMES) });
        }
        if outcome_bytes >= limits::SESSION_OUTCOME_BYTES {
            return Err(Rejection::TooManyOutcomes { limit: limits::SESSION_OUTCOME_BYTES });
        }
        Ok(())
    }

    /// Takes over what completing other requests of the session changed in its row.
    fn follow<S: StateView>(&mut self, workspace: &mut Workspace<S>) -> Result<(), Fatal> {
        if let Some(row) = record_of(workspace, self.id)? {
            self.record.outcome_bytes =
                self.record.outcome_bytes.wrapping_add(row.outcome_bytes.wrapping_sub(self.stored_bytes));
            self.record.waiting =
                self.record.waiting.wrapping_add(row.waiting.wrapping_sub(self.stored_waiting));
        }
        Ok(())
    }

    fn forget<S: StateView>(&mut self, workspace: &mut Workspace<S>, id: RequestId, bytes: u64) {
        workspace.overlay().delete(Table::Sessions, &request_key(self.id, id));
        workspace.counts().requests = workspace.counts().requests.saturating_sub(1);
        self.record.requests = self.record.requests.saturating_sub(1);
        self.record.outcome_bytes = self.record.outcome_bytes.saturating_sub(bytes);
    }

    /// Forgets what the client has.
    fn acknowledge<S: StateView>(
        &mut self,
        workspace: &mut Workspace<S>,
        request: &Request,
    ) -> Result<(), Fatal> {
        let (from, to) = (self.record.floor, self.record.floor.max(request.acknowledged_below));
        let used = RequestId(to.0.min(self.record.last_request.0.saturating_add(1)));
        self.record.floor = to;
        if used.0.saturating_sub(from.0) <= POINT_READS {
            for id in (from.0..used.0).map(RequestId) {
                if let Some((bytes, record)) = self.request(workspace, id)? {
                    self.forget_below(workspace, id, bytes, &record);
                }
            }
        } else {
            self.forget_range(workspace, from, used)?;
        }
        for id in &request.acknowledged {
            self.acknowledge_parked(workspace, *id)?;
        }
        Ok(())
    }

    fn forget_range<S: StateView>(
        &mut self,
        workspace: &mut Workspace<S>,
        from: RequestId,
        to: RequestId,
    ) -> Result<(), Fatal> {
        let (mut from, to) = (request_key(self.id, from), request_key(self.id, to));
        loop {
            let (rows, more) = workspace.range(Table::Sessions, &from, &to, Direction::Forward, PAGE)?;
            for (key, value) in &rows {
                let record = decode(value, "the record of a request")?;
                self.forget_below(workspace, request_of_key(key)?, value.len() as u64, &record);
            }
            match rows.into_iter().next_back() {
                Some((last, _)) if more => {
                    from = last;
                    from.push(0);
                }
                _ => return Ok(()),
            }
        }
    }

    fn forget_below<S: StateView>(
        &mut self,
        workspace: &mut Workspace<S>,
        id: RequestId,
        bytes: u64,
        record: &RequestRecord,
    ) {
        if matches!(record.state, RequestState::Done { parked: false, .. }) {
            self.forget(workspace, id, bytes);
        }
    }

    fn acknowledge_parked<S: StateView>(
        &mut self,
        workspace: &mut Workspace<S>,
        id: RequestId,
    ) -> Result<(), Fatal> {
        let Some((bytes, RequestRecord { fingerprint, space, state })) = self.request(workspace, id)? else {
            return Ok(());
        };
        let RequestState::Done { outcome: Outcome { revision, time, .. }, parked: true, .. } = state else {
            return Ok(());
        };
        if id < self.record.floor {
            self.forget(workspace, id, bytes);
            return Ok(());
        }
        let outcome = Outcome { revision, time, result: Err(Rejection::AlreadyAcknowledged) };
        let state = RequestState::Done { outcome, ticket: None, parked: false };
        let mark = synod_abi::encode(&RequestRecord { fingerprint, space, state });
        self.record.outcome_bytes = (self.record.outcome_bytes + mark.len() as u64).saturating_sub(bytes);
        workspace.overlay().put(Table::Sessions, &request_key(self.id, id), mark);
        Ok(())
    }
}

/// The caller's session, if it is the caller's.
fn enter<S: StateView>(workspace: &mut Workspace<S>, turn: &Turn) -> Result<Open, Stop> {
    let id = turn.caller.session.ok_or(Rejection::SessionEnded)?;
    let record = record_of(workspace, id)?.ok_or(Rejection::SessionEnded)?;
    if record.principal != turn.caller.principal {
        return Err(Rejection::ForeignSession.into());
    }
    let (stored_bytes, stored_waiting) = (record.outcome_bytes, record.waiting);
    Ok(Open { id, record, stored_bytes, stored_waiting })
}

fn check<S: StateView>(
    workspace: &mut Workspace<S>,
    turn: &Turn,
    request: &Request,
    fingerprint: [u8; 16],
) -> Result<Checked, Stop> {
    let mut open = enter(workspace, turn)?;
    if !is_valid(request) {
        return Err(Rejection::InvalidRequest.into());
    }
    if let Some((_, record)) = open.request(workspace, request.id)? {
        return match record.fingerprint == fingerprint || record.fingerprint == ANY {
            true => Ok(Checked::Known(known(workspace, record.state))),
            false => Err(Rejection::RequestReused.into()),
        };
    }
    if request.id < open.record.floor {
        return Err(Rejection::AlreadyAcknowledged.into());
    }
    open.acknowledge(workspace, request)?;
    if let Some(after) = request.after
        && after >= open.record.floor
        && open.request(workspace, after)?.is_none()
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

/// What a retry is told: the outcome as it was, or the ticket again.
fn known<S: StateView>(workspace: &Workspace<S>, state: RequestState) -> Outcome {
    match state {
        RequestState::Done { outcome, .. } => outcome,
        RequestState::Waiting { ticket, .. } => Outcome {
            revision: synod_abi::Revision(ticket.0),
            time: workspace.time(),
            result: Ok(Reply::Parked { ticket }),
        },
    }
}

/// Records a request, and its session as it is now.
fn insert<S: StateView>(
    workspace: &mut Workspace<S>,
    Open { id: session, mut record, .. }: Open,
    id: RequestId,
    request: RequestRecord,
) -> RequestState {
    let bytes = synod_abi::encode(&request);
    record.requests += 1;
    record.outcome_bytes += bytes.len() as u64;
    record.last_request = record.last_request.max(id);
    record.waiting += u32::from(matches!(request.state, RequestState::Waiting { .. }));
    workspace.counts().requests += 1;
    workspace.overlay().put_new(Table::Sessions, &request_key(session, id), bytes);
    workspace.overlay().put(Table::Sessions, &session_key(session), synod_abi::encode(&record));
    request.state
}

#[cfg(test)]
mod tests;
