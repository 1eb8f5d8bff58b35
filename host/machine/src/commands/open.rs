//! The session in whose name a request runs: its record while the command changes it, and how what
//! its client acknowledges is forgotten.
//!
//! A request that is acknowledged singly while the floor is not above it leaves a mark until it is:
//! a late copy of it must not run.
use synod_abi::{RequestId, SessionId, limits};

use crate::commands::sessions::record_of;
use crate::draft::draft::Draft;
use crate::draft::stop::Stop;
use crate::log::command::{Caller, Request};
use crate::log::outcome::Outcome;
use crate::log::rejection::Rejection;
use crate::ports::{Fatal, StateView, Table};
use crate::rows::codec::decode;
use crate::rows::counter::Counter;
use crate::rows::scan::Scan;
use crate::rows::sessions::{
    RequestRecord, RequestState, SessionRecord, request_key, request_of_key, session_key,
};

/// As many requests are forgotten one by one; more are looked for in a range.
const POINT_READS: u64 = 32;

/// The session in whose name a command runs: its record as it will be written, and what its row
/// says of what other requests of it change while this one runs.
#[derive(Clone)]
pub(super) struct Open {
    pub(super) id: SessionId,
    pub(super) record: SessionRecord,
    stored_bytes: u64,
    stored_waiting: u32,
}

impl Open {
    /// The session of `caller`, if it is the caller's.
    pub(super) fn enter<S: StateView>(draft: &mut Draft<S>, caller: Caller) -> Result<Self, Stop> {
        let id = caller.session.ok_or(Rejection::SessionEnded)?;
        let record = record_of(draft, id)?.ok_or(Rejection::SessionEnded)?;
        if record.principal != caller.principal {
            return Err(Rejection::ForeignSession.into());
        }
        let stored_bytes = record.outcome_bytes;
        let stored_waiting = record.waiting;
        Ok(Self { id, record, stored_bytes, stored_waiting })
    }

    /// A request of it, and the bytes of its record. What was never used is not looked for.
    pub(super) fn request<S: StateView>(
        &self,
        draft: &mut Draft<S>,
        id: RequestId,
    ) -> Result<Option<(u64, RequestRecord)>, Fatal> {
        if id > self.record.last_request {
            return Ok(None);
        }
        let Some(row) = draft.row(Table::Sessions, &request_key(self.id, id))? else { return Ok(None) };
        Ok(Some((row.len() as u64, decode(&row, "the record of a request")?)))
    }

    pub(super) fn has_room(&self) -> Result<(), Rejection> {
        let SessionRecord { requests, outcome_bytes, .. } = self.record;
        if requests >= limits::SESSION_OUTCOMES {
            return Err(Rejection::TooManyOutcomes);
        }
        if outcome_bytes >= limits::SESSION_OUTCOME_BYTES {
            return Err(Rejection::TooManyOutcomeBytes);
        }
        Ok(())
    }

    /// Takes over what completing other requests of the session changed in its row.
    pub(super) fn follow<S: StateView>(&mut self, draft: &mut Draft<S>) -> Result<(), Fatal> {
        if let Some(row) = record_of(draft, self.id)? {
            self.record.outcome_bytes =
                self.record.outcome_bytes.wrapping_add(row.outcome_bytes.wrapping_sub(self.stored_bytes));
            self.record.waiting =
                self.record.waiting.wrapping_add(row.waiting.wrapping_sub(self.stored_waiting));
        }
        Ok(())
    }

    fn forget<S: StateView>(&mut self, draft: &mut Draft<S>, id: RequestId, bytes: u64) -> Result<(), Fatal> {
        draft.overlay().delete(Table::Sessions, &request_key(self.id, id));
        draft.counts().requests.take(1, "requests")?;
        self.record.requests.take(1, "a session's requests")?;
        self.record.outcome_bytes.take(bytes, "bytes of a session's outcomes")
    }

    /// Forgets what the client has.
    pub(super) fn acknowledge<S: StateView>(
        &mut self,
        draft: &mut Draft<S>,
        request: &Request,
    ) -> Result<(), Fatal> {
        let from = self.record.floor;
        let to = from.max(request.acknowledged_below);
        let used = RequestId(to.0.min(self.record.last_request.0.saturating_add(1)));
        self.record.floor = to;
        if used.0.saturating_sub(from.0) <= POINT_READS {
            for id in (from.0..used.0).map(RequestId) {
                if let Some((bytes, record)) = self.request(draft, id)? {
                    self.forget_below(draft, id, bytes, &record)?;
                }
            }
        } else {
            self.forget_range(draft, from, used)?;
        }
        for id in &request.acknowledged {
            self.acknowledge_parked(draft, *id)?;
        }
        Ok(())
    }

    fn forget_range<S: StateView>(
        &mut self,
        draft: &mut Draft<S>,
        from: RequestId,
        to: RequestId,
    ) -> Result<(), Fatal> {
        let mut scan = Scan::range(Table::Sessions, request_key(self.id, from), request_key(self.id, to));
        while let Some(rows) = scan.next_page(draft)? {
            for (key, value) in &rows {
                let record = decode(value, "the record of a request")?;
                self.forget_below(draft, request_of_key(key)?, value.len() as u64, &record)?;
            }
        }
        Ok(())
    }

    fn forget_below<S: StateView>(
        &mut self,
        draft: &mut Draft<S>,
        id: RequestId,
        bytes: u64,
        record: &RequestRecord,
    ) -> Result<(), Fatal> {
        match record.state {
            RequestState::Done { parked: false, .. } => self.forget(draft, id, bytes),
            RequestState::Done { .. } | RequestState::Waiting { .. } => Ok(()),
        }
    }

    fn acknowledge_parked<S: StateView>(&mut self, draft: &mut Draft<S>, id: RequestId) -> Result<(), Fatal> {
        let Some((bytes, RequestRecord { fingerprint, space, state })) = self.request(draft, id)? else {
            return Ok(());
        };
        let RequestState::Done { outcome: Outcome { revision, time, .. }, parked: true, .. } = state else {
            return Ok(());
        };
        if id < self.record.floor {
            return self.forget(draft, id, bytes);
        }
        let outcome = Outcome { revision, time, result: Err(Rejection::AlreadyAcknowledged) };
        let state = RequestState::Done { outcome, ticket: None, parked: false };
        let mark = synod_abi::encode(&RequestRecord { fingerprint, space, state });
        self.record.outcome_bytes += mark.len() as u64;
        self.record.outcome_bytes.take(bytes, "bytes of a session's outcomes")?;
        draft.overlay().put(Table::Sessions, &request_key(self.id, id), mark);
        Ok(())
    }

    /// Records a request, and the session as it is now.
    pub(super) fn insert<S: StateView>(
        self,
        draft: &mut Draft<S>,
        id: RequestId,
        request: RequestRecord,
    ) -> RequestState {
        let Self { id: session, mut record, .. } = self;
        let bytes = synod_abi::encode(&request);
        record.requests += 1;
        record.outcome_bytes += bytes.len() as u64;
        record.last_request = record.last_request.max(id);
        record.waiting += u32::from(matches!(request.state, RequestState::Waiting { .. }));
        draft.counts().requests += 1;
        draft.overlay().put_new(Table::Sessions, &request_key(session, id), bytes);
        draft.overlay().put(Table::Sessions, &session_key(session), synod_abi::encode(&record));
        request.state
    }
}
