//! Unit tests of `owed`.
use synod_abi::{Blob, Fault, Revision, SessionId, TicketId, Time, TimerId};
use synod_machine::owed::OwedHook as Kept;

use super::*;

#[test]
fn a_hook_that_is_owed_is_told_with_its_arguments_and_its_failure() {
    let told = |call, fault| {
        hook(OwedRecord {
            number: 1,
            next_try: Time(2),
            hook: Kept { call, since: Revision(3), fault, tries: 4 },
        })
    };
    let timer = told(OwedCall::Timer { timer: TimerId(5), payload: Blob(vec![6]) }, Some(Fault::Trap));
    let expected = OwedHook {
        number: 1,
        call: Some(owed_hook::Call::Timer(OwedTimer { id: 5, payload: vec![6] })),
        since_revision: 3,
        fault: api::Fault::Trap.into(),
        why: Fault::Trap.to_string(),
        tries: 4,
        next_try_ms: 2,
    };
    assert_eq!(timer, expected);
    let session = SessionId([7; 16]);
    let ended = told(OwedCall::SessionEnd { session }, None);
    assert_eq!((ended.call, ended.fault), (Some(owed_hook::Call::SessionEnd(vec![7; 16])), 0));
    let cancelled = told(OwedCall::Cancel { session, ticket: TicketId(8), granted: true }, None);
    let cancel = OwedCancel { session_id: vec![7; 16], ticket: 8, granted: true };
    assert_eq!(cancelled.call, Some(owed_hook::Call::Cancel(cancel)));
}
