//! Sessions that are none, are another's, or are used wrongly: typed errors over the wire, and
//! nothing left behind.
use futures::StreamExt;
use synod_api::v1::sessions_client::SessionsClient;
use synod_api::v1::spaces_client::SpacesClient;
use synod_api::v1::value::Form;
use synod_api::v1::{
    CallReply, CallRequest, CancelRequest, CloseSessionRequest, Context, Failure, KeepAliveRequest,
    OpenSessionRequest, QueryRequest, TtlPolicy, Value,
};
use synod_tests::cluster::Cluster;
use tonic::transport::Channel;
use tonic::{Code, Status};

const SECRET: [u8; 16] = [7; 16];

/// The surface as another language sees it: one member's generated stubs.
struct Raw {
    spaces: SpacesClient<Channel>,
    sessions: SessionsClient<Channel>,
}

impl Raw {
    async fn connect(cluster: &Cluster) -> Self {
        let address = format!("http://{}", cluster.members[0].client_address);
        Self {
            spaces: SpacesClient::connect(address.clone()).await.expect("the member listens"),
            sessions: SessionsClient::connect(address).await.expect("the member listens"),
        }
    }

    async fn open(&mut self, nonce: u8, ttl_ms: u64) -> Result<Vec<u8>, Status> {
        let request = OpenSessionRequest {
            nonce: vec![nonce; 16],
            secret: SECRET.to_vec(),
            ttl_ms,
            ..OpenSessionRequest::default()
        };
        Ok(self.sessions.open(request).await?.into_inner().session)
    }

    async fn call(
        &mut self,
        space: &str,
        operation: &str,
        json: &str,
        context: Context,
    ) -> Result<CallReply, Status> {
        Ok(self.spaces.call(request(space, operation, json, context)).await?.into_inner())
    }
}

fn request(space: &str, operation: &str, json: &str, context: Context) -> CallRequest {
    let args = Some(Value { form: Some(Form::Json(json.to_owned())), signature: 0 });
    CallRequest {
        space: space.to_owned(),
        operation: operation.to_owned(),
        args,
        context: Some(context),
        ..CallRequest::default()
    }
}

fn context(session: &[u8], request_id: u64) -> Context {
    Context { session: session.to_vec(), secret: SECRET.to_vec(), request_id, ..Context::default() }
}

/// The typed failure in a status, which also has a message for people.
fn failure(status: &Status) -> Failure {
    assert!(!status.message().is_empty());
    synod_api::failure_of_status(status).unwrap_or_else(|| panic!("no failure in {status:?}"))
}

#[track_caller]
fn refused<T: std::fmt::Debug>(answer: Result<T, Status>, code: Code, reason: &str) -> Failure {
    let status = answer.expect_err(reason);
    let failure = failure(&status);
    assert_eq!((status.code(), failure.reason.as_str()), (code, reason), "{status}");
    failure
}

const ADD: &str = r#"{"key": "a", "by": 1}"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_are_none_or_anothers_are_refused_and_change_nothing() {
    let cluster = Cluster::started(1, &[]).await;
    let mut raw = Raw::connect(&cluster).await;
    let session = raw.open(1, 60_000).await.expect("it opens");
    assert_eq!(raw.open(1, 60_000).await.expect("the same nonce"), session);

    let unknown = raw.call("counter", "add", ADD, context(&[9; 16], 1)).await;
    refused(unknown, Code::FailedPrecondition, "SESSION_EXPIRED");
    let short = raw.call("counter", "add", ADD, context(&[9; 3], 1)).await;
    refused(short, Code::InvalidArgument, "INVALID_ARGUMENTS");
    let wrong = Context { secret: vec![8; 16], ..context(&session, 1) };
    refused(raw.call("counter", "add", ADD, wrong.clone()).await, Code::PermissionDenied, "WRONG_SECRET");
    let query = QueryRequest {
        space: "counter".into(),
        query: "get".into(),
        context: Some(wrong),
        ..QueryRequest::default()
    };
    refused(raw.spaces.query(query).await, Code::PermissionDenied, "WRONG_SECRET");
    let cancel = CancelRequest { session: session.clone(), secret: vec![8; 16], request_id: 1 };
    refused(raw.sessions.cancel(cancel).await, Code::PermissionDenied, "WRONG_SECRET");

    raw.sessions.close(CloseSessionRequest { session: session.clone() }).await.expect("it closes");
    refused(
        raw.call("counter", "add", ADD, context(&session, 1)).await,
        Code::FailedPrecondition,
        "SESSION_EXPIRED",
    );
    refused(
        raw.sessions.close(CloseSessionRequest { session }).await,
        Code::FailedPrecondition,
        "SESSION_EXPIRED",
    );
    let rest = raw
        .call("counter", "add", r#"{"key": "a", "by": 0}"#, Context::default())
        .await
        .expect("the member serves the next request");
    assert_eq!(
        rest.result.and_then(|value| value.form),
        Some(Form::Json("\"0\"".into())),
        "nothing was counted"
    );
    cluster.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_are_used_wrongly_are_refused_and_counted_once() {
    let cluster = Cluster::started(1, &[]).await;
    let mut raw = Raw::connect(&cluster).await;
    let session = raw.open(1, 60_000).await.expect("it opens");
    let first = raw.call("counter", "add", ADD, context(&session, 5)).await.expect("it counts");
    let again =
        raw.call("counter", "add", ADD, context(&session, 5)).await.expect("a retry has the same outcome");
    assert_eq!(
        (&first.result, first.header.as_ref().map(|h| h.revision)),
        (&again.result, again.header.as_ref().map(|h| h.revision))
    );
    let other = raw.call("counter", "add", r#"{"key": "a", "by": 2}"#, context(&session, 5)).await;
    refused(other, Code::InvalidArgument, "REQUEST_REUSED");
    refused(
        raw.call("counter", "add", ADD, context(&session, 0)).await,
        Code::InvalidArgument,
        "INVALID_ARGUMENTS",
    );
    let ahead = Context { acknowledged_below: 9, ..context(&session, 6) };
    refused(raw.call("counter", "add", ADD, ahead).await, Code::InvalidArgument, "INVALID_REQUEST");
    let itself = Context { after: 6, ..context(&session, 6) };
    refused(raw.call("counter", "add", ADD, itself).await, Code::InvalidArgument, "INVALID_REQUEST");
    let early = Context { after: 6, ..context(&session, 7) };
    refused(raw.call("counter", "add", ADD, early).await, Code::Unavailable, "OUT_OF_ORDER");
    let acknowledged = Context { acknowledged_below: 8, ..context(&session, 8) };
    raw.call("counter", "add", ADD, acknowledged).await.expect("it counts");
    refused(
        raw.call("counter", "add", ADD, context(&session, 5)).await,
        Code::FailedPrecondition,
        "ALREADY_ACKNOWLEDGED",
    );

    refused(
        raw.call("lock", "acquire", r#"{"name": "x"}"#, Context::default()).await,
        Code::FailedPrecondition,
        "RECIPE_ERROR",
    );
    let waits = CallRequest { wait_ms: Some(5), ..request("counter", "add", ADD, Context::default()) };
    refused(raw.spaces.call(waits).await, Code::InvalidArgument, "INVALID_ARGUMENTS");
    raw.sessions.close(CloseSessionRequest { session }).await.expect("it closes");
    let total = raw
        .call("counter", "add", r#"{"key": "a", "by": 0}"#, Context::default())
        .await
        .expect("the member serves on");
    assert_eq!(total.result.and_then(|value| value.form), Some(Form::Json("\"2\"".into())));
    cluster.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn times_to_live_out_of_bounds_are_refused_with_the_bounds_unless_the_nearest_will_do() {
    let cluster = Cluster::started(1, &[]).await;
    let mut raw = Raw::connect(&cluster).await;
    for (nonce, ttl_ms) in [(1, 1), (2, u64::MAX)] {
        let failure = refused(raw.open(nonce, ttl_ms).await, Code::OutOfRange, "TTL_OUT_OF_BOUNDS");
        assert!(failure.message.contains("2000 to 3600000"), "{}", failure.message);
    }
    let mut nearest = OpenSessionRequest {
        nonce: vec![3; 16],
        secret: SECRET.to_vec(),
        ttl_ms: 1,
        ..OpenSessionRequest::default()
    };
    nearest.set_ttl_policy(TtlPolicy::Nearest);
    let reply = raw.sessions.open(nearest).await.expect("it opens").into_inner();
    assert_eq!(reply.ttl_ms, 2_000);
    let nameless = OpenSessionRequest { nonce: vec![3; 2], ..OpenSessionRequest::default() };
    refused(raw.sessions.open(nameless).await, Code::InvalidArgument, "INVALID_ARGUMENTS");
    let long = "l".repeat(synod_abi::limits::SESSION_LABEL_BYTES + 1);
    let long = OpenSessionRequest {
        nonce: vec![4; 16],
        secret: SECRET.to_vec(),
        label: long,
        ..OpenSessionRequest::default()
    };
    refused(raw.sessions.open(long).await, Code::ResourceExhausted, "LABEL_TOO_LONG");
    raw.sessions.close(CloseSessionRequest { session: reply.session }).await.expect("it closes");
    cluster.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_bad_touch_does_not_end_the_stream_that_keeps_others_alive() {
    let cluster = Cluster::started(1, &[]).await;
    let mut raw = Raw::connect(&cluster).await;
    let session = raw.open(1, 60_000).await.expect("it opens");
    let touch = |session: &[u8], secret: u8, tag| KeepAliveRequest {
        session: session.to_vec(),
        secret: vec![secret; 16],
        tag,
    };
    let touches = [touch(&session, 8, 1), touch(&[9; 16], 7, 2), touch(&[1], 7, 3), touch(&session, 7, 4)];
    let mut replies =
        raw.sessions.keep_alive(futures::stream::iter(touches)).await.expect("a stream").into_inner();
    let mut seen = Vec::new();
    while let Some(reply) = replies.next().await {
        let reply = reply.expect("the stream goes on");
        seen.push((reply.tag, reply.ttl_ms, reply.ended, reply.failure.map(|failure| failure.reason)));
    }
    seen.sort();
    let failed = |reason: &str| Some(reason.to_owned());
    assert_eq!(seen[0], (1, 0, false, failed("WRONG_SECRET")));
    assert_eq!((seen[1].0, seen[1].2), (2, true));
    assert_eq!(seen[2], (3, 0, false, failed("INVALID_ARGUMENTS")));
    assert_eq!(seen[3], (4, 60_000, false, None));
    raw.sessions.close(CloseSessionRequest { session }).await.expect("it closes");
    cluster.nothing_left().await;
}
