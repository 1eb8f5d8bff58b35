//! `synod.v1.Spaces`: calls, queries and watches.
use std::time::Duration;

use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use synod_api::v1::spaces_server::Spaces;
use synod_api::v1::{CallReply, CallRequest, QueryReply, QueryRequest, WatchReply, WatchRequest};
use synod_machine::Caller;
use synod_service::{CallAnswer, CallFailure, QueryOptions, SessionAnswer, Waiting};
use tonic::{Request, Response, Status, Streaming};

use super::call_stream::{CallStream, Step};
use super::context::{self, InSession};
use super::watch_stream::WatchReplies;
use super::watches::MemberWatches;
use super::{Front, convert};

/// Calls, queries and watches.
pub(crate) struct SpacesService(pub(crate) Front);

/// Runs a call until it has its answer or is parked. It is submitted when this is first polled.
async fn call(front: &Front, request: CallRequest, timeout: Duration) -> Result<SessionAnswer, CallFailure> {
    let CallRequest { space, operation, args, context, wait_ms, .. } = request;
    let args = convert::args(args);
    match context::of_call(context, wait_ms)? {
        None => front
            .member
            .call(&space, &operation, args, Caller::default(), timeout)
            .await
            .map(SessionAnswer::Done),
        Some(InSession { key, request }) => {
            front
                .member
                .call_in_session(&space, &operation, args, key, request, Caller::default(), timeout)
                .await
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
        Err(failure) => {
            CallReply { tag, failure: Some(convert::failure(front, failure)), ..CallReply::default() }
        }
    }
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
        let request = request.into_inner();
        let tag = request.tag;
        let answer = match call(&self.0, request, timeout).await {
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
        let begin = move |request: CallRequest| {
            let front = front.clone();
            async move {
                let tag = request.tag;
                match call(&front, request, front.call_timeout).await {
                    Ok(SessionAnswer::Parked(waiting)) => {
                        let interim = parked(&front, &waiting, tag);
                        Step::Parked(
                            interim,
                            waiting.answer().map(move |result| reply_or_failure(&front, result, tag)),
                        )
                    }
                    Ok(SessionAnswer::Done(answer)) => Step::Answered(reply(&front, answer, tag)),
                    Err(failure) => Step::Answered(reply_or_failure(&front, Err(failure), tag)),
                }
            }
        };
        let front = self.0.clone();
        let stopping = self.0.stopping().map(move |failure| front.status(failure));
        Ok(Response::new(CallStream::new(request.into_inner(), begin, stopping.boxed()).boxed()))
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
