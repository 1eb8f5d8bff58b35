//! `synod.v1.Spaces`: calls, queries and watches.
use std::sync::Arc;
use std::time::Duration;

use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use prost::Message;
use synod_api::v1::spaces_server::Spaces;
use synod_api::v1::value::Form;
use synod_api::v1::{CallReply, CallRequest, Failure, QueryReply, QueryRequest, WatchReply, WatchRequest};
use synod_machine::Caller;
use synod_service::{Asker, CallAnswer, CallFailure, QueryOptions, SessionAnswer, Waiting};
use tonic::{Request, Response, Status, Streaming};

use super::admitted::Admitted;
use super::call_stream::{CallStream, Step};
use super::context::{self, InSession};
use super::watch_stream::WatchReplies;
use super::watches::MemberWatches;
use super::{Front, convert};
use crate::server::net::metered::{self, Account, Admission};

/// What a reply has beside its result, nearly: its header and tag.
const REPLY_OVERHEAD_BYTES: usize = 64;

/// Calls, queries and watches.
pub(crate) struct SpacesService(pub(crate) Front);

/// Runs a call until it has its answer or is parked. It is submitted when this is first polled. Its
/// outcome takes room of `account`, that of the connection.
async fn call(
    front: &Front,
    account: Arc<Account>,
    request: CallRequest,
    timeout: Duration,
) -> Result<SessionAnswer, CallFailure> {
    let CallRequest { space, operation, args, context, wait_ms, .. } = request;
    let args = convert::args(args);
    let asker = Asker { caller: Caller::default(), room: Some(account) };
    match context::of_call(context, wait_ms)? {
        None => front.member.call(&space, &operation, args, asker, timeout).await.map(SessionAnswer::Done),
        Some(InSession { key, request }) => {
            front.member.call_in_session(&space, &operation, args, key, request, asker, timeout).await
        }
    }
}

fn reply(front: &Front, answer: CallAnswer, tag: u64) -> CallReply {
    let header = front.header(answer.revision, answer.time);
    CallReply {
        header: Some(header),
        result: Some(convert::value(answer.value)),
        tag,
        ..CallReply::default()
    }
}

fn reply_or_failure(front: &Front, result: Result<CallAnswer, CallFailure>, tag: u64) -> CallReply {
    match result {
        Ok(answer) => reply(front, answer, tag),
        Err(failure) => failed(convert::failure(front, failure), tag),
    }
}

fn failed(failure: Failure, tag: u64) -> CallReply {
    CallReply { tag, failure: Some(failure), ..CallReply::default() }
}

/// `reply`, or a failure in its place if it has no room.
fn fitting(account: &Account, reply: CallReply) -> CallReply {
    match account.admit_reply(bytes_of(&reply)) {
        Ok(()) => reply,
        Err(failure) => failed(*failure, reply.tag),
    }
}

/// About how long a reply is: its encoder computes it exactly, which is once too often for each.
fn bytes_of(reply: &CallReply) -> usize {
    let content = match (&reply.failure, &reply.result) {
        (Some(failure), _) => failure.encoded_len(),
        (None, Some(result)) => match &result.form {
            Some(Form::Postcard(bytes)) => bytes.len(),
            Some(Form::Json(text)) => text.len(),
            None => 0,
        },
        (None, None) => 0,
    };
    REPLY_OVERHEAD_BYTES + content
}

/// The interim reply to a parked call.
fn parked(front: &Front, waiting: &Waiting, tag: u64) -> CallReply {
    let header = front.header(waiting.revision(), front.member.applied().time());
    CallReply { header: Some(header), parked: true, tag, ..CallReply::default() }
}

#[tonic::async_trait]
impl Spaces for SpacesService {
    type CallStreamStream = BoxStream<'static, Result<CallReply, Status>>;
    type WatchStream = BoxStream<'static, Result<WatchReply, Status>>;

    async fn call(&self, request: Request<CallRequest>) -> Result<Response<CallReply>, Status> {
        let timeout = self.0.timeout(&request);
        let deadline = self.0.deadline(&request);
        let account = metered::account(&request);
        let request = request.into_inner();
        let tag = request.tag;
        let answer = match call(&self.0, account, request, timeout).await {
            Ok(SessionAnswer::Done(answer)) => Ok(answer),
            Ok(SessionAnswer::Parked(waiting)) => self.0.by(deadline, waiting.answer()).await,
            Err(failure) => Err(failure),
        };
        Ok(Response::new(reply(&self.0, answer.map_err(|failure| self.0.status(failure))?, tag)))
    }

    async fn call_stream(
        &self,
        request: Request<Streaming<CallRequest>>,
    ) -> Result<Response<Self::CallStreamStream>, Status> {
        let front = self.0.clone();
        let account = metered::account(&request);
        let requests = Admitted::new(request.into_inner(), account.clone());
        let begin = move |(request, admission): (CallRequest, Admission)| {
            let (front, account) = (front.clone(), account.clone());
            async move {
                let tag = request.tag;
                let step = match call(&front, account.clone(), request, front.call_timeout).await {
                    Ok(SessionAnswer::Parked(waiting)) => {
                        let interim = parked(&front, &waiting, tag);
                        let answer = waiting
                            .answer()
                            .map(move |result| fitting(&account, reply_or_failure(&front, result, tag)));
                        Step::Parked(interim, answer)
                    }
                    Ok(SessionAnswer::Done(answer)) => {
                        Step::Answered(fitting(&account, reply(&front, answer, tag)))
                    }
                    Err(failure) => {
                        Step::Answered(fitting(&account, reply_or_failure(&front, Err(failure), tag)))
                    }
                };
                drop(admission);
                step
            }
        };
        let front = self.0.clone();
        let stopping = self.0.stopping().map(move |failure| front.status(failure));
        Ok(Response::new(CallStream::new(requests, begin, stopping.boxed()).boxed()))
    }

    async fn query(&self, request: Request<QueryRequest>) -> Result<Response<QueryReply>, Status> {
        let timeout = self.0.timeout(&request);
        let request = request.into_inner();
        let consistency = convert::consistency(request.consistency());
        let answer = async {
            let context = request.context.unwrap_or_default();
            let session = context::of_query(&context)?;
            let options = QueryOptions { consistency, at_least_revision: context.at_least_revision, session };
            self.0
                .member
                .query(&request.space, &request.query, convert::args(request.args), options, timeout)
                .await
        };
        let (answer, _) = answer.await.map_err(|failure| self.0.status(failure))?;
        let header = self.0.header(answer.revision, answer.time);
        Ok(Response::new(QueryReply { header: Some(header), result: Some(convert::value(answer.value)) }))
    }

    async fn watch(
        &self,
        request: Request<Streaming<WatchRequest>>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let watches = MemberWatches::new(self.0.clone());
        Ok(Response::new(self.0.until_leaving(WatchReplies::new(request.into_inner(), watches))))
    }
}
