//! Unit tests of `deadline`: a service that answers at once, when its time is over, or never.
use std::convert::Infallible;

use tonic::Status;

use super::*;

/// Answers with a status of this code after a while; with none never.
#[derive(Clone, Copy)]
struct Answers(Option<Code>, Duration);

impl Service<Request<()>> for Answers {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        let Self(code, after) = *self;
        async move {
            let Some(code) = code else { return std::future::pending().await };
            tokio::time::sleep(after).await;
            Ok(Status::new(code, "m").into_http())
        }
        .boxed()
    }
}

async fn answered(answers: Answers, asked: &str) -> Code {
    let mut request = Request::new(());
    request.headers_mut().insert("grpc-timeout", asked.parse().expect("a header"));
    let response = DeadlineLayer.layer(answers).call(request).await.expect("it cannot fail");
    Code::from_bytes(response.headers().get(STATUS).expect("it failed").as_bytes())
}

#[tokio::test]
async fn what_fails_for_want_of_time_says_so_and_what_fails_otherwise_does_not() {
    let own = own_limit(Duration::from_millis(200));
    assert_eq!(answered(Answers(None, own), "200m").await, Code::DeadlineExceeded);
    assert_eq!(answered(Answers(Some(Code::Unavailable), own), "200m").await, Code::DeadlineExceeded);
    for code in [Code::NotFound, Code::Unavailable] {
        assert_eq!(answered(Answers(Some(code), Duration::ZERO), "60S").await, code, "it had more time");
    }
}
