//! Unit tests of `inbox`.
use super::*;

#[test]
fn it_is_bounded_in_bytes_and_marks_take_one_place() {
    let whole = |bytes| Heard::Events(Whole { revision: 1, events: Vec::new(), bytes });
    let mark = |revision| Heard::Progress { revision, time_ms: 0 };
    let mut inbox = Inbox::default();
    inbox.push(whole(INBOX_BYTES - 1));
    assert!(!inbox.is_full() && !inbox.has_room());
    inbox.push(whole(9));
    assert!(inbox.is_full());
    inbox.push(mark(1));
    inbox.push(mark(2));
    assert_eq!(
        (inbox.pop(), inbox.pop(), inbox.pop(), inbox.pop()),
        (Some(whole(INBOX_BYTES - 1)), Some(whole(9)), Some(mark(2)), None)
    );
    assert!(inbox.has_room());
}
