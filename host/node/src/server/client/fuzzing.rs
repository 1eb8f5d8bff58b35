//! Arbitrary messages of clients, for [`crate::fuzzing`]: decoded as each request, and converted as
//! the services do. What needs a running member is not here.
use prost::Message;
use synod_api::v1::{
    BindSpaceRequest, CallRequest, CloseSessionRequest, KeepAliveRequest, OpenSessionRequest, QueryRequest,
    UnbindSpaceRequest, WatchRequest,
};
use synod_service::CallFailure;

use super::{context, convert, sessions, space_admin, watches};

/// A failure of a conversion is told to a client: it says what is wrong.
fn told<T>(result: Result<T, CallFailure>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(CallFailure::Rejected(rejected)) => {
            assert!(!rejected.message.is_empty(), "a rejection without a reason: {rejected:?}");
            None
        }
        Err(other) => panic!("a conversion needs nothing that can be unavailable: {other:?}"),
    }
}

/// A message of a client, taken for each request that has a conversion.
pub fn client_message(bytes: &[u8]) {
    if let Ok(request) = CallRequest::decode(bytes) {
        let acknowledged = request.context.as_ref().map_or(0, |context| context.acknowledged.len());
        let call = told(context::of_call(request.context, request.wait_ms)).flatten();
        if let Some(call) = call {
            assert!(call.request.request.acknowledged.len() <= acknowledged);
            assert!(call.request.request.acknowledged.is_sorted(), "acknowledged in order, each once");
        }
        let _args = convert::args(request.args);
    }
    if let Ok(request) = QueryRequest::decode(bytes) {
        told(context::of_query(&request.context.unwrap_or_default()));
        let _args = convert::args(request.args);
    }
    if let Ok(request) = WatchRequest::decode(bytes)
        && let Some(synod_api::v1::watch_request::Request::Create(create)) = request.request
    {
        told(watches::new_watch(create));
    }
    if let Ok(request) = OpenSessionRequest::decode(bytes) {
        told(sessions::new_session(request));
    }
    if let Ok(KeepAliveRequest { session, secret, tag: _ }) = KeepAliveRequest::decode(bytes) {
        told(context::session_key(&session, &secret, "session"));
    }
    if let Ok(CloseSessionRequest { session, .. }) = CloseSessionRequest::decode(bytes) {
        told(context::session_id(&session, "session"));
    }
    let bound = BindSpaceRequest::decode(bytes).map(|request| request.binding);
    let unbound = UnbindSpaceRequest::decode(bytes).map(|request| request.binding);
    for binding in [bound, unbound].into_iter().flatten() {
        told(space_admin::binding(binding));
    }
}

/// The value of a `grpc-timeout` header.
pub fn timeout_header(text: &str) {
    if let Some(timeout) = convert::grpc_timeout(text) {
        assert!(super::deadline::own_limit(timeout) <= timeout);
    }
}
