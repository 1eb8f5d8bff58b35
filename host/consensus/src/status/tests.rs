//! Unit tests of `status`.
use super::*;

#[test]
fn a_voter_of_the_second_set_alone_is_joining() {
    let set = |ids: &[u64]| ids.iter().copied().collect::<BTreeSet<u64>>();
    let found = |sets: &[BTreeSet<u64>]| joining(sets).into_iter().map(|id| id.0).collect::<Vec<_>>();
    assert_eq!(found(&[]), Vec::<u64>::new());
    assert_eq!(found(&[set(&[1, 2, 3])]), Vec::<u64>::new());
    assert_eq!(found(&[set(&[1, 2, 3]), set(&[1, 2, 4])]), [4]);
}
