//! Requests whose clients say how long they wait (`grpc-timeout`) end in that time with
//! DEADLINE_EXCEEDED, whatever they wait for.
//!
//! What the member knows by then stands in the details: surely not applied, or unknown. tonic would
//! end the request at that time with CANCELLED and say nothing, so this is a little sooner. Streams
//! are held to it until they are open.
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::BoxFuture;
use synod_abi::Reason;
use synod_api::status_of_failure;
use synod_api::v1::Failure;
use synod_api::v1::failure::Kind;
use tonic::Code;
use tonic::body::Body;
use tonic::codegen::http::{HeaderValue, Request, Response};
use tower::{Layer, Service};

use super::convert::grpc_timeout;

/// A member's own limits for a request end this part of its time, and at most [`MARGIN`], sooner.
const MARGIN_PART: u32 = 8;
/// See [`MARGIN_PART`].
const MARGIN: Duration = Duration::from_millis(20);
/// The header of a response that has its status.
const STATUS: &str = "grpc-status";

fn margin(asked: Duration) -> Duration {
    (asked / MARGIN_PART).min(MARGIN)
}

/// How long the member may take for a request whose client waits for `asked`.
pub(super) fn own_limit(asked: Duration) -> Duration {
    asked - margin(asked)
}

/// Adds [`Deadline`] to all services.
#[derive(Clone, Copy, Debug)]
pub(super) struct DeadlineLayer;

impl<S> Layer<S> for DeadlineLayer {
    type Service = Deadline<S>;

    fn layer(&self, inner: S) -> Deadline<S> {
        Deadline(inner)
    }
}

/// A service whose requests end in the time that their clients ask for.
#[derive(Clone, Debug)]
pub(super) struct Deadline<S>(S);

impl<S, B> Service<Request<B>> for Deadline<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let header = request.headers().get("grpc-timeout");
        let asked = header.and_then(|value| value.to_str().ok()).and_then(grpc_timeout);
        let answer = self.0.call(request);
        let Some(asked) = asked else { return answer.boxed() };
        let began = Instant::now();
        async move {
            let limit = asked - margin(asked) / 2;
            let Ok(answer) = tokio::time::timeout(limit, answer).await else { return Ok(late()) };
            Ok(if began.elapsed() >= own_limit(asked) { named(answer?) } else { answer? })
        }
        .boxed()
    }
}

/// The response to a request of which nothing is known in time.
fn late() -> Response<Body> {
    let failure = Failure {
        kind: Kind::OutcomeUnknown.into(),
        reason: Reason::OutcomeUnknown.into(),
        message: "the time that the client gave the request is over; whether it was applied is unknown"
            .into(),
        status_code: Code::DeadlineExceeded as u32,
        ..Failure::default()
    };
    status_of_failure(&failure).into_http()
}

/// The same response; one that failed for want of time says so.
fn named(mut response: Response<Body>) -> Response<Body> {
    let wants_time = [Code::Unavailable, Code::Unknown].map(|code| (code as i32).to_string());
    if let Some(status) = response.headers_mut().get_mut(STATUS)
        && wants_time.iter().any(|code| code.as_bytes() == status.as_bytes())
    {
        *status = HeaderValue::from(Code::DeadlineExceeded as i32);
    }
    response
}

#[cfg(test)]
mod tests;
