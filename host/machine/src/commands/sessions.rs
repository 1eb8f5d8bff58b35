//! How sessions are opened and end, and between which times to live.
//!
//! Opening is idempotent by the client's nonce while the session lives. Ending can't be rejected:
//! the host releases what the session held first (its waiting calls, outcomes and index), then
//! the hook of every recipe that it called runs, as the recipe is now: one that has gained the hook
//! by an upgrade since then runs it, too. When those before it have run or written as much as an
//! entry should, a hook is put off to a tick.
use alloc::vec::Vec;

use synod_abi::{RequestId, SessionId, SpaceId, limits};
use synod_planted::{Bug, is_planted};

use crate::draft::draft::Draft;
use crate::draft::effects::{Completed, SessionChange};
use crate::draft::stop::Stop;
use crate::log::command::{EndCause, OpenSession, SessionBounds, TtlPolicy};
use crate::log::outcome::{Outcome, Reply};
use crate::log::rejection::{Counted, Rejection};
use crate::ports::{Fatal, StateView, Table, Vm};
use crate::rows::codec::{damaged, decode};
use crate::rows::counter::Counter;
use crate::rows::scan::Scan;
use crate::rows::sessions::{
    self, BOUNDS, RequestRecord, RequestState, SessionRecord, nonce_key, request_of_key, request_prefix,
    session_key,
};
use crate::run::hook::Hook;
use crate::run::run::{Run, Used};

impl<S: StateView, V: Vm<Draft<S>>> Run<'_, S, V> {
    pub(crate) fn open_session(&mut self, open: &OpenSession) -> Result<Reply, Stop> {
        if let Some(reply) = self.opened_before(open)? {
            return Ok(reply);
        }
        if open.label.len() > limits::SESSION_LABEL_BYTES {
            return Err(Rejection::LabelTooLong.into());
        }
        let ttl_ms = granted_ttl(sessions::bounds(&*self.draft)?, open)?;
        if self.draft.counts().sessions >= limits::SESSIONS {
            return Err(Rejection::TooMany { what: Counted::Sessions }.into());
        }
        let session = self.session_id(open.nonce);
        let record = SessionRecord {
            principal: self.turn.caller.principal,
            nonce: open.nonce,
            secret_hash: open.secret_hash,
            ttl_ms,
            label: open.label.clone(),
            opened: self.turn.revision,
            opened_at: self.draft.time(),
            floor: RequestId(1),
            last_request: RequestId(0),
            requests: 0,
            outcome_bytes: 0,
            waiting: 0,
            spaces: Vec::new(),
            without_hook: Vec::new(),
        };
        self.draft.counts().sessions += 1;
        let overlay = self.draft.overlay();
        overlay.put_new(Table::Sessions, &session_key(session), synod_abi::encode(&record));
        overlay.put(Table::Sessions, &nonce_key(open.nonce), synod_abi::encode(&session));
        let change = SessionChange::Opened { session, ttl_ms, secret_hash: open.secret_hash };
        self.draft.effects().sessions.push(change);
        Ok(Reply::Session { session, ttl_ms, already: false })
    }

    /// The session that was opened with the same nonce and still lives.
    fn opened_before(&mut self, open: &OpenSession) -> Result<Option<Reply>, Stop> {
        let nonce = nonce_key(open.nonce);
        let Some(session) = self.draft.read(Table::Sessions, &nonce, "the nonce of a session")? else {
            return Ok(None);
        };
        let there = record_of(&mut self.draft, session)?.ok_or_else(|| damaged("the record of a session"))?;
        if there.principal != self.turn.caller.principal || there.secret_hash != open.secret_hash {
            return Err(Rejection::ForeignSession.into());
        }
        Ok(Some(Reply::Session { session, ttl_ms: there.ttl_ms, already: true }))
    }

    /// The revision that opens it, so that ids sort by age, and a hash, so that they can't be
    /// guessed from it.
    fn session_id(&self, nonce: [u8; 16]) -> SessionId {
        let revision = self.turn.revision.0.to_be_bytes();
        let mut hasher = blake3::Hasher::new();
        hasher
            .update(&self.machine.head.cluster.unwrap_or_default().0)
            .update(b"session")
            .update(&revision)
            .update(&nonce);
        let mut id = [0; 16];
        id.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        id[..8].copy_from_slice(&revision);
        SessionId(id)
    }

    pub(crate) fn end_session(&mut self, session: SessionId, cause: EndCause) -> Result<Reply, Stop> {
        let Some(record) = record_of(&mut self.draft, session)? else {
            return match cause {
                EndCause::Closed => Err(Rejection::SessionEnded.into()),
                EndCause::Expired => Ok(Reply::Done),
            };
        };
        forget_requests(&mut self.draft, session)?;
        self.draft.overlay().delete(Table::Sessions, &session_key(session));
        self.draft.overlay().delete(Table::Sessions, &nonce_key(record.nonce));
        self.draft.counts().sessions.take(1, "sessions")?;
        self.draft.effects().sessions.push(SessionChange::Ended { session });
        for space in called(record) {
            if is_planted(Bug::SessionEndNotTold) {
                continue;
            }
            match self.did_enough(Used::default(), 1) {
                false => self.hook(space, Hook::SessionEnd(session))?,
                true => self.put_off(space, Hook::SessionEnd(session))?,
            }
        }
        Ok(Reply::Done)
    }

    pub(crate) fn set_session_bounds(&mut self, bounds: SessionBounds) -> Result<Reply, Stop> {
        let min_ttl_ms = limits::SESSION_TTL_FLOOR_MS;
        let max_ttl_ms = limits::SESSION_TTL_CEILING_MS;
        if bounds.min_ttl_ms < min_ttl_ms
            || bounds.max_ttl_ms > max_ttl_ms
            || bounds.min_ttl_ms > bounds.max_ttl_ms
        {
            return Err(Rejection::TtlOutOfBounds { min_ttl_ms, max_ttl_ms }.into());
        }
        self.draft.overlay().put(Table::System, BOUNDS, synod_abi::encode(&bounds));
        Ok(Reply::Done)
    }
}

/// The spaces that a session called, ascending.
fn called(SessionRecord { mut spaces, without_hook, .. }: SessionRecord) -> Vec<SpaceId> {
    spaces.extend(without_hook);
    spaces.sort_unstable();
    spaces.dedup();
    spaces
}

/// The record of a session; `None` if it ended or never was.
pub(crate) fn record_of<S: StateView>(
    draft: &mut Draft<S>,
    session: SessionId,
) -> Result<Option<SessionRecord>, Fatal> {
    draft.read(Table::Sessions, &session_key(session), "the record of a session")
}

/// A client that names no time is never refused for it.
fn granted_ttl(bounds: SessionBounds, open: &OpenSession) -> Result<u64, Rejection> {
    let SessionBounds { min_ttl_ms, max_ttl_ms } = bounds;
    match (open.ttl_ms, open.ttl_policy) {
        (0, _) => Ok(limits::SESSION_TTL_DEFAULT_MS.clamp(min_ttl_ms, max_ttl_ms)),
        (wanted, TtlPolicy::Nearest) => Ok(wanted.clamp(min_ttl_ms, max_ttl_ms)),
        (wanted, TtlPolicy::Exact) if (min_ttl_ms..=max_ttl_ms).contains(&wanted) => Ok(wanted),
        (_, TtlPolicy::Exact) => Err(Rejection::TtlOutOfBounds { min_ttl_ms, max_ttl_ms }),
    }
}

/// Forgets every request of a session; waiting calls end with `SessionEnded`.
fn forget_requests<S: StateView>(draft: &mut Draft<S>, session: SessionId) -> Result<(), Fatal> {
    let mut scan = Scan::prefix(Table::Sessions, request_prefix(session));
    while let Some(rows) = scan.next_page(draft)? {
        for (key, value) in &rows {
            let record: RequestRecord = decode(value, "the record of a request")?;
            if let RequestState::Waiting { tickets, deadline } = record.state {
                draft.unpark(record.space, tickets, deadline)?;
                let outcome = Outcome {
                    revision: draft.revision(),
                    time: draft.time(),
                    result: Err(Rejection::SessionEnded),
                };
                let request = request_of_key(key)?;
                draft.effects().completions.push(Completed { session, request, outcome });
            }
            draft.overlay().delete(Table::Sessions, key);
        }
        draft.counts().requests.take(rows.len() as u64, "requests")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
