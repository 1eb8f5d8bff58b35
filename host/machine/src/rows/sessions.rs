//! Sessions and their requests, as rows: read by the machine through its overlay, by
//! the service from any view.
//!
//! | table | key | value |
//! |---|---|---|
//! | system | `b` | [`SessionBounds`], once they were set |
//! | sessions | `s` session | the session's record |
//! | sessions | `n` nonce | session |
//! | sessions | `r` session request | the request's record |
//! | sessions | `t` space ticket | session and request that wait |
//! | sessions | `c` space | number of tickets in it, if any |
//!
//! Numbers in keys are big-endian; the table of timers is described in `timers`. It decides
//! nothing: what becomes of them is in the modules that apply commands.
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use synod_abi::{Direction, RequestId, Revision, SessionId, SpaceId, TicketId, Time, TimerId};

use crate::log::command::{Principal, SessionBounds};
use crate::log::outcome::Outcome;
use crate::ports::{Fatal, StateView, Table};
use crate::rows::codec::{damaged, decode};
use crate::rows::scan::{self, Page, page_of};
pub use crate::rows::timers::next_timer;

impl Default for SessionBounds {
    /// From 2 seconds to an hour.
    fn default() -> Self {
        Self { min_ttl_ms: 2_000, max_ttl_ms: 3_600_000 }
    }
}

/// A session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRecord {
    /// Whose.
    pub principal: Principal,
    /// The nonce it was opened with.
    pub nonce: [u8; 16],
    /// BLAKE3 of its secret.
    pub secret_hash: [u8; 32],
    /// Its time to live, in milliseconds.
    pub ttl_ms: u64,
    /// For people.
    pub label: String,
    /// Revision that opened it.
    pub opened: Revision,
    /// When.
    pub opened_at: Time,
    /// Every request below is acknowledged, but for parked ones.
    pub floor: RequestId,
    /// The largest request id that was used.
    pub last_request: RequestId,
    /// Requests that are not acknowledged, those that wait among them.
    pub requests: u32,
    /// Bytes of their records, which are little more than those of their outcomes.
    pub outcome_bytes: u64,
    /// Requests that wait.
    pub waiting: u32,
    /// Spaces whose hook runs when it ends, ascending; at most `limits::SESSION_SPACES`.
    pub spaces: Vec<SpaceId>,
    /// Spaces that it called while their recipes had no such hook, ascending: one that has it when
    /// the session ends runs it, too. The first `limits::SESSION_SPACES` that it called.
    pub without_hook: Vec<SpaceId>,
}

/// What is kept of a request until it is acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestRecord {
    /// First bytes of BLAKE3 of what was called with which arguments; zeros if it was cancelled
    /// before it ran.
    pub fingerprint: [u8; 16],
    /// Where; 0 if it was cancelled before it ran.
    pub space: SpaceId,
    /// How far it is.
    pub state: RequestState,
}

/// How far a request is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RequestState {
    /// It waits.
    Waiting {
        /// Its tickets.
        tickets: Tickets,
        /// When it stops to, and the timer of that.
        deadline: Option<(Time, TimerId)>,
    },
    /// It has its outcome.
    Done {
        /// The outcome.
        outcome: Outcome,
        /// The ticket, if a recipe can take the result back until it is acknowledged.
        ticket: Option<TicketId>,
        /// Whether it waited: then it is acknowledged singly.
        parked: bool,
    },
}

/// The tickets of a call that waits: the first ones of its command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tickets {
    /// The revision of the command.
    pub revision: Revision,
    /// How many: at least 1, at most `limits::CALL_TICKETS`.
    pub count: u16,
}

impl Tickets {
    /// The ticket by which people know the call.
    pub fn first(self) -> TicketId {
        TicketId::new(self.revision, 0)
    }

    /// All of them, in order.
    pub(crate) fn iter(self) -> impl DoubleEndedIterator<Item = TicketId> {
        (0..self.count).map(move |ordinal| TicketId::new(self.revision, ordinal))
    }
}

/// Who waits for a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredTicket {
    pub(crate) session: SessionId,
    pub(crate) request: RequestId,
}

/// A session; `None` if it ended or never was.
///
/// # Errors
/// [`Fatal`] if the store cannot be read.
pub fn session(view: &impl StateView, id: SessionId) -> Result<Option<SessionRecord>, Fatal> {
    let Some(bytes) = view.get(Table::Sessions, &session_key(id))? else { return Ok(None) };
    decode(&bytes, "the record of a session").map(Some)
}

/// At most `limit` sessions after `after`, by id, which is by age.
///
/// # Errors
/// [`Fatal`] if the store cannot be read.
pub fn sessions(
    view: &impl StateView,
    after: Option<SessionId>,
    limit: usize,
) -> Result<Page<(SessionId, SessionRecord)>, Fatal> {
    let mut from = Vec::from(*b"s");
    if let Some(after) = after {
        from = scan::successor(session_key(after));
    }
    let (rows, more) = view.range(Table::Sessions, &from, b"t", Direction::Forward, page_of(limit))?;
    let items = rows.iter().map(|(key, value)| {
        let id = key
            .get(1..)
            .and_then(|id| id.try_into().ok())
            .map(SessionId)
            .ok_or_else(|| damaged("the id of a session"))?;
        Ok((id, decode(value, "the record of a session")?))
    });
    Ok(Page { items: items.collect::<Result<_, Fatal>>()?, more })
}

/// A request of a session that is not acknowledged.
///
/// # Errors
/// [`Fatal`] if the store cannot be read.
pub fn request(
    view: &impl StateView,
    session: SessionId,
    id: RequestId,
) -> Result<Option<RequestRecord>, Fatal> {
    let Some(bytes) = view.get(Table::Sessions, &request_key(session, id))? else { return Ok(None) };
    decode(&bytes, "the record of a request").map(Some)
}

/// Between which times to live sessions are opened.
///
/// # Errors
/// [`Fatal`] if the store cannot be read.
pub fn bounds(view: &impl StateView) -> Result<SessionBounds, Fatal> {
    view.get(Table::System, BOUNDS)?
        .map_or_else(|| Ok(SessionBounds::default()), |bytes| decode(&bytes, "the bounds of sessions"))
}

pub(crate) const BOUNDS: &[u8] = b"b";

pub(crate) fn session_key(id: SessionId) -> Vec<u8> {
    [b"s".as_slice(), &id.0].concat()
}

pub(crate) fn request_key(session: SessionId, id: RequestId) -> Vec<u8> {
    [b"r".as_slice(), &session.0, &id.0.to_be_bytes()].concat()
}

/// What all keys of a session's requests begin with.
pub(crate) fn request_prefix(session: SessionId) -> Vec<u8> {
    [b"r".as_slice(), &session.0].concat()
}

pub(crate) fn request_of_key(key: &[u8]) -> Result<RequestId, Fatal> {
    key.last_chunk()
        .map(|id| RequestId(u64::from_be_bytes(*id)))
        .ok_or_else(|| damaged("the id of a request"))
}

pub(crate) fn nonce_key(nonce: [u8; 16]) -> Vec<u8> {
    [b"n".as_slice(), &nonce].concat()
}

pub(crate) fn ticket_key(space: SpaceId, ticket: TicketId) -> Vec<u8> {
    [b"t".as_slice(), &space.0.to_be_bytes(), &ticket.0.to_be_bytes()].concat()
}

/// What all keys of a space's tickets begin with.
pub(crate) fn ticket_prefix(space: SpaceId) -> Vec<u8> {
    [b"t".as_slice(), &space.0.to_be_bytes()].concat()
}

pub(crate) fn waiting_key(space: SpaceId) -> Vec<u8> {
    [b"c".as_slice(), &space.0.to_be_bytes()].concat()
}
