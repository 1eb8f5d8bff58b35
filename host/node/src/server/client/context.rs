//! A call's `Context` and `wait_ms`: which request of which session it is.
//!
//! It checks what needs no state: lengths, and that no field is set that would be ignored. A
//! request id without a session is refused, because ignoring it would break the promise that a
//! request takes effect once.
use std::collections::BTreeSet;

use synod_abi::{RequestId, SessionId, limits};
use synod_api::v1::Context;
use synod_machine::Request;
use synod_service::{CallFailure, Reason, Rejected, SessionKey, UserRequest};

/// Which request of which session a call is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct InSession {
    /// The session and its secret.
    pub(super) key: SessionKey,
    /// The request, and whose it is.
    pub(super) request: UserRequest,
}

fn invalid(field: &str, message: impl Into<String>) -> CallFailure {
    Rejected::new(Reason::InvalidArguments, message).in_field(field).into()
}

/// An id of 16 bytes.
pub(super) fn session_id(bytes: &[u8], field: &str) -> Result<SessionId, CallFailure> {
    sixteen(bytes, field).map(SessionId)
}

/// 16 bytes.
pub(super) fn sixteen(bytes: &[u8], field: &str) -> Result<[u8; 16], CallFailure> {
    bytes.try_into().map_err(|_| invalid(field, format!("expected 16 bytes, got {}", bytes.len())))
}

/// A session and its secret.
pub(super) fn session_key(session: &[u8], secret: &[u8], field: &str) -> Result<SessionKey, CallFailure> {
    let session = session_id(session, field)?;
    Ok(SessionKey { session, secret: secret.try_into().map_err(|_| Rejected::wrong_secret())? })
}

/// The session of a query, if any. A request id in it has no meaning, because a query changes
/// nothing.
pub(super) fn of_query(context: &Context) -> Result<Option<SessionKey>, CallFailure> {
    if context.session.is_empty() {
        return Ok(None);
    }
    session_key(&context.session, &context.secret, "context.session").map(Some)
}

/// The session and request of a call; none if it is made outside of any session.
pub(super) fn of_call(
    context: Option<Context>,
    wait_ms: Option<u64>,
) -> Result<Option<InSession>, CallFailure> {
    let Context {
        session,
        secret,
        request_id,
        acknowledged_below,
        after,
        acknowledged,
        at_least_revision: _,
        user,
    } = context.unwrap_or_default();
    if session.is_empty() {
        if wait_ms.is_some() {
            return Err(invalid(
                "wait_ms",
                "only a call in a session can wait: open one, or leave this field out",
            ));
        }
        if !secret.is_empty()
            || request_id != 0
            || acknowledged_below != 0
            || after != 0
            || !acknowledged.is_empty()
            || user != 0
        {
            return Err(invalid(
                "context.session",
                "the context has a secret or a request but no session: name it, or leave them out",
            ));
        }
        return Ok(None);
    }
    let key = session_key(&session, &secret, "context.session")?;
    if request_id == 0 {
        return Err(invalid(
            "context.request_id",
            "a call in a session needs a request id: its client counts them from 1",
        ));
    }
    if acknowledged.len() > limits::SESSION_OUTCOMES as usize {
        let message = format!(
            "{} requests are acknowledged singly, but a session has at most {} outcomes; name each once",
            acknowledged.len(),
            limits::SESSION_OUTCOMES
        );
        let rejected = Rejected::new(Reason::InvalidArguments, message).in_field("context.acknowledged");
        return Err(rejected.at_limit("SESSION_OUTCOMES", u64::from(limits::SESSION_OUTCOMES)).into());
    }
    let acknowledged: BTreeSet<RequestId> = acknowledged.into_iter().map(RequestId).collect();
    let request = Request {
        id: RequestId(request_id),
        acknowledged_below: RequestId(acknowledged_below),
        acknowledged: acknowledged.into_iter().collect(),
        after: (after != 0).then_some(RequestId(after)),
        wait_ms,
    };
    Ok(Some(InSession { key, request: UserRequest { user, request } }))
}

#[cfg(test)]
mod tests;
