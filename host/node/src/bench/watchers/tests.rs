//! Unit tests of `watchers`.
use super::*;
use synod_client::api::{Event, WatchCancelled, WatchEvents, WatchUpdate};

fn events(topics: &[&str]) -> WatchReply {
    let events =
        topics.iter().map(|topic| Event { topic: (*topic).to_owned(), ..Event::default() }).collect();
    let update =
        WatchUpdate { watch_id: 1, update: Some(Update::Events(WatchEvents { events, partial: false })) };
    WatchReply { updates: vec![update], ..WatchReply::default() }
}

#[tokio::test]
async fn receipts_are_timed_by_their_topics() {
    let board = Board::new("bench-", 3);
    assert_eq!((board.topic(1), board.topic(5)), ("bench-1".to_owned(), "bench-2".to_owned()));
    board.send(1);
    board.receive(&events(&["bench-1", "bench-1", "bench-9", "else"]));
    assert_eq!((board.received(), board.take_latencies().total(), board.take_latencies().total()), (2, 2, 0));
    board.reach(2).await.expect("they are there");
}

#[tokio::test]
async fn a_cancelled_watch_ends_the_wait() {
    let board = Board::new("bench-", 1);
    let cancelled = WatchUpdate { watch_id: 7, update: Some(Update::Cancelled(WatchCancelled::default())) };
    board.receive(&WatchReply { updates: vec![cancelled], ..WatchReply::default() });
    assert!(board.reach(1).await.is_err_and(|failed| failed.message.contains("watch 7 was cancelled")));
}
