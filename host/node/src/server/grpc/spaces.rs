//! `synod.v1.Spaces`: calls and queries.
use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use synod_api::v1::spaces_server::Spaces;
use synod_api::v1::{CallReply, CallRequest, Consistency, QueryReply, QueryRequest};
use synod_machine::Caller;
use synod_service::{CallAnswer, CallFailure, QueryOptions};
use tonic::{Request, Response, Status, Streaming};

use super::{Front, convert};

/// Calls of one stream that are in flight; beyond that it is not read.
const STREAM_CALLS: usize = 4_096;

/// Calls and queries.
pub(crate) struct SpacesService(pub(crate) Front);

async fn call(front: &Front, request: CallRequest, timeout: Duration) -> Result<CallAnswer, CallFailure> {
    let CallRequest { space, operation, args, .. } = request;
    front.member.call(&space, &operation, convert::args(args), Caller::default(), timeout).await
}

fn reply(front: &Front, answer: CallAnswer, tag: u64) -> CallReply {
    let header = front.header(answer.revision, answer.time);
    CallReply { header: Some(header), result: Some(convert::value(answer.value)), tag, failure: None }
}

#[tonic::async_trait]
impl Spaces for SpacesService {
    type CallStreamStream = BoxStream<'static, Result<CallReply, Status>>;

    async fn call(&self, request: Request<CallRequest>) -> Result<Response<CallReply>, Status> {
        let timeout = self.0.timeout(&request);
        let request = request.into_inner();
        let tag = request.tag;
        let answer = call(&self.0, request, timeout).await.map_err(|failure| self.0.status(failure))?;
        Ok(Response::new(reply(&self.0, answer, tag)))
    }

    async fn call_stream(&self, request: Request<Streaming<CallRequest>>) -> Result<Response<Self::CallStreamStream>, Status> {
        let front = self.0.clone();
        let requests =
            request.into_inner().take_while(|request| std::future::ready(request.is_ok())).filter_map(|request| async { request.ok() });
        let replies = requests
            .map(move |request| {
                let front = front.clone();
                async move {
                    let (tag, timeout) = (request.tag, front.call_timeout);
                    Ok(match call(&front, request, timeout).await {
                        Ok(answer) => reply(&front, answer, tag),
                        Err(failure) => CallReply { tag, failure: Some(convert::failure(&front, failure)), ..CallReply::default() },
                    })
                }
            })
            .buffer_unordered(STREAM_CALLS);
        Ok(Response::new(replies.boxed()))
    }

    async fn query(&self, request: Request<QueryRequest>) -> Result<Response<QueryReply>, Status> {
        let timeout = self.0.timeout(&request);
        let request = request.into_inner();
        let consistency = match request.consistency() {
            Consistency::Unspecified | Consistency::Linearizable => synod_service::Consistency::Linearizable,
            Consistency::Serializable => synod_service::Consistency::Serializable,
        };
        let at_least_revision = request.context.as_ref().map_or(0, |context| context.at_least_revision);
        let options = QueryOptions { consistency, at_least_revision, session: None };
        let answer = self.0.member.query(&request.space, &request.query, convert::args(request.args), options, timeout).await;
        let answer = answer.map_err(|failure| self.0.status(failure))?;
        let header = self.0.header(answer.revision, answer.time);
        Ok(Response::new(QueryReply { header: Some(header), result: Some(convert::value(answer.value)) }))
    }
}
