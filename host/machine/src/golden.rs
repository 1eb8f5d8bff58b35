//! Golden bytes of everything that is encoded: a change here is a change of the log or of stored
//! rows, which old members and old data do not understand.
use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;
use synod_abi::{
    AdmissionError, Blob, ClusterId, Fault, InvalidName, InvalidTopic, MemberId, ModuleHash, OperationId,
    RecipeName, RecipeRef, RequestId, Revision, SessionId, SpaceId, SpaceName, TicketId, Time, TimerId,
    TopicFilter, decode, encode,
};

use crate::log::rejection::{Change, Incompatible};
use crate::rows::directory::{Counts, FORMAT, Head, HookFailures, StoredRecipe, StoredSpace};
use crate::rows::events::{EventLog, EventPosition, StoredBinding, StoredEvent};
use crate::rows::owed::{OwedCall, OwedHook};
use crate::rows::sessions::StoredTicket;
use crate::rows::sessions::{RequestRecord, RequestState, SessionRecord};
use crate::rows::timers::{Chore, Lane, Line, chore_key};
use crate::*;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[track_caller]
fn golden<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: T, expected: &str) {
    let bytes = encode(&value);
    assert_eq!(hex(&bytes), expected.replace(' ', ""), "{value:?}");
    assert_eq!(decode::<T>(&bytes).as_ref(), Ok(&value));
}

fn name() -> SpaceName {
    SpaceName::new("a/b").unwrap()
}

fn recipe() -> RecipeName {
    RecipeName::new("r").unwrap()
}

fn reference() -> RecipeRef {
    RecipeRef { name: recipe(), version: 300 }
}

#[test]
fn actions() {
    golden(Action::FormCluster { cluster: ClusterId([0xab; 16]) }, &format!("00 {}", "ab".repeat(16)));
    let environment = Environment { semantics: 1, engine: [0xcd; 32] };
    golden(Action::SetEnvironment { environment }, &format!("01 01 {}", "cd".repeat(32)));
    golden(Action::InstallRecipe { module: Blob(vec![1, 2]), replace: true }, "02 02 0102 01");
    golden(Action::RemoveRecipe { recipe: reference() }, "03 01 72 ac02");
    golden(Action::CreateSpace { name: name(), recipe: recipe(), version: None }, "04 03 612f62 01 72 00");
    golden(
        Action::CreateSpace { name: name(), recipe: recipe(), version: Some(2) },
        "04 03 612f62 01 72 01 02",
    );
    golden(Action::UpgradeSpace { name: name(), to: 2 }, "05 03 612f62 02");
    golden(Action::DeleteSpace { name: name() }, "06 03 612f62");
    let call = Call { space: SpaceId(1), operation: OperationId(0x8000_0000), args: Blob(vec![9]) };
    golden(Action::Call(call.clone()), "07 01 8080808008 01 09");
    let (nonce, secret_hash) = ([0xab; 16], [0xcd; 32]);
    let open =
        OpenSession { nonce, secret_hash, ttl_ms: 300, ttl_policy: TtlPolicy::Nearest, label: "l".into() };
    golden(Action::OpenSession(open), &format!("08 {} {} ac02 01 01 6c", "ab".repeat(16), "cd".repeat(32)));
    let session = SessionId([0xab; 16]);
    golden(Action::EndSession { session, cause: EndCause::Closed }, &format!("09 {} 00", "ab".repeat(16)));
    golden(Action::EndSession { session, cause: EndCause::Expired }, &format!("09 {} 01", "ab".repeat(16)));
    let request = Request {
        id: RequestId(5),
        acknowledged_below: RequestId(3),
        acknowledged: vec![RequestId(1), RequestId(2)],
        after: Some(RequestId(4)),
        wait_ms: Some(300),
    };
    golden(
        Action::SessionCall(SessionCall { call: call.clone(), request }),
        "0a 01 8080808008 01 09  05 03 02 01 02 01 04 01 ac02",
    );
    let request = Request { id: RequestId(1), ..Request::default() };
    let call = SessionCall { call, request };
    golden(Action::SessionCall(call.clone()), "0a 01 8080808008 01 09  01 00 00 00 00");
    golden(Action::UserCall { user: 300, call }, "13 ac02 01 8080808008 01 09  01 00 00 00 00");
    golden(Action::CancelRequest { request: RequestId(300) }, "0b ac02");
    golden(Action::Tick, "0c");
    golden(
        Action::SetSessionBounds { bounds: SessionBounds { min_ttl_ms: 1, max_ttl_ms: 300 } },
        "0d 01 ac02",
    );
    golden(TtlPolicy::Exact, "00");
    let binding = Binding {
        handler: name(),
        source: SpaceName::new("s").unwrap(),
        filter: TopicFilter::Exact("t".into()),
    };
    let bind = |on_failure| Action::BindSpace { binding: binding.clone(), on_failure };
    golden(bind(OnFailure::Reject), "0e 03 612f62 01 73 00 01 74 00");
    golden(bind(OnFailure::Skip), "0e 03 612f62 01 73 00 01 74 01");
    golden(
        Action::UnbindSpace { binding: Binding { filter: TopicFilter::all(), ..binding } },
        "0f 03 612f62 01 73 01 00",
    );
    let retention = EventRetention { events: 1, bytes: 2, age_ms: 300 };
    golden(Action::SetEventRetention { name: name(), retention }, "10 03 612f62 01 02 ac02");
    golden(Action::CompactEvents { space: SpaceId(1), through: Revision(300) }, "11 01 ac02");
    golden(Action::SettleHook { name: name(), number: 300, how: Settling::Run }, "12 03 612f62 ac02 00");
    golden(Action::SettleHook { name: name(), number: 300, how: Settling::Drop }, "12 03 612f62 ac02 01");
    let digests = DigestRecord { index: 300, chain: [0xab; 32], state: [0xcd; 32] };
    golden(Action::Checkpoint(digests), &format!("14 ac02 {} {}", "ab".repeat(32), "cd".repeat(32)));
    let to = Environment { semantics: 300, engine: [0xef; 32] };
    golden(
        Action::ChangeEnvironment { from: environment, to },
        &format!("15 01 {} ac02 {}", "cd".repeat(32), "ef".repeat(32)),
    );
    assert_eq!(Action::KINDS, 0x16, "add a kind's golden bytes above, and count it");
    let is_known = |kind: u32| {
        let bytes = [encode(&kind), vec![1, b'a'], vec![1; 64]].concat();
        synod_abi::decode_from::<Action>(&mut &bytes[..]).is_ok()
    };
    assert!(is_known(Action::KINDS - 1) && !is_known(Action::KINDS));
}

#[test]
fn entries() {
    let origin = Origin { member: MemberId(1), incarnation: 2, sequence: 3 };
    let session = Some(SessionId([0xee; 16]));
    let commands = vec![
        Command {
            origin,
            caller: Caller { principal: Principal::System, session },
            action: Action::DeleteSpace { name: name() },
        },
        Command {
            origin: Origin::default(),
            caller: Caller::default(),
            action: Action::DeleteSpace { name: name() },
        },
    ];
    let expected =
        format!("ac02 02  01 02 03  01 01 {}  06 03 612f62   00 00 00  00 00  06 03 612f62", "ee".repeat(16));
    golden(Entry { stamp: Time(300), commands }, &expected);
}

#[test]
fn replies() {
    golden(Reply::Done, "00");
    golden(Reply::Result(Blob(vec![5])), "01 01 05");
    let hash = ModuleHash([0xab; 32]);
    golden(
        Reply::Installed { recipe: reference(), hash, already: true },
        &format!("02 01 72 ac02 {} 01", "ab".repeat(32)),
    );
    golden(Reply::Space { space: SpaceId(1), recipe: reference(), already: false }, "03 01 01 72 ac02 00");
    let session = SessionId([0xab; 16]);
    golden(
        Reply::Session { session, ttl_ms: 300, already: true },
        &format!("04 {} ac02 01", "ab".repeat(16)),
    );
    golden(Reply::Parked { ticket: TicketId(300) }, "05 ac02");
    for (number, was) in
        [Cancelled::NotRun, Cancelled::Waiting, Cancelled::Granted, Cancelled::Final].into_iter().enumerate()
    {
        golden(Reply::Cancelled { was }, &format!("06 {number:02x}"));
    }
    golden(Reply::Bound { already: true }, "07 01");
    golden(Reply::Compacted { through: Revision(300), events: 2, more: true }, "08 ac02 02 01");
    golden(Reply::Settled(Settled::Done), "09 00");
    golden(Reply::Settled(Settled::More), "09 01");
    golden(Reply::Settled(Settled::Failed(Fault::OutOfFuel)), "09 02 02");
    golden(Reply::Settled(Settled::Dropped), "09 03");
    golden(Outcome { revision: Revision(1), time: Time(2), result: Ok(Reply::Done) }, "01 02 00 00");
    golden(
        Outcome { revision: Revision(1), time: Time(2), result: Err(Rejection::UnknownSpace) },
        "01 02 01 02",
    );
}

#[test]
fn rejections() {
    golden(Rejection::Recipe { code: 1, error: Blob(vec![7]) }, "00 01 01 07");
    golden(Rejection::Fault(Fault::OutOfFuel), "01 02");
    golden(Rejection::UnknownSpace, "02");
    golden(Rejection::UnknownRecipe, "03");
    golden(Rejection::UnknownOperation, "04");
    golden(Rejection::ArgumentsTooLong, "05");
    golden(Rejection::NotAdmitted(AdmissionError::NotWasm), "06 00");
    golden(Rejection::RecipeExists { hash: ModuleHash([0xab; 32]) }, &format!("07 {}", "ab".repeat(32)));
    golden(Rejection::RecipeInUse, "08");
    golden(Rejection::SpaceExists { recipe: reference() }, "09 01 72 ac02");
    golden(
        Rejection::IncompatibleUpgrade(Incompatible { name: "f".into(), change: Change::Removed }),
        "0a 01 66 00",
    );
    let counted =
        [Counted::Recipes, Counted::Spaces, Counted::SpaceIds, Counted::Sessions, Counted::Deadlines];
    for (number, what) in counted.into_iter().enumerate() {
        golden(Rejection::TooMany { what }, &format!("0b {number:02x}"));
    }
    golden(Rejection::AlreadyFormed, "0c");
    golden(Rejection::Deferred, "0d");
    golden(Rejection::InvalidName(InvalidName::TooLong), "0e 01");
    golden(Rejection::NotAllowed, "0f");
    golden(Rejection::NotFormed, "10");
    golden(Rejection::SessionEnded, "11");
    golden(Rejection::ForeignSession, "12");
    golden(Rejection::RequestReused, "13");
    golden(Rejection::AlreadyAcknowledged, "14");
    golden(Rejection::InvalidRequest, "15");
    golden(Rejection::OutOfOrder, "16");
    golden(Rejection::TooManyOutcomes, "17");
    golden(Rejection::TooManySpaces, "18");
    golden(Rejection::CannotWait, "19");
    golden(Rejection::TooManyWaiting, "1a");
    golden(Rejection::WaitTimeout, "1b");
    golden(Rejection::Cancelled, "1c");
    golden(Rejection::TtlOutOfBounds { min_ttl_ms: 1, max_ttl_ms: 300 }, "1d 01 ac02");
    golden(Rejection::LabelTooLong, "1e");
    golden(
        Rejection::Handler { space: SpaceId(1), why: DeliveryFailure::Fault(Fault::OutOfFuel) },
        "1f 01 00 02",
    );
    golden(
        Rejection::Send { space: Some(SpaceId(1)), why: DeliveryFailure::Refused { code: 300 } },
        "20 01 01 01 ac02",
    );
    golden(Rejection::Send { space: None, why: DeliveryFailure::Unknown }, "20 00 02");
    golden(DeliveryFailure::WouldWait, "03");
    golden(Rejection::NoHandler, "21");
    golden(Rejection::BindingCircle, "22");
    golden(Rejection::TooManyBindings, "23");
    golden(Rejection::UnknownBinding, "24");
    golden(Rejection::InvalidTopic(InvalidTopic::TooLong), "25 01");
    golden(Rejection::RetentionOutOfBounds, "26");
    golden(Rejection::TooManyOutcomeBytes, "27");
    golden(Rejection::TooManyBindingsInAll, "28");
    golden(Rejection::TooManyOwed, "29");
    golden(Rejection::UnknownOwed, "2a");
    golden(Rejection::EnvironmentChanged, "2b");
}

#[test]
fn changes() {
    let changes = [
        Change::Removed,
        Change::Arguments,
        Change::Result,
        Change::Errors,
        Change::Kind,
        Change::Key,
        Change::Value,
        Change::NotNewer,
        Change::Payload,
    ];
    for (number, change) in changes.into_iter().enumerate() {
        golden(change, &format!("{number:02x}"));
    }
}

#[test]
fn stored_rows() {
    let head = Head {
        format: FORMAT,
        cluster: None,
        environment: None,
        revision: Revision(1),
        time: Time(2),
        tokens: 3,
        commands: 4,
        ..Head::EMPTY
    };
    let counts = Counts {
        recipes: 7,
        spaces: 8,
        sessions: 9,
        requests: 10,
        waiting: 11,
        timers: 12,
        deadlines: 18,
        events: 13,
        event_bytes: 14,
        bindings: 15,
        owed: 19,
    };
    let head = Head { last_space: 5, last_timer: 6, last_turn: 17, last_owed: 20, counts, index: 16, ..head };
    golden(
        head,
        &format!(
            "05 00 00 01 02 03 04 05 06 11 14 07 08 09 0a 0b 0c 12 0d 0e 0f 13 00000000 10 {}",
            "00".repeat(32)
        ),
    );
    let space =
        StoredSpace { id: SpaceId(1), recipe: reference(), created: Revision(2), created_at: Time(3) };
    assert_eq!(hex(&encode(&space)), "010172ac020203");
    let recipe = StoredRecipe {
        hash: ModuleHash([0xab; 32]),
        module_bytes: 1,
        installed: Revision(2),
        installed_at: Time(3),
    };
    assert_eq!(hex(&encode(&recipe)), format!("{}010203", "ab".repeat(32)));
}

#[test]
fn stored_sessions() {
    let record = SessionRecord {
        principal: Principal::Anyone,
        nonce: [0xab; 16],
        secret_hash: [0xcd; 32],
        ttl_ms: 300,
        label: "l".into(),
        opened: Revision(1),
        opened_at: Time(2),
        floor: RequestId(3),
        last_request: RequestId(4),
        requests: 5,
        outcome_bytes: 6,
        waiting: 7,
        spaces: vec![SpaceId(8)],
        without_hook: vec![SpaceId(9)],
    };
    golden(
        record,
        &format!("00 {} {} ac02 01 6c 01 02 03 04 05 06 07 01 08 01 09", "ab".repeat(16), "cd".repeat(32)),
    );
    golden(
        HookFailures { count: 1, revision: Revision(2), why: DeliveryFailure::Fault(Fault::OutOfFuel) },
        "01 02 00 02",
    );
    golden(
        StoredTicket { session: SessionId([0xab; 16]), request: RequestId(1) },
        &format!("{} 01", "ab".repeat(16)),
    );
    golden(
        Chore::Deadline { session: SessionId([0xab; 16]), request: RequestId(1) },
        &format!("00 {} 01", "ab".repeat(16)),
    );
    golden(Chore::Purge { space: SpaceId(1) }, "01 01");
    golden(Chore::Hasten { space: SpaceId(1), after: 2 }, "02 01 02");
    golden(Chore::HastenAll { recipe: reference(), after: SpaceId(1) }, "03 01 72 ac02 01");
    golden(Line { items: 1, first: (Time(2), 3), place: (Time(4), 5) }, "01 02 03 04 05");
}

#[test]
fn stored_requests() {
    let record = |state| RequestRecord { fingerprint: [0xab; 16], space: SpaceId(1), state };
    let expected = |state: &str| format!("{} 01 {state}", "ab".repeat(16));
    let tickets = sessions::Tickets { revision: Revision(2), count: 9 };
    let waiting = |deadline| record(RequestState::Waiting { tickets, deadline });
    golden(waiting(None), &expected("00 02 09 00"));
    golden(waiting(Some((Time(3), TimerId(4)))), &expected("00 02 09 01 03 04"));
    let outcome = Outcome { revision: Revision(5), time: Time(6), result: Ok(Reply::Done) };
    let done = |ticket, parked| record(RequestState::Done { outcome: outcome.clone(), ticket, parked });
    golden(done(None, false), &expected("01 05 06 00 00 00 00"));
    golden(done(Some(TicketId(2)), true), &expected("01 05 06 00 00 01 02 01"));
}

#[test]
fn stored_events() {
    let event = StoredEvent { topic: "t".into(), payload: Blob(vec![1, 2]), time: Time(300) };
    golden(event, "01 74 02 0102 ac02");
    let retention = EventRetention { events: 4, bytes: 5, age_ms: 6 };
    let log = |oldest_at| EventLog {
        compacted: Revision(1),
        last: Revision(2),
        events: 3,
        bytes: 300,
        oldest_at,
        retention,
    };
    golden(log(None), "01 02 03 ac02 00 04 05 06");
    golden(log(Some(Time(7))), "01 02 03 ac02 01 07 04 05 06");
    golden(StoredBinding { on_failure: OnFailure::Skip, bound: Revision(300) }, "01 ac02");
    assert_eq!(hex(&events::event_log_key(SpaceId(1))), "6500000001");
    let position = EventPosition { revision: Revision(2), number: 3 };
    assert_eq!(hex(&events::event_key(SpaceId(1), position)), "00000001000000000000000200000003");
    let keys = |filter| events::binding_keys(SpaceId(1), SpaceId(2), &filter).map(|key| hex(&key));
    assert_eq!(keys(TopicFilter::Exact("t".into())), ["6f00000001000000026574", "7000000002000000016574"]);
    assert_eq!(keys(TopicFilter::Prefix("t".into())), ["6f00000001000000027074", "7000000002000000017074"]);
}

#[test]
fn keys_of_stored_rows_sort_by_age() {
    let session = SessionId([0xab; 16]);
    assert_eq!(hex(&sessions::session_key(session)), format!("73{}", "ab".repeat(16)));
    assert_eq!(
        hex(&sessions::request_key(session, RequestId(1))),
        format!("72{}0000000000000001", "ab".repeat(16))
    );
    assert_eq!(hex(&sessions::nonce_key([1; 16])), format!("6e{}", "01".repeat(16)));
    assert_eq!(hex(&sessions::ticket_key(SpaceId(1), TicketId(2))), "74000000010000000000000002");
    assert_eq!(hex(&sessions::waiting_key(SpaceId(1))), "6300000001");
    assert_eq!(hex(&chore_key(Time(1), TimerId(2))), "6400000000000000010000000000000002");
    let (lane, space, spot) = (Lane::Timers, SpaceId(1), (Time(2), 3));
    assert_eq!(hex(&lane.item_key(space, spot)), "740000000100000000000000020000000000000003");
    assert_eq!(hex(&lane.index_key(space, 3)), "69000000010000000000000003");
    assert_eq!(hex(&lane.place_key(spot)), "7100000000000000020000000000000003");
    assert_eq!(hex(&lane.line_key(space)), "7300000001");
    let lane = Lane::Owed;
    assert_eq!(hex(&lane.item_key(space, spot)), "6f0000000100000000000000020000000000000003");
    assert_eq!(hex(&lane.index_key(space, 3)), "6a000000010000000000000003");
    assert_eq!(hex(&lane.place_key(spot)), "7200000000000000020000000000000003");
    assert_eq!(hex(&lane.line_key(space)), "7000000001");
}

#[test]
fn stored_hooks_that_are_owed() {
    let hook = |call| OwedHook { call, since: Revision(1), fault: Some(Fault::OutOfFuel), tries: 3 };
    let session = SessionId([0xab; 16]);
    golden(hook(OwedCall::SessionEnd { session }), &format!("00 {} 01 01 02 03", "ab".repeat(16)));
    golden(hook(OwedCall::Timer { timer: TimerId(7), payload: Blob(vec![2]) }), "01 07 01 02 01 01 02 03");
    let cancelled = OwedCall::Cancel { session, ticket: TicketId(7), granted: true };
    golden(hook(cancelled), &format!("02 {} 07 01 01 01 02 03", "ab".repeat(16)));
}

#[test]
fn digests() {
    let head = Head {
        cluster: Some(ClusterId([1; 16])),
        revision: Revision(9),
        index: 3,
        chain: [2; 32],
        ..Head::EMPTY
    };
    assert_eq!(head.state_digest(), Head { index: 4, chain: [5; 32], ..head }.state_digest());
    let mut sum = RowSum::default();
    sum.add(Table::State, b"key", b"value", &mut Vec::new());
    sum.add(Table::Recipes, b"", b"", &mut Vec::new());
    assert_eq!(hex(&sum.to_bytes()), "46a313fd5c490cbd66e9bb72e478ebd3993bd7420041a9d8985a8ac53272d98e");
    assert_eq!(RowSum::from_bytes(&sum.to_bytes()), sum);
}
