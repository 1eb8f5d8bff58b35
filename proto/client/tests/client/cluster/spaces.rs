//! The service of spaces: the streams of calls and watches, and queries.
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use synod_api::v1::failure::Kind;
use synod_api::v1::spaces_server::Spaces;
use synod_api::v1::{CallReply, CallRequest, QueryReply, QueryRequest, WatchReply, WatchRequest};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

use super::calls::{CallReplies, Calls, Taken};
use super::watching::Serving;
use super::{Member, Replies, Served, Watches, failure};

#[tonic::async_trait]
impl Spaces for Served {
    async fn call(&self, _request: Request<CallRequest>) -> Result<Response<CallReply>, Status> {
        Err(Status::unimplemented("the library uses the stream"))
    }

    type CallStreamStream = Replies<CallReply>;

    async fn call_stream(
        &self,
        request: Request<Streaming<CallRequest>>,
    ) -> Result<Response<Self::CallStreamStream>, Status> {
        let (replies, stream) = mpsc::channel(64);
        tokio::spawn(take_calls(Arc::clone(&self.0), request.into_inner(), replies));
        Ok(Response::new(Box::pin(until_first_error(ReceiverStream::new(stream)))))
    }

    type WatchStream = Replies<WatchReply>;

    async fn watch(
        &self,
        request: Request<Streaming<WatchRequest>>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let member = Arc::clone(&self.0);
        match *member.watches.borrow() {
            Watches::Down => return Err(Status::unavailable("the member is down")),
            Watches::Old => return Err(Status::unimplemented("")),
            Watches::Serve | Watches::Silent | Watches::Cancel(..) => {}
        }
        *member.log().streams.entry(member.id).or_default() += 1;
        let (replies, stream) = mpsc::channel(4);
        let serving = Serving { member, watches: BTreeMap::new(), replies };
        tokio::spawn(serving.run(request.into_inner()));
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }

    async fn query(&self, request: Request<QueryRequest>) -> Result<Response<QueryReply>, Status> {
        let member = &self.0;
        let QueryRequest { context, args, .. } = request.into_inner();
        let context = context.unwrap_or_default();
        let at_least_revision = context.at_least_revision;
        let delay_ms = member.count_query();
        member.ledger().asked.push(context);
        tokio::time::sleep(Duration::from_millis(delay_ms)).await;
        let refused = |kind, reason| Err(synod_api::status_of_failure(&failure(kind, reason)));
        let calls = member.behaviour().calls;
        match calls {
            Calls::HangUp => return Err(Status::unavailable("broken pipe")),
            Calls::NoLeader => return refused(Kind::Unavailable, "NO_LEADER"),
            Calls::DiskFull => return refused(Kind::Unavailable, "DISK_FULL"),
            Calls::Reject => return refused(Kind::Rejected, "UNKNOWN_SPACE"),
            Calls::Serve | Calls::RunAndHangUpAt(_) | Calls::Ignore | Calls::ServeAny => {}
        }
        if *member.watches.borrow() != Watches::Serve {
            return refused(Kind::Unavailable, "NO_LEADER");
        }
        let header = member.header();
        let log = member.log();
        assert!(at_least_revision <= log.revision, "nothing of the future is asked for");
        Ok(Response::new(QueryReply { header, result: Some(log.answer(args.as_ref())) }))
    }
}

impl Member {
    /// Notes a query, and returns how long it takes.
    fn count_query(&self) -> u64 {
        *self.ledger().received.entry(self.id).or_default() += 1;
        let mut log = self.log();
        log.queries += 1;
        log.query_delay_ms
    }
}

async fn take_calls(member: Arc<Member>, mut requests: Streaming<CallRequest>, replies: CallReplies) {
    while let Some(Ok(request)) = requests.next().await {
        let sent = match member.take(request, &replies) {
            Taken::Reply(reply) => replies.send(Ok(*reply)).await,
            Taken::Nothing => continue,
            Taken::End => return,
            Taken::Break => {
                let _gone = replies.send(Err(Status::unavailable("the member is gone"))).await;
                return;
            }
        };
        if sent.is_err() {
            return;
        }
    }
}

/// Ends a stream after its first error, as a broken connection would.
fn until_first_error<T: Send>(
    stream: impl Stream<Item = Result<T, Status>> + Send,
) -> impl Stream<Item = Result<T, Status>> + Send {
    let mut over = false;
    stream.take_while(move |item| {
        let goes_on = !over;
        over |= item.is_err();
        goes_on
    })
}
