//! Unit tests of `hand_over`.
use std::collections::BTreeMap;

use synod_consensus::{EntryId, MemberInfo};

use super::*;

/// A leader 1 with 5,000 entries, of which it has purged 4,500, and two others that have so many.
fn status(second: u64, third: u64) -> Status {
    let entry = |index| Some(EntryId { term: 1, index });
    let peer = |id, matched| (MemberId(id), PeerProgress { matched: entry(matched) });
    Status {
        last_log_index: Some(5_000),
        purged: entry(4_500),
        voters: BTreeMap::from([1, 2, 3].map(|id| (MemberId(id), MemberInfo::default()))),
        peers: Some(BTreeMap::from([peer(1, 5_000), peer(2, second), peer(3, third), peer(4, 5_000)])),
        ..Status::default()
    }
}

#[test]
fn heirs_are_voters_that_lack_little_and_whoever_has_most_comes_first() {
    let heirs =
        |status: &Status| heirs_of(MemberId(1), status).into_iter().map(|id| id.0).collect::<Vec<_>>();
    assert_eq!(heirs(&status(4_900, 5_000)), [3, 2]);
    assert_eq!(heirs(&status(4_500, 4_499)), [2], "what the third lacks was purged");
    assert_eq!(heirs(&Status { purged: None, ..status(4_000, 3_999) }), [2], "the third lacks too much");
    assert_eq!(heirs(&Status { peers: None, ..status(5_000, 5_000) }), [] as [u64; 0]);
}
