//! Unit tests of `participation`.
use super::*;

#[test]
fn an_empty_folder_takes_nothing_then_entries_then_votes() {
    let participation = Participation::new(true);
    assert!(participation.check_entries().is_err() && participation.check_vote().is_err());
    participation.allow_entries();
    assert!(
        participation.check_entries().is_ok()
            && participation.check_vote().is_err()
            && !participation.is_full()
    );
    participation.allow_everything();
    participation.allow_entries();
    assert!(
        participation.check_entries().is_ok()
            && participation.check_vote().is_ok()
            && participation.is_full()
    );
}

#[test]
fn a_member_that_remembers_takes_part_at_once() {
    assert!(Participation::new(false).check_vote().is_ok());
}
