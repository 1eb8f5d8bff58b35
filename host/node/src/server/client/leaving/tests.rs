//! Unit tests of `leaving`.
use futures::channel::oneshot;
use futures::stream;

use super::*;

fn leaving(told: oneshot::Receiver<()>) -> BoxFuture<'static, Status> {
    told.map(|_| Status::unavailable("gone")).boxed()
}

#[tokio::test]
async fn replies_that_never_end_are_ended_with_the_reason() {
    let (tell, told) = oneshot::channel();
    let endless = stream::iter([Ok(1), Ok(2)]).chain(stream::pending());
    let mut replies = Leaving::new(endless, leaving(told));
    assert_eq!(replies.next().await.expect("a reply").expect("a number"), 1);
    assert_eq!(replies.next().await.expect("a reply").expect("a number"), 2);
    assert!(replies.next().now_or_never().is_none());
    tell.send(()).expect("it listens");
    let last = replies.next().await.expect("the reason");
    assert_eq!(last.expect_err("it is a status").message(), "gone");
    assert!(replies.next().await.is_none());
}

#[tokio::test]
async fn replies_that_end_by_themselves_end_without_a_reason() {
    let (_tell, told) = oneshot::channel();
    let mut replies = Leaving::new(stream::iter([Ok(1)]), leaving(told));
    assert!(replies.next().await.is_some_and(|reply| reply.is_ok()));
    assert!(replies.next().await.is_none());
    assert!(replies.next().await.is_none());
}
