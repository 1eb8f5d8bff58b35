//! Unit tests of `book`.
use super::*;

fn record(index: u64, length: usize) -> LogRecord {
    LogRecord { index, bytes: vec![0; length].into() }
}

fn indexes(source: Source) -> Vec<u64> {
    match source {
        Source::Memory(records) => records.iter().map(|record| record.index).collect(),
        Source::Disk { range, .. } => range.collect(),
        Source::End => Vec::new(),
    }
}

#[test]
fn what_is_not_written_stays_in_memory_and_what_is_goes_when_it_does_not_fit() {
    let mut book = Book::new(0, None, None, 300);
    for index in 0..6 {
        book.append(&[record(index, 100)], index + 1).expect("in order");
    }
    book.evict(0);
    assert!(matches!(book.source(0, 6, usize::MAX), Source::Memory(records) if records.len() == 6));
    book.evict(3);
    assert_eq!(indexes(book.source(0, 6, usize::MAX)), [0, 1, 2]);
    assert_eq!(indexes(book.source(3, 6, usize::MAX)), [3, 4, 5]);
    book.evict(6);
    assert_eq!(indexes(book.source(0, 6, usize::MAX)), [0, 1, 2, 3, 4]);
    assert_eq!((book.sequence_of(2), book.sequence_of(5), book.sequence_of(6)), (0, 6, 0));
}

#[test]
fn cutting_says_what_must_go_from_the_disk() {
    let mut book = Book::new(3, Some(record(9, 1)), None, 1_000);
    assert_eq!(book.truncate_from(20), 10..10);
    assert_eq!(book.truncate_from(7), 7..10);
    assert_eq!(book.last(), Some(Err(6)));
    assert!(book.append(&[record(8, 1)], 1).is_err());
    assert_eq!(book.truncate_from(0), 3..7);
    assert_eq!(book.last(), None);
}

#[test]
fn a_purge_beyond_the_end_empties_the_log_and_what_was_not_written_is_waited_for() {
    let mut book = Book::new(0, None, None, 1_000);
    book.append(&[record(0, 1), record(1, 1)], 7).expect("in order");
    assert!(book.purge(50, [1].into()) && !book.purge(50, [2].into()));
    assert_eq!((book.first(), book.last(), book.sequence_of(1)), (51, None, 7));
    book.append(&[record(51, 1)], 8).expect("goes on behind");
    assert_eq!(indexes(book.source(51, 99, 0)), [51]);
}

#[test]
fn a_state_from_elsewhere_ends_the_log_or_keeps_what_follows_it() {
    let filled = || {
        let mut book = Book::new(0, None, None, 1_000);
        book.append(&[record(0, 1), record(1, 1), record(2, 1)], 7).expect("in order");
        book.purge(0, [1].into());
        book
    };
    let mut book = filled();
    assert_eq!(book.install(1, [9].into(), true), 2);
    assert_eq!((book.first(), book.last(), book.next_purge()), (2, Some(Ok(record(2, 1))), None));
    assert_eq!(book.purged(), Some(&(1, [9].into())));
    let mut book = filled();
    assert_eq!(book.install(1, [9].into(), false), 3);
    assert_eq!((book.first(), book.last()), (2, None));
    book.append(&[record(2, 1)], 8).expect("goes on behind");
    let mut book = filled();
    assert_eq!(book.install(50, [9].into(), false), 51);
    assert_eq!((book.first(), book.last()), (51, None));
}
