//! The client against members that are made up: real gRPC on loopback, scripted answers. What it
//! asks of a whole cluster is tested in `tests/`.
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use synod_api::v1::cluster_server::{Cluster, ClusterServer};
use synod_api::v1::failure::Kind;
use synod_api::v1::spaces_server::{Spaces, SpacesServer};
use synod_api::v1::{
    CallReply, CallRequest, DigestAtReply, DigestAtRequest, Failure, Header, MemberStatus, QueryReply,
    QueryRequest, StatusReply, StatusRequest, Value, WatchReply, WatchRequest, value::Form,
};
use synod_client::core::{Backoff, Policy};
use synod_client::{Client, Error, Options};
use tokio::net::TcpListener;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

/// What a member does with every call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Script {
    /// Answers with the arguments.
    Echo,
    /// Says that it is surely not applied.
    NotLeader,
    /// Ends the stream without an answer.
    HangUp,
    /// Refuses.
    Reject,
}

struct Fake {
    id: u64,
    script: Script,
    calls: AtomicU64,
    members: Vec<(u64, SocketAddr)>,
    leader: u64,
}

fn header(id: u64) -> Option<Header> {
    Some(Header { member_id: id, term: 1, revision: 7, ..Header::default() })
}

fn failure(kind: Kind, reason: &str, leader_id: u64) -> Failure {
    Failure {
        kind: kind as i32,
        reason: reason.into(),
        message: reason.into(),
        leader_id,
        ..Failure::default()
    }
}

impl Fake {
    fn answer(&self, request: CallRequest) -> Option<CallReply> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let reply = CallReply { header: header(self.id), tag: request.tag, ..CallReply::default() };
        match self.script {
            Script::Echo => Some(CallReply { result: request.args, ..reply }),
            Script::NotLeader => {
                Some(CallReply { failure: Some(failure(Kind::Unavailable, "NO_LEADER", 0)), ..reply })
            }
            Script::Reject => {
                Some(CallReply { failure: Some(failure(Kind::Rejected, "UNKNOWN_SPACE", 0)), ..reply })
            }
            Script::HangUp => None,
        }
    }
}

/// A running member.
struct Running {
    fake: Arc<Fake>,
    address: SocketAddr,
    task: tokio::task::JoinHandle<()>,
}

struct Served(Arc<Fake>);

#[tonic::async_trait]
impl Spaces for Served {
    async fn call(&self, _request: Request<CallRequest>) -> Result<Response<CallReply>, Status> {
        Err(Status::unimplemented("the library uses the stream"))
    }

    type CallStreamStream = Pin<Box<dyn Stream<Item = Result<CallReply, Status>> + Send>>;

    async fn call_stream(
        &self,
        request: Request<Streaming<CallRequest>>,
    ) -> Result<Response<Self::CallStreamStream>, Status> {
        let fake = Arc::clone(&self.0);
        let mut requests = request.into_inner();
        let (replies, stream) = tokio::sync::mpsc::channel(16);
        tokio::spawn(async move {
            while let Some(Ok(request)) = requests.next().await {
                let Some(reply) = fake.answer(request) else { return };
                if replies.send(Ok(reply)).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<WatchReply, Status>> + Send>>;

    async fn watch(
        &self,
        _request: Request<Streaming<WatchRequest>>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("not needed"))
    }

    async fn query(&self, request: Request<QueryRequest>) -> Result<Response<QueryReply>, Status> {
        let request = request.into_inner();
        self.0.calls.fetch_add(1, Ordering::SeqCst);
        let at_least = request.context.map_or(0, |context| context.at_least_revision);
        match self.0.script {
            Script::Echo => {
                let result = Value { form: Some(Form::Json(at_least.to_string())), signature: 0 };
                Ok(Response::new(QueryReply { header: header(self.0.id), result: Some(result) }))
            }
            Script::HangUp => Err(Status::unavailable("broken pipe")),
            Script::NotLeader => {
                Err(synod_api::status_of_failure(&failure(Kind::Unavailable, "NO_LEADER", 0)))
            }
            Script::Reject => Err(synod_api::status_of_failure(&failure(Kind::Rejected, "UNKNOWN_SPACE", 0))),
        }
    }
}

#[tonic::async_trait]
impl Cluster for Served {
    async fn status(&self, _request: Request<StatusRequest>) -> Result<Response<StatusReply>, Status> {
        let members = self.0.members.iter().map(|(id, address)| MemberStatus {
            id: *id,
            client_address: address.to_string(),
            ..MemberStatus::default()
        });
        Ok(Response::new(StatusReply {
            header: header(self.0.id),
            leader_id: self.0.leader,
            members: members.collect(),
        }))
    }

    async fn digest_at(&self, _request: Request<DigestAtRequest>) -> Result<Response<DigestAtReply>, Status> {
        Err(Status::unimplemented("not needed"))
    }
}

/// Starts members with these scripts; ids count from 1, and `leader` is one of them.
async fn cluster(scripts: &[Script], leader: u64) -> Vec<Running> {
    let mut listeners = Vec::new();
    for _ in scripts {
        listeners.push(TcpListener::bind("127.0.0.1:0").await.expect("a free port"));
    }
    let members: Vec<_> =
        (1..).zip(listeners.iter().map(|listener| listener.local_addr().expect("it is bound"))).collect();
    let mut running = Vec::new();
    for ((listener, script), (id, address)) in listeners.into_iter().zip(scripts).zip(members.clone()) {
        let fake = Arc::new(Fake {
            id,
            script: *script,
            calls: AtomicU64::new(0),
            members: members.clone(),
            leader,
        });
        let server = tonic::transport::Server::builder()
            .add_service(SpacesServer::new(Served(Arc::clone(&fake))))
            .add_service(ClusterServer::new(Served(Arc::clone(&fake))));
        let task = tokio::spawn(async move {
            let _ended = server.serve_with_incoming(TcpListenerStream::new(listener)).await;
        });
        running.push(Running { fake, address, task });
    }
    running
}

fn endpoints(members: &[Running]) -> String {
    members.iter().map(|member| member.address.to_string()).collect::<Vec<_>>().join(",")
}

fn options(learn_members: bool) -> Options {
    let policy = Policy { give_up_ms: 3_000, backoff: Backoff { base_ms: 1, max_ms: 5 } };
    Options {
        learn_members,
        policy,
        member_backoff: Backoff { base_ms: 20, max_ms: 100 },
        ..Options::default()
    }
}

fn calls(member: &Running) -> u64 {
    member.fake.calls.load(Ordering::SeqCst)
}

#[tokio::test]
async fn many_calls_are_in_flight_at_once_and_each_gets_its_answer() {
    let members = cluster(&[Script::Echo], 1).await;
    let client = Client::connect_with(endpoints(&members), options(true)).await.expect("it answers");
    let answers = futures::future::join_all((0..500).map(|n| {
        let client = client.clone();
        async move { (n, client.call_json("s", "o", &n.to_string()).await.expect("echo").value) }
    }));
    assert!(answers.await.into_iter().all(|(n, answer)| answer == n.to_string()));
}

#[tokio::test]
async fn calls_go_to_the_leader_whichever_member_was_named() {
    let members = cluster(&[Script::Echo, Script::Echo, Script::Echo], 3).await;
    let client = synod_client::connect(members[0].address.to_string()).await.expect("it answers");
    let answer = client.call_json("s", "o", "1").await.expect("echo");
    assert_eq!((answer.member_id, answer.revision), (3, 7));
    assert_eq!((calls(&members[0]), calls(&members[2])), (0, 1));
}

#[tokio::test]
async fn what_is_surely_not_applied_is_tried_on_the_next_member() {
    let members = cluster(&[Script::NotLeader, Script::Echo], 0).await;
    let client =
        Client::connect_with(endpoints(&members), options(false)).await.expect("nobody is contacted");
    assert_eq!(client.call_json("s", "o", "1").await.expect("the second answers").member_id, 2);
    assert_eq!(calls(&members[0]), 1);
}

#[tokio::test]
async fn a_member_that_is_down_is_passed_over() {
    let members = cluster(&[Script::Echo, Script::Echo], 0).await;
    members[0].task.abort();
    let down =
        TcpListener::bind("127.0.0.1:0").await.expect("a free port").local_addr().expect("it is bound");
    let client = Client::connect_with(format!("{down},{}", members[1].address), options(false))
        .await
        .expect("nobody is contacted");
    assert_eq!(client.call_json("s", "o", "1").await.expect("the second answers").member_id, 2);
}

#[tokio::test]
async fn a_call_whose_answer_is_lost_is_never_sent_again() {
    let members = cluster(&[Script::HangUp, Script::Echo], 0).await;
    let client =
        Client::connect_with(endpoints(&members), options(false)).await.expect("nobody is contacted");
    let error = client.call_json("s", "o", "1").await.expect_err("the stream ends");
    assert!(matches!(&error, Error::OutcomeUnknown(_)), "{error}");
    assert_eq!((calls(&members[0]), calls(&members[1])), (1, 0));
    assert_eq!(client.call_json("s", "o", "2").await.expect("the next call goes elsewhere").member_id, 2);
}

#[tokio::test]
async fn a_query_whose_answer_is_lost_is_asked_again_and_never_of_an_older_state() {
    let members = cluster(&[Script::HangUp, Script::Echo], 0).await;
    let client =
        Client::connect_with(endpoints(&members), options(false)).await.expect("nobody is contacted");
    let consistency = synod_client::api::Consistency::Linearizable;
    assert_eq!(client.query_json("s", "q", "{}", consistency).await.expect("the second answers").value, "0");
    assert_eq!(
        client.query_json("s", "q", "{}", consistency).await.expect("again").value,
        "7",
        "the revision seen before"
    );
}

#[tokio::test]
async fn a_refusal_is_told_at_once() {
    let members = cluster(&[Script::Reject, Script::Echo], 0).await;
    let client =
        Client::connect_with(endpoints(&members), options(false)).await.expect("nobody is contacted");
    let error = client.call_json("s", "o", "1").await.expect_err("refused");
    assert!(matches!(&error, Error::Refused(refused) if refused.reason == "UNKNOWN_SPACE"), "{error}");
    assert_eq!((calls(&members[0]), calls(&members[1])), (1, 0));
}

#[tokio::test]
async fn when_nobody_answers_it_is_unavailable_within_the_time() {
    let down =
        TcpListener::bind("127.0.0.1:0").await.expect("a free port").local_addr().expect("it is bound");
    let policy = Policy { give_up_ms: 200, backoff: Backoff { base_ms: 1, max_ms: 5 } };
    let began = std::time::Instant::now();
    let result = Client::connect_with(down.to_string(), Options { policy, ..options(true) }).await;
    let error = result.err().expect("nobody is there");
    assert!(matches!(&error, Error::Unavailable(why) if why.contains(&down.to_string())), "{error}");
    assert!(began.elapsed().as_millis() < 2_000, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_request_over_the_limit_is_refused_and_harms_no_other() {
    let members = cluster(&[Script::Echo], 1).await;
    let client =
        Client::connect_with(endpoints(&members), options(false)).await.expect("nobody is contacted");
    let large = "1".repeat(synod_api::REQUEST_BYTES + 1);
    let (refused, fine) = tokio::join!(client.call_json("s", "o", &large), client.call_json("s", "o", "1"));
    assert!(matches!(&refused, Err(Error::Refused(refusal)) if refusal.reason == "REQUEST_TOO_LARGE"));
    assert_eq!(fine.expect("echo").value, "1");
}
