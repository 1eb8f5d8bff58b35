//! Unit tests of `forward`.
use synod_abi::{OperationId, SpaceId};
use synod_machine::Origin;

use super::*;
use crate::propose::packing::{Repeat, Sharing};

#[test]
fn frames_have_the_bytes_that_other_versions_expect() {
    let hello = ToLeader::Hello { member: MemberId(1), incarnation: 2, term: 3 };
    assert_eq!(encode(&hello), [0, 1, 2, 3]);
    let packed = Packed {
        bytes: vec![7, 8].into(),
        origin: Origin { member: MemberId(1), incarnation: 2, sequence: 9 },
        fuel_key: Some((SpaceId(3), OperationId(4))),
        session: None,
        sharing: Sharing::Alone,
        repeat: Repeat::Unknown,
        step: None,
    };
    let commands =
        ToLeader::Commands { first_position: 5, commands: vec![ForwardedCommand { wait_ms: 6, packed }] };
    assert_eq!(encode(&commands), [1, 5, 1, 6, 2, 7, 8, 1, 2, 9, 1, 3, 4, 0, 1, 1, 0]);
    assert_eq!(encode(&ToFollower::Welcome { received: 9 }), [0, 9]);
    assert_eq!(encode(&ToFollower::WrongTerm { term: 4 }), [1, 4]);
    let dropped = [(1, DropReason::NotLeading), (2, DropReason::Expired), (3, DropReason::Unreadable)];
    assert_eq!(encode(&ToFollower::Dropped { commands: dropped.into() }), [2, 3, 1, 0, 2, 1, 3, 2]);
}

#[test]
fn garbage_is_not_a_frame() {
    assert_eq!(read(&[]), None);
    assert_eq!(read(&[9, 9, 9]), None);
    assert_eq!(read(&[1, 5, 255, 255, 255, 255, 15]), None);
    assert_eq!(read(&vec![0; FORWARD_FRAME_BYTES + 1]), None);
}
