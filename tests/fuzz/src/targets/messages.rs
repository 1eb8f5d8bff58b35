//! Protobuf messages, of every service.
//!
//! A message that decodes is encoded, and must decode to the same; then the node's own checks and
//! conversions are run on it.
use prost::Message;
use synod_abi::Reason;
use synod_api::{failure_of_status, peer as between, status_of_failure, v1};
use v1::value::Form;

fn again<M: Message + Default + PartialEq>(bytes: &[u8]) {
    let Ok(message) = M::decode(bytes) else { return };
    let encoded = message.encode_to_vec();
    assert_eq!(encoded.len(), message.encoded_len(), "a length that is not the message's");
    let second = M::decode(encoded.as_slice()).expect("what prost encodes, it decodes");
    assert!(second == message, "a message that is another one when it is encoded");
}

macro_rules! messages {
    ($every:ident, $names:ident, $package:ident: $($message:ident),* $(,)?) => {
        /// Every message of the package.
        pub(super) const $names: &[&str] = &[$(stringify!($message)),*];

        fn $every(bytes: &[u8]) {
            $(again::<$package::$message>(bytes);)*
        }
    };
}

messages! {
    every_client, CLIENT, v1:
        Value, Context, Header, CallRequest, CallReply, QueryRequest, QueryReply, Failure,
        WatchRequest, CreateWatch, WatchQuery, CancelWatch, RequestProgress, WatchReply,
        WatchUpdate, WatchCreated, WatchEvents, Event, WatchProgress, WatchCancelled,
        OpenSessionRequest, OpenSessionReply, KeepAliveRequest, KeepAliveReply,
        CloseSessionRequest, CloseSessionReply, SessionInfo, DescribeSessionRequest,
        DescribeSessionReply, ListSessionsRequest, ListSessionsReply, CancelRequest, CancelReply,
        SessionBounds, SessionBoundsRequest, SessionBoundsReply, SetSessionBoundsRequest,
        SetSessionBoundsReply, RecipeRef, RecipeInfo, InstallRequest, InstallReply,
        ListRecipesRequest, ListRecipesReply, DescribeRecipeRequest, DescribeRecipeReply,
        LogsRequest, LogLine, RemoveRecipeRequest, RemoveRecipeReply, SpaceInfo, EventLog,
        Retention, Binding, DescribeSpaceRequest, DescribeSpaceReply, BindSpaceRequest,
        BindSpaceReply, UnbindSpaceRequest, UnbindSpaceReply, SetRetentionRequest,
        SetRetentionReply, CompactRequest, CompactReply, HookFailures, OwedHook, OwedTimer,
        OwedCancel, OwedHooksRequest, OwedHooksReply, SettleHookRequest, SettleHookReply,
        CreateSpaceRequest, CreateSpaceReply, ListSpacesRequest, ListSpacesReply,
        UpgradeSpaceRequest, UpgradeSpaceReply, DeleteSpaceRequest, DeleteSpaceReply,
        StatusRequest, StatusReply, MemberStatus, Environment, ScrubStatus, Counts,
        MembersRequest, MembersReply, Member, DigestAtRequest, DigestAtReply, ScrubRequest, ScrubReply,
        StartedScrub,
}

messages! {
    every_peer, PEER, between:
        Route, Frame, ReadIndexRequest, ReadIndexReply, TouchRequest, TouchReply, ClocksRequest,
        ClocksReply, DigestsRequest, DigestsReply, Digests, PeerScrubRequest, PeerScrubReply,
        PrepareChunk, PrepareReply, HelloRequest, Place, HelloReply, PromiseRequest, PromiseReply,
        ReplaceRequest, ReplaceReply, MemberStatusRequest, MemberStatusReply,
}

/// The messages that are tried, by package.
pub(super) const KNOWN: [(&str, &[&str]); 2] = [("synod.v1", CLIENT), ("synod.peer.v1", PEER)];

pub(super) fn client(bytes: &[u8]) {
    every_client(bytes);
    synod::fuzzing::client_message(bytes);
}

pub(super) fn peer(bytes: &[u8]) {
    every_peer(bytes);
    synod::fuzzing::peer_message(bytes);
}

/// The details of a status that a server, or a proxy, sent.
pub(super) fn status(bytes: &[u8]) {
    let status =
        tonic::Status::with_details(tonic::Code::Unavailable, "told by a server", bytes.to_vec().into());
    let Some(failure) = failure_of_status(&status) else { return };
    assert!(!failure.message.is_empty(), "a failure without a message");
    let sent = status_of_failure(&failure);
    assert!(sent.details().len() <= 16 * 1_024, "details that fit no header: {}", sent.details().len());
    let again = failure_of_status(&sent).expect("what is sent is read");
    assert_eq!((again.kind, &again.reason), (failure.kind, &failure.reason));
    let _known = failure.known_reason();
}

fn failure() -> v1::Failure {
    v1::Failure {
        kind: v1::failure::Kind::Rejected.into(),
        reason: Reason::InvalidArguments.into(),
        message: "the arguments do not fit".to_owned(),
        field: "$.key".to_owned(),
        status_code: 3,
        ..v1::Failure::default()
    }
}

fn context() -> v1::Context {
    v1::Context {
        session: vec![1; 16],
        secret: vec![2; 16],
        request_id: 7,
        acknowledged_below: 3,
        after: 6,
        acknowledged: vec![4, 5],
        at_least_revision: 100,
        user: 9,
    }
}

fn json(text: &str) -> Option<v1::Value> {
    Some(v1::Value { form: Some(Form::Json(text.to_owned())), signature: 0 })
}

/// Requests that the node converts, and replies that a client reads.
pub(super) fn client_seeds() -> Vec<Vec<u8>> {
    let postcard = Some(v1::Value { form: Some(Form::Postcard(vec![3, 1, 2, 3])), signature: 99 });
    let call = v1::CallRequest {
        space: "locks".to_owned(),
        operation: "acquire".to_owned(),
        args: json(r#"{"name": "db"}"#),
        context: Some(context()),
        wait_ms: Some(5_000),
        ..v1::CallRequest::default()
    };
    let query = v1::QueryRequest {
        space: "kv".to_owned(),
        query: "get".to_owned(),
        args: postcard,
        context: Some(context()),
        ..v1::QueryRequest::default()
    };
    let start = v1::WatchQuery { query: "get".to_owned(), args: json("{}"), context: Some(context()) };
    let create = v1::CreateWatch {
        watch_id: 1,
        space: "kv".to_owned(),
        topic: "config/".to_owned(),
        prefix: true,
        start: Some(v1::create_watch::Start::Query(start)),
        signature: 77,
        space_id: 3,
        ..v1::CreateWatch::default()
    };
    let watch = v1::WatchRequest { request: Some(v1::watch_request::Request::Create(create)) };
    let open = v1::OpenSessionRequest {
        nonce: vec![5; 16],
        secret: vec![6; 16],
        ttl_ms: 10_000,
        label: "a client".to_owned(),
        ..v1::OpenSessionRequest::default()
    };
    let binding = v1::Binding {
        space: "audit".to_owned(),
        source: "kv".to_owned(),
        topic: "config/".to_owned(),
        prefix: true,
        ..v1::Binding::default()
    };
    let bind = v1::BindSpaceRequest { binding: Some(binding) };
    let event = v1::Event {
        revision: 5,
        number: 1,
        time_ms: 1_000,
        topic: "config/a".to_owned(),
        payload: json("1"),
        ..v1::Event::default()
    };
    let alive = v1::KeepAliveRequest { session: vec![1; 16], secret: vec![2; 16], tag: 8 };
    vec![
        call.encode_to_vec(),
        query.encode_to_vec(),
        watch.encode_to_vec(),
        open.encode_to_vec(),
        bind.encode_to_vec(),
        event.encode_to_vec(),
        v1::WatchEvents { events: vec![event.clone(), event], partial: false }.encode_to_vec(),
        alive.encode_to_vec(),
        failure().encode_to_vec(),
    ]
}

/// Messages between members that are checked.
pub(super) fn peer_seeds() -> Vec<Vec<u8>> {
    let route = Some(between::Route { cluster_id: vec![7; 16].into(), from: 41, to: 42 });
    let frame = between::Frame { route: route.clone(), payload: vec![1, 2, 3].into(), sequence: 5 };
    let place = between::Place { peer_address: "10.0.0.1:7001".to_owned(), ..between::Place::default() };
    let hello = between::HelloRequest {
        route: route.clone(),
        name: "b".to_owned(),
        version: "0.1.0".to_owned(),
        peers: vec!["a=10.0.0.1:7001".to_owned()],
        place: Some(place),
    };
    let digests = between::Digests { index: 9, chain: vec![1; 32].into(), state: vec![2; 32].into() };
    vec![
        frame.encode_to_vec(),
        hello.encode_to_vec(),
        between::TouchRequest { route: route.clone(), sessions: vec![3; 48].into() }.encode_to_vec(),
        between::DigestsRequest { route, own: Some(digests) }.encode_to_vec(),
    ]
}
