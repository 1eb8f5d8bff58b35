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

fn named(id: u64, name: &str) -> (MemberId, MemberInfo) {
    (MemberId(id), MemberInfo { name: name.into(), ..MemberInfo::default() })
}

fn status(matched: u64) -> Status {
    let progress = PeerProgress { matched: Some(EntryId { term: 1, index: matched }) };
    Status {
        last_log_index: Some(1_000),
        voters: BTreeMap::from([named(1, "a"), named(2, "b"), named(3, "c")]),
        learners: BTreeMap::from([named(9, "c"), named(8, "d")]),
        peers: Some(BTreeMap::from([(MemberId(9), progress), (MemberId(8), progress)])),
        ..Status::default()
    }
}

#[test]
fn a_learner_takes_the_place_of_the_voter_of_its_name_when_it_has_caught_up() {
    assert_eq!(status(1_000).replaceable(), Some((MemberId(3), MemberId(9))));
    assert_eq!(status(936).replaceable(), Some((MemberId(3), MemberId(9))));
    assert_eq!(status(935).replaceable(), None);
    assert_eq!(Status { peers: None, ..status(1_000) }.replaceable(), None);
}
