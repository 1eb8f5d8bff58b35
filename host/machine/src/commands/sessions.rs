//! How sessions are opened and end, and between which times to live.
//!
//! Opening is idempotent by the client's nonce while the session lives. Ending can't be rejected:
//! the host releases what the session held first (its waiting calls, outcomes and index), then
//! every recipe that it called hears of it.
use alloc::vec::Vec;

use synod_abi::{Direction, RequestId, SessionId, limits};

use crate::apply::{Carried, Decided, Machine, Stop, Turn};
use crate::draft::draft::Workspace;
use crate::log::command::{EndCause, OpenSession, SessionBounds, TtlPolicy};
use crate::log::outcome::{Completed, Outcome, Reply, SessionChange};
use crate::log::rejection::Rejection;
use crate::ports::{Fatal, RangeLimit, StateView, Table, Vm};
use crate::rows::overlay::behind;
use crate::rows::sessions::{
    self, BOUNDS, RequestRecord, RequestState, SessionRecord, damaged, decode, nonce_key, request_of_key,
    request_prefix, session_key,
};
use crate::run::hook::Hook;

/// Rows of requests that are read at a time.
const PAGE: RangeLimit = RangeLimit { rows: 256, bytes: 1_024 * 1_024 };

impl Machine {
    pub(crate) fn open_session<S: StateView>(
        &mut self,
        workspace: &mut Workspace<S>,
        open: &OpenSession,
        turn: &Turn,
    ) -> Result<Reply, Stop> {
        let nonce = nonce_key(open.nonce);
        let principal = turn.caller.principal;
        if let Some(session) = workspace.read(Table::Sessions, &nonce, "the nonce of a session")? {
            let there = record_of(workspace, session)?.ok_or_else(|| damaged("the record of a session"))?;
            return match there.principal == principal && there.secret_hash == open.secret_hash {
                true => Ok(Reply::Session { session, ttl_ms: there.ttl_ms, already: true }),
                false => Err(Rejection::ForeignSession.into()),
            };
        }
        if open.label.len() > limits::SESSION_LABEL_BYTES {
            return Err(Rejection::LabelTooLong.into());
        }
        let ttl_ms = granted_ttl(sessions::bounds(workspace)?, open)?;
        if workspace.counts().sessions >= limits::SESSIONS {
            return Err(Rejection::TooMany { limit: u64::from(limits::SESSIONS) }.into());
        }
        let session = self.session_id(turn, open.nonce);
        let record = SessionRecord {
            principal,
            nonce: open.nonce,
            secret_hash: open.secret_hash,
            ttl_ms,
            label: open.label.clone(),
            opened: turn.revision,
            opened_at: workspace.time(),
            floor: RequestId(1),
            last_request: RequestId(0),
            requests: 0,
            outcome_bytes: 0,
            waiting: 0,
            spaces: Vec::new(),
        };
        workspace.counts().sessions += 1;
        workspace.overlay().put_new(Table::Sessions, &session_key(session), synod_abi::encode(&record));
        workspace.overlay().put(Table::Sessions, &nonce, synod_abi::encode(&session));
        workspace.effects().sessions.push(SessionChange::Opened {
            session,
            ttl_ms,
            secret_hash: open.secret_hash,
        });
        Ok(Reply::Session { session, ttl_ms, already: false })
    }

    /// The revision that opens it, so that ids sort by age, and a hash, so that they can't be
    /// guessed from it.
    fn session_id(&self, turn: &Turn, nonce: [u8; 16]) -> SessionId {
        let revision = turn.revision.0.to_be_bytes();
        let mut hasher = blake3::Hasher::new();
        hasher
            .update(&self.head.cluster.unwrap_or_default().0)
            .update(b"session")
            .update(&revision)
            .update(&nonce);
        let mut id = [0; 16];
        id.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        id[..8].copy_from_slice(&revision);
        SessionId(id)
    }

    pub(crate) fn end_session<S: StateView, V: Vm<Workspace<S>>>(
        &mut self,
        mut workspace: Workspace<S>,
        vm: &mut V,
        session: SessionId,
        cause: EndCause,
        turn: &mut Turn,
    ) -> Carried<S, Decided> {
        let Some(record) = record_of(&mut workspace, session)? else {
            let decided = match cause {
                EndCause::Closed => Decided::Rejected(Rejection::SessionEnded),
                EndCause::Expired => Decided::Done(Reply::Done),
            };
            return Ok((workspace, decided));
        };
        forget_requests(&mut workspace, session)?;
        workspace.overlay().delete(Table::Sessions, &session_key(session));
        workspace.overlay().delete(Table::Sessions, &nonce_key(record.nonce));
        workspace.counts().sessions = workspace.counts().sessions.saturating_sub(1);
        workspace.effects().sessions.push(SessionChange::Ended { session });
        for space in record.spaces {
            workspace = self.run_hook(workspace, vm, space, Hook::SessionEnd(session), turn)?;
        }
        Ok((workspace, Decided::Done(Reply::Done)))
    }
}

pub(crate) fn set_session_bounds<S: StateView>(
    workspace: &mut Workspace<S>,
    bounds: SessionBounds,
) -> Result<Reply, Stop> {
    let (min_ttl_ms, max_ttl_ms) = (limits::SESSION_TTL_FLOOR_MS, limits::SESSION_TTL_CEILING_MS);
    if bounds.min_ttl_ms < min_ttl_ms
        || bounds.max_ttl_ms > max_ttl_ms
        || bounds.min_ttl_ms > bounds.max_ttl_ms
    {
        return Err(Rejection::TtlOutOfBounds { min_ttl_ms, max_ttl_ms }.into());
    }
    workspace.overlay().put(Table::System, BOUNDS, synod_abi::encode(&bounds));
    Ok(Reply::Done)
}

pub(crate) fn record_of<S: StateView>(
    workspace: &mut Workspace<S>,
    session: SessionId,
) -> Result<Option<SessionRecord>, Fatal> {
    workspace.read(Table::Sessions, &session_key(session), "the record of a session")
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

/// Forgets every request of a session; what waits is told that the session ended.
fn forget_requests<S: StateView>(workspace: &mut Workspace<S>, session: SessionId) -> Result<(), Fatal> {
    let prefix = request_prefix(session);
    loop {
        let (rows, more) =
            workspace.range(Table::Sessions, &prefix, &behind(&prefix), Direction::Forward, PAGE)?;
        for (key, value) in &rows {
            let record: RequestRecord = decode(value, "the record of a request")?;
            if let RequestState::Waiting { ticket, deadline } = record.state {
                workspace.unpark(record.space, ticket, deadline)?;
                let outcome = Outcome {
                    revision: workspace.revision(),
                    time: workspace.time(),
                    result: Err(Rejection::SessionEnded),
                };
                workspace.effects().completions.push(Completed {
                    session,
                    request: request_of_key(key)?,
                    outcome,
                });
            }
            workspace.overlay().delete(Table::Sessions, key);
        }
        workspace.counts().requests = workspace.counts().requests.saturating_sub(rows.len() as u64);
        if !more {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests;
