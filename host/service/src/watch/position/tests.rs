//! Unit tests of `position`: what a poll and a publication make of each position.
use super::*;

fn at(revision: u64) -> EventPosition {
    EventPosition::at(Revision(revision))
}

#[test]
fn a_publication_queues_a_watch_that_follows_and_is_remembered_by_one_in_hand() {
    let mut position = Position::Following(at(3));
    assert!(position.publish(at(7)));
    assert_eq!(position, Position::Queued(Next::From(at(7))));
    assert!(!position.publish(at(8)), "it is queued already");
    assert_eq!(position.take_in_hand(), Some(Next::From(at(7))));
    assert_eq!(position.take_in_hand(), None, "one poll has it in hand");
    assert!(!position.publish(at(9)));
    assert_eq!(position, Position::Overtaken(Next::From(at(7))));
}

#[test]
fn a_watch_follows_only_if_nothing_was_published_meanwhile_and_no_revision_is_open() {
    let from = Next::From(at(7));
    let rest = Next::Rest(EventPosition { number: 2, ..at(6) });
    for (before, next, after) in [
        (Position::InHand(from), Next::From(at(9)), Position::Following(at(9))),
        (Position::Overtaken(from), Next::From(at(9)), Position::Queued(Next::From(at(9)))),
        (Position::InHand(from), rest, Position::Queued(rest)),
    ] {
        let mut position = before;
        assert_eq!(position.catch_up(next), matches!(after, Position::Following(_)));
        assert_eq!(position, after);
    }
}

#[test]
fn a_watch_resumes_at_the_next_event_that_it_does_not_have() {
    let published = Revision(9);
    assert_eq!(Position::Following(at(3)).resume(published), Revision(10));
    assert_eq!(Position::Following(at(12)).resume(published), Revision(12));
    assert_eq!(Position::Queued(Next::From(at(5))).resume(published), Revision(5));
    let part = Next::Rest(EventPosition { number: 4, ..at(5) });
    assert_eq!(Position::InHand(part).resume(published), Revision(5), "a part is sent again");
}
