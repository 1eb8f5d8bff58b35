//! Unit tests of `standing`.
use super::*;

#[test]
fn an_empty_folder_takes_nothing_then_entries_then_votes() {
    let standing = Standing::new(true);
    assert!(standing.check_entries().is_err() && standing.check_vote().is_err());
    standing.allow_entries();
    assert!(standing.check_entries().is_ok() && standing.check_vote().is_err() && !standing.is_full());
    standing.allow_everything();
    standing.allow_entries();
    assert!(standing.check_entries().is_ok() && standing.check_vote().is_ok() && standing.is_full());
}

#[test]
fn a_member_that_remembers_takes_part_at_once() {
    assert!(Standing::new(false).check_vote().is_ok());
}
