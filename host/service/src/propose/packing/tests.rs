//! Unit tests of `packing`.
use synod_abi::{Blob, ClusterId, MemberId, OperationId, SpaceId};
use synod_machine::{Call, Command, Entry, Request, SessionCall};

use super::*;

fn call(sequence: u64, args: usize) -> (Command, Packed) {
    let origin = Origin { member: MemberId(7), incarnation: u64::MAX, sequence };
    let action =
        Action::Call(Call { space: SpaceId(300), operation: OperationId(9), args: Blob(vec![1; args]) });
    let command = Command { origin, caller: Caller::default(), action: action.clone() };
    (command, Packed::new(origin, Caller::default(), &action))
}

#[test]
fn a_packed_entry_is_the_encoded_entry() {
    for count in [0, 1, 2, 127, 128, 300] {
        let (commands, packed): (Vec<_>, Vec<_>) =
            (1..=count).map(|sequence| call(sequence, sequence as usize)).unzip();
        let mut packer = Packer::of(Load::default());
        packed.iter().for_each(|command| packer.add(command));
        let stamp = Time(1_700_000_000_000);
        assert_eq!(packer.entry(stamp), encode(&Entry { stamp, commands }));
    }
}

#[test]
fn an_install_is_alone_in_its_entry() {
    let install = Packed::new(
        Origin::default(),
        Caller::default(),
        &Action::InstallRecipe { module: Blob(vec![0; 9]), replace: false },
    );
    let (install, call) = (install.demand(1), call(1, 1).1.demand(1));
    let room = Room::of_entry(u64::MAX);
    let mut load = Load::default();
    assert!(load.fits(&install, room));
    load.add(&install);
    assert!(!load.fits(&call, room) && !load.fits(&install, room));
    let mut load = Load::default();
    load.add(&call);
    assert!(!load.fits(&install, room));
}

#[test]
fn an_entry_is_limited_by_count_bytes_and_fuel() {
    let room = Room::of_entry(u64::MAX);
    let small = call(1, 1).1.demand(1);
    let large = call(1, limits::ENTRY_BYTES / 2).1.demand(1);
    let mut by_count = Load::default();
    (0..limits::ENTRY_COMMANDS).for_each(|_| by_count.add(&small));
    assert!(!by_count.fits(&small, room));
    let mut by_bytes = Load::default();
    by_bytes.add(&large);
    assert!(by_bytes.fits(&small, room) && !by_bytes.fits(&large, room));
    let mut by_fuel = Load::default();
    by_fuel.add(&Demand { fuel: limits::ENTRY_FUEL, ..small });
    assert!(!by_fuel.fits(&small, room));
    assert!(!Load::default().fits(&Demand { fuel: 11, ..small }, Room::of_entry(10)));
    let mut by_less = Load::default();
    by_less.add(&Demand { fuel: 9, ..small });
    assert!(by_less.fits(&small, Room::of_entry(10)) && !by_less.fits(&small, Room::of_entry(9)));
}

#[test]
fn a_forwarded_command_is_packed_if_its_head_is_in_order() {
    let (_, packed) = call(3, 5);
    let forwarded = synod_abi::decode::<Packed>(&encode(&packed));
    assert_eq!(forwarded.as_ref(), Ok(&packed));
    assert!(packed.is_readable());
    let is_readable = |bytes: Bytes| Packed { bytes, ..packed.clone() }.is_readable();
    assert!(!is_readable(packed.bytes.slice(1..)));
    assert!(!is_readable(Bytes::new()));
    assert!(!is_readable([&packed.bytes[..], &[0; COMMAND_BYTES]].concat().into()));
    let of_kind = |kind: u32| encode(&(packed.origin, Caller::default(), kind)).into();
    assert!(is_readable(of_kind(Action::KINDS - 1)) && !is_readable(of_kind(Action::KINDS)));
    let (_, other) = call(4, 5);
    assert!(!is_readable(other.bytes));
}

#[test]
fn the_facts_of_a_forwarded_command_are_bounded() {
    let id = u64::MAX;
    let session = SessionId([0xff; 16]);
    let packed = Packed {
        bytes: vec![0; COMMAND_BYTES].into(),
        origin: Origin { member: MemberId(id), incarnation: id, sequence: id },
        fuel_key: Some((SpaceId(u32::MAX), OperationId(u32::MAX))),
        session: Some(session),
        sharing: Sharing::Alone,
        repeat: Repeat::Unknown,
        step: Some(Step { session, request: RequestId(id), after: Some(RequestId(id)) }),
    };
    let wait_ms = encode(&u64::MAX).len();
    assert!(encode(&packed).len() - COMMAND_BYTES + wait_ms <= FACTS_BYTES);
}

#[test]
fn what_forms_a_cluster_may_not_be_repeated() {
    let form = Packed::new(
        Origin::default(),
        Caller::default(),
        &Action::FormCluster { cluster: ClusterId([1; 16]) },
    );
    assert_eq!(form.repeat, Repeat::Unknown);
}

#[test]
fn what_belongs_to_a_session_may_be_repeated_and_what_a_leader_decided_may_not() {
    let session = SessionId([7; 16]);
    let caller = Caller { session: Some(session), ..Caller::default() };
    let packed = |action| Packed::new(Origin::default(), caller, &action);
    let request = Request { id: RequestId(3), after: Some(RequestId(2)), ..Request::default() };
    let call = Call { space: SpaceId(300), operation: OperationId(9), args: Blob(vec![1]) };
    let call = packed(Action::SessionCall(SessionCall { call, request }));
    assert_eq!(call.step, Some(Step { session, request: RequestId(3), after: Some(RequestId(2)) }));
    assert_eq!((call.repeat, call.fuel_key), (Repeat::Harmless, Some((SpaceId(300), OperationId(9)))));
    assert_eq!(synod_abi::decode::<Packed>(&encode(&call)), Ok(call));
    assert_eq!(packed(Action::EndSession { session, cause: EndCause::Closed }).session, Some(session));
    let end = |cause| packed(Action::EndSession { session, cause }).repeat;
    assert_eq!((end(EndCause::Closed), end(EndCause::Expired)), (Repeat::Harmless, Repeat::Unknown));
    assert_eq!(packed(Action::CancelRequest { request: RequestId(1) }).repeat, Repeat::Harmless);
    assert_eq!(packed(Action::Tick).repeat, Repeat::Unknown);
}
