//! A client with a session, as tests need it: it says what it calls as which request, and where.
use std::time::Duration;

use synod_abi::{RequestId, Revision, SessionId};
use synod_machine::{Caller, Request};

use super::cluster::{Cluster, Pending, TIMEOUT};
use super::recipe::EMIT_SIGNATURE;
use crate::Lease;
use crate::{Args, CallAnswer, CallFailure, NewSession, SessionAnswer, SessionKey, UserRequest};

/// A session to open, told by `number`.
pub(crate) fn new_session(number: u64, ttl_ms: u64) -> NewSession {
    let mut nonce = [1; 16];
    nonce[8..].copy_from_slice(&number.to_be_bytes());
    NewSession {
        nonce,
        secret: secret(number),
        ttl_ms,
        ttl_policy: Default::default(),
        label: format!("client {number}"),
    }
}

pub(crate) fn secret(number: u64) -> [u8; 16] {
    let mut secret = [2; 16];
    secret[8..].copy_from_slice(&number.to_be_bytes());
    secret
}

/// Request `id`, whatever was before.
pub(crate) fn request(id: u64) -> Request {
    Request { id: RequestId(id), ..Request::default() }
}

/// Request `id`, after the one before it.
pub(crate) fn next_request(id: u64) -> Request {
    Request { after: (id > 1).then(|| RequestId(id - 1)), ..request(id) }
}

/// Request `id`, which waits for so long.
pub(crate) fn waiting_request(id: u64, wait_ms: u64) -> Request {
    Request { wait_ms: Some(wait_ms), ..request(id) }
}

/// Arguments of the operation `emit`.
pub(crate) fn emit_args(topics: &[&str], bytes: usize) -> Args {
    Args::Postcard { bytes: synod_abi::encode(&(topics, bytes as u64)), signature: EMIT_SIGNATURE }
}

/// Arguments of the operations of the tests' recipe.
pub(crate) fn args(operation: &str, key: &str, n: u64) -> Args {
    Args::Json(match operation {
        "wait" | "sneak" => format!("{{\"key\":{key:?}}}"),
        "fill" => String::new(),
        _ => format!("{{\"key\":{key:?},\"n\":{n}}}"),
    })
}

impl Cluster {
    pub(crate) fn open(&mut self, member: u64, number: u64, ttl_ms: u64) -> SessionKey {
        let at = self.member(member);
        let opened = self.wait(async move {
            at.open_session(new_session(number, ttl_ms), Caller::default(), TIMEOUT).await
        });
        SessionKey { session: opened.expect("a session").session, secret: secret(number) }
    }

    /// A call, until it is done or parked.
    pub(crate) fn start_call(
        &self,
        member: u64,
        key: SessionKey,
        request: Request,
        (operation, name, n): (&'static str, &str, u64),
    ) -> Pending<SessionAnswer> {
        let (member, args) = (self.member(member), args(operation, name, n));
        let request = UserRequest { user: 0, request };
        self.sim.start(async move {
            member.call_in_session("counter", operation, args, key, request, Caller::default(), TIMEOUT).await
        })
    }

    /// A call, until it is done.
    pub(crate) fn start_request(
        &self,
        member: u64,
        key: SessionKey,
        request: Request,
        (operation, name, n): (&'static str, &str, u64),
    ) -> Pending<CallAnswer> {
        let (member, args) = (self.member(member), args(operation, name, n));
        let request = UserRequest { user: 0, request };
        self.sim.start(async move {
            match member
                .call_in_session("counter", operation, args, key, request, Caller::default(), TIMEOUT)
                .await?
            {
                SessionAnswer::Done(answer) => Ok(answer),
                SessionAnswer::Parked(waiting) => waiting.answer().await,
            }
        })
    }

    /// Emits an event about each topic, in one command.
    pub(crate) fn start_emit(
        &self,
        member: u64,
        space: &'static str,
        topics: &[&str],
        bytes: usize,
    ) -> Pending<CallAnswer> {
        let (member, args) = (self.member(member), emit_args(topics, bytes));
        self.sim.start(async move { member.call(space, "emit", args, Caller::default(), TIMEOUT).await })
    }

    /// The same, until it is done; its revision.
    pub(crate) fn emit(
        &mut self,
        member: u64,
        space: &'static str,
        topics: &[&str],
        bytes: usize,
    ) -> Revision {
        let (member, args) = (self.member(member), emit_args(topics, bytes));
        let answer =
            self.wait(async move { member.call(space, "emit", args, Caller::default(), TIMEOUT).await });
        answer.expect("emitted").revision
    }

    /// A call outside of any session.
    pub(crate) fn start_plain(
        &self,
        member: u64,
        (operation, name, n): (&'static str, &str, u64),
    ) -> Pending<CallAnswer> {
        let (member, args) = (self.member(member), args(operation, name, n));
        self.sim
            .start(async move { member.call("counter", operation, args, Caller::default(), TIMEOUT).await })
    }

    pub(crate) fn start_touch(&self, member: u64, key: SessionKey) -> Pending<Lease> {
        self.start_touch_for(member, key, TIMEOUT)
    }

    pub(crate) fn start_touch_for(&self, member: u64, key: SessionKey, timeout: Duration) -> Pending<Lease> {
        let member = self.member(member);
        self.sim.start(async move { member.touch(key, timeout).await })
    }

    /// Closes a session, whether it is there or not.
    pub(crate) fn close(&mut self, member: u64, session: SessionId) -> Result<(), CallFailure> {
        let member = self.member(member);
        self.wait(async move { member.close_session(session, Caller::default(), TIMEOUT).await })
    }
}
