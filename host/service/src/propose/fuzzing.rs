//! Frames of forwarding links for [`crate::fuzzing`]: arbitrary ones, and one of each kind.
use synod_abi::{MemberId, decode, encode};
use synod_machine::{Action, Caller, Origin};

use super::forward::{DropReason, ForwardedCommand, ToFollower, ToLeader, read};
use super::packing::Packed;

/// A frame of either end of a link. What is taken is encoded again, and must decode to the same.
pub fn forward_frame(bytes: &[u8]) {
    if let Some(frame) = read(bytes) {
        assert_eq!(decode(&encode(&frame)), Ok(frame.clone()));
        if let ToLeader::Commands { first_position: _, commands } = frame {
            for ForwardedCommand { wait_ms: _, packed } in commands {
                let command = decode::<synod_machine::Command>(&packed.bytes);
                let is_whole = command.is_ok_and(|command| command.origin == packed.origin);
                assert!(!is_whole || packed.is_readable(), "a command that can be read is refused");
                let _demand = packed.demand(1);
                let _ends = packed.ends();
            }
        }
    }
    if let Ok(frame) = decode::<ToFollower>(bytes) {
        assert_eq!(decode(&encode(&frame)), Ok(frame));
    }
}

/// Real frames, one of each kind.
pub fn forward_frames() -> Vec<Vec<u8>> {
    let origin = Origin { member: MemberId(42), incarnation: 3, sequence: 9 };
    let packed = Packed::new(origin, Caller::default(), &Action::Tick);
    let commands = vec![ForwardedCommand { wait_ms: 5_000, packed }];
    let reasons = [DropReason::NotLeading, DropReason::Expired, DropReason::Unreadable];
    let dropped = (7..).zip(reasons).collect();
    let to_leader = [
        ToLeader::Hello { member: MemberId(42), incarnation: 3, term: 2 },
        ToLeader::Commands { first_position: 7, commands },
    ];
    let to_follower = [
        ToFollower::Welcome { received: 6 },
        ToFollower::WrongTerm { term: 3 },
        ToFollower::Dropped { commands: dropped },
    ];
    to_leader.iter().map(encode).chain(to_follower.iter().map(encode)).collect()
}
