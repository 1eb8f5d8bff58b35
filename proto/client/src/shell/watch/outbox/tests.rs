//! Unit tests of `outbox`.
use tokio_stream::StreamExt;

use super::*;

fn create(watch_id: u64) -> CreateWatch {
    CreateWatch { watch_id, ..CreateWatch::default() }
}

#[tokio::test]
async fn what_was_taken_back_never_leaves_and_what_left_is_cancelled() {
    let outbox = Arc::new(Outbox::default());
    let mut outgoing = Outgoing(Arc::clone(&outbox));
    outbox.create(create(1));
    outbox.create(create(2));
    outbox.cancel(1);
    outbox.request_progress();
    assert_eq!(outgoing.next().await.and_then(|sent| sent.request), Some(Request::Create(create(2))));
    outbox.cancel(2);
    assert_eq!(
        outgoing.next().await.and_then(|sent| sent.request),
        Some(Request::Cancel(CancelWatch { watch_id: 2 }))
    );
    assert_eq!(
        outgoing.next().await.and_then(|sent| sent.request),
        Some(Request::Progress(RequestProgress {}))
    );
    outbox.create(create(3));
    outbox.close();
    assert_eq!(outgoing.next().await, None);
}
