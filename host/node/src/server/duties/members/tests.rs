//! Unit tests of `members`.
use synod_consensus::{EntryId, PeerProgress};

use super::*;

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
    assert_eq!(replaceable(&status(1_000)), Some((MemberId(3), MemberId(9), "c".to_owned())));
    assert_eq!(replaceable(&status(936)), Some((MemberId(3), MemberId(9), "c".to_owned())));
    assert_eq!(replaceable(&status(935)), None);
    assert_eq!(replaceable(&Status { peers: None, ..status(1_000) }), None);
}
