//! `synod.v1.Sessions`: opening, keeping alive, describing and ending sessions.
//!
//! A keep-alive stream carries the touches of any number of sessions. It has at most
//! [`STREAM_TOUCHES`] touches under way and is not read while it has so many, which is also how a
//! client that does not read its replies is slowed down.
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use synod_abi::{RequestId, SessionId, SpaceId};
use synod_api::v1::sessions_server::Sessions;
use synod_api::v1::{
    CancelReply, CancelRequest, Cancelled, CloseSessionReply, CloseSessionRequest, DescribeSessionReply,
    DescribeSessionRequest, KeepAliveReply, KeepAliveRequest, ListSessionsReply, ListSessionsRequest,
    OpenSessionReply, OpenSessionRequest, SessionBounds, SessionBoundsReply, SessionBoundsRequest,
    SessionInfo, SetSessionBoundsReply, SetSessionBoundsRequest, TtlPolicy,
};
use synod_machine::Caller;
use synod_machine::sessions::SessionRecord;
use synod_service::{Availability, CallFailure, Lease, NewSession, Reason, Rejected};
use tonic::{Request, Response, Status, Streaming};

use super::{Front, context, convert};

/// Touches of one stream that are under way; with so many it is not read.
const STREAM_TOUCHES: usize = 4_096;
/// How long a touch may take: it leaves a client time to ask another member.
const TOUCH_TIMEOUT: Duration = Duration::from_secs(3);
/// Most sessions in one reply to a list.
const LISTED_SESSIONS: usize = 1_000;

/// Sessions.
pub(crate) struct SessionsService(pub(crate) Front);

impl SessionsService {
    async fn infos(&self, records: Vec<(SessionId, SessionRecord)>) -> Result<Vec<SessionInfo>, CallFailure> {
        let spaces: BTreeSet<SpaceId> =
            records.iter().flat_map(|(_, record)| record.spaces.iter().copied()).collect();
        let spaces = self.0.spaces_by_id(spaces).await?;
        let names = spaces.into_iter().map(|(id, space)| (id, space.map(|space| space.name.to_string())));
        let names = names.collect();
        Ok(records.into_iter().map(|(id, record)| info(id, record, &names)).collect())
    }
}

/// `names` has the names of existing spaces; deleted ones are left out.
fn info(id: SessionId, record: SessionRecord, names: &BTreeMap<SpaceId, Option<String>>) -> SessionInfo {
    SessionInfo {
        session: id.0.to_vec(),
        label: record.label,
        ttl_ms: record.ttl_ms,
        opened_at_ms: record.opened_at.0,
        opened_revision: record.opened.0,
        floor: record.floor.0,
        last_request_id: record.last_request.0,
        requests: record.requests,
        outcome_bytes: record.outcome_bytes,
        waiting: record.waiting,
        spaces: record.spaces.iter().filter_map(|space| names.get(space)?.clone()).collect(),
    }
}

pub(super) fn new_session(request: OpenSessionRequest) -> Result<NewSession, CallFailure> {
    let ttl_policy = match request.ttl_policy() {
        TtlPolicy::Unspecified | TtlPolicy::Exact => synod_machine::TtlPolicy::Exact,
        TtlPolicy::Nearest => synod_machine::TtlPolicy::Nearest,
    };
    let OpenSessionRequest { nonce, secret, ttl_ms, label, .. } = request;
    let nonce = context::sixteen(&nonce, "nonce")?;
    let secret = context::sixteen(&secret, "secret")?;
    Ok(NewSession { nonce, secret, ttl_ms, ttl_policy, label })
}

async fn touch(front: Front, KeepAliveRequest { session, secret, tag }: KeepAliveRequest) -> KeepAliveReply {
    let touched = match context::session_key(&session, &secret, "session") {
        Ok(key) => front.member.touch(key, TOUCH_TIMEOUT).await,
        Err(failure) => Err(failure),
    };
    touch_reply(&front, session, tag, touched)
}

fn touch_reply(
    front: &Front,
    session: Vec<u8>,
    tag: u64,
    touched: Result<Lease, CallFailure>,
) -> KeepAliveReply {
    let reply = KeepAliveReply { tag, session, ..KeepAliveReply::default() };
    match touched {
        Ok(Lease::Alive { ttl_ms }) => KeepAliveReply { ttl_ms, ..reply },
        Ok(Lease::Ended) => KeepAliveReply { ended: true, ..reply },
        Err(CallFailure::Rejected(rejected)) if rejected.reason == Reason::SessionExpired => {
            KeepAliveReply { ended: true, ..reply }
        }
        Err(failure) => KeepAliveReply { failure: Some(convert::failure(front, failure)), ..reply },
    }
}

#[tonic::async_trait]
impl Sessions for SessionsService {
    type KeepAliveStream = BoxStream<'static, Result<KeepAliveReply, Status>>;

    async fn open(&self, request: Request<OpenSessionRequest>) -> Result<Response<OpenSessionReply>, Status> {
        let timeout = self.0.timeout(&request);
        let opened = match new_session(request.into_inner()) {
            Ok(session) => self.0.member.open_session(session, Caller::default(), timeout).await,
            Err(failure) => Err(failure),
        };
        let opened = opened.map_err(|failure| self.0.status(failure))?;
        let header = Some(self.0.header(opened.revision, opened.time));
        Ok(Response::new(OpenSessionReply {
            header,
            session: opened.session.0.to_vec(),
            ttl_ms: opened.ttl_ms,
            already: opened.already,
        }))
    }

    async fn keep_alive(
        &self,
        request: Request<Streaming<KeepAliveRequest>>,
    ) -> Result<Response<Self::KeepAliveStream>, Status> {
        let front = self.0.clone();
        let requests = request
            .into_inner()
            .take_while(|request| std::future::ready(request.is_ok()))
            .filter_map(|request| async { request.ok() });
        let touches = requests.map(move |request| {
            let front = front.clone();
            async move { Ok(touch(front, request).await) }
        });
        let replies = touches.buffer_unordered(STREAM_TOUCHES);
        Ok(Response::new(self.0.until(Availability::refuses_touches, replies)))
    }

    async fn close(
        &self,
        request: Request<CloseSessionRequest>,
    ) -> Result<Response<CloseSessionReply>, Status> {
        let timeout = self.0.timeout(&request);
        let closed = match context::session_id(&request.into_inner().session, "session") {
            Ok(session) => self.0.member.close_session(session, Caller::default(), timeout).await,
            Err(failure) => Err(failure),
        };
        closed.map_err(|failure| self.0.status(failure))?;
        Ok(Response::new(CloseSessionReply { header: Some(self.0.present_header()) }))
    }

    async fn describe(
        &self,
        request: Request<DescribeSessionRequest>,
    ) -> Result<Response<DescribeSessionReply>, Status> {
        let timeout = self.0.timeout(&request);
        let info = async {
            let id = context::session_id(&request.into_inner().session, "session")?;
            let record = self.0.member.session(id, timeout).await?;
            Ok(self.infos(vec![(id, record)]).await?.pop())
        };
        let session = info.await.map_err(|failure| self.0.status(failure))?;
        Ok(Response::new(DescribeSessionReply { header: Some(self.0.present_header()), session }))
    }

    async fn list(
        &self,
        request: Request<ListSessionsRequest>,
    ) -> Result<Response<ListSessionsReply>, Status> {
        let timeout = self.0.timeout(&request);
        let ListSessionsRequest { after, limit } = request.into_inner();
        let page = async {
            let after = if after.is_empty() { None } else { Some(context::session_id(&after, "after")?) };
            let limit = if limit == 0 { LISTED_SESSIONS } else { LISTED_SESSIONS.min(limit as usize) };
            let page = self.0.member.sessions(after, limit, timeout).await?;
            Ok((self.infos(page.items).await?, page.more))
        };
        let (sessions, more) = page.await.map_err(|failure| self.0.status(failure))?;
        Ok(Response::new(ListSessionsReply { header: Some(self.0.present_header()), sessions, more }))
    }

    async fn cancel(&self, request: Request<CancelRequest>) -> Result<Response<CancelReply>, Status> {
        let timeout = self.0.timeout(&request);
        let CancelRequest { session, secret, request_id } = request.into_inner();
        let was = async {
            let key = context::session_key(&session, &secret, "session")?;
            if request_id == 0 {
                let rejected = Rejected::new(
                    Reason::InvalidArguments,
                    "which request is cancelled? Requests are counted from 1",
                );
                return Err(rejected.in_field("request_id").into());
            }
            self.0.member.cancel_request(key, RequestId(request_id), Caller::default(), timeout).await
        };
        let was = match was.await.map_err(|failure| self.0.status(failure))? {
            synod_machine::Cancelled::NotRun => Cancelled::NotRun,
            synod_machine::Cancelled::Waiting => Cancelled::Waiting,
            synod_machine::Cancelled::Granted => Cancelled::Granted,
            synod_machine::Cancelled::Final => Cancelled::Final,
        };
        Ok(Response::new(CancelReply { header: Some(self.0.present_header()), was: was.into() }))
    }

    async fn bounds(
        &self,
        request: Request<SessionBoundsRequest>,
    ) -> Result<Response<SessionBoundsReply>, Status> {
        let bounds = self
            .0
            .member
            .session_bounds(self.0.timeout(&request))
            .await
            .map_err(|failure| self.0.status(failure))?;
        let bounds = SessionBounds { min_ttl_ms: bounds.min_ttl_ms, max_ttl_ms: bounds.max_ttl_ms };
        Ok(Response::new(SessionBoundsReply { header: Some(self.0.present_header()), bounds: Some(bounds) }))
    }

    async fn set_bounds(
        &self,
        request: Request<SetSessionBoundsRequest>,
    ) -> Result<Response<SetSessionBoundsReply>, Status> {
        let timeout = self.0.timeout(&request);
        let set = match request.into_inner().bounds {
            Some(SessionBounds { min_ttl_ms, max_ttl_ms }) => {
                let bounds = synod_machine::SessionBounds { min_ttl_ms, max_ttl_ms };
                self.0.member.set_session_bounds(bounds, Caller::default(), timeout).await
            }
            None => Err(Rejected::new(Reason::InvalidArguments, "the bounds are missing")
                .in_field("bounds")
                .into()),
        };
        set.map_err(|failure| self.0.status(failure))?;
        Ok(Response::new(SetSessionBoundsReply { header: Some(self.0.present_header()) }))
    }
}

#[cfg(test)]
mod tests;
