//! Unit tests of `sessions`.
use super::*;

#[test]
fn a_session_is_opened_with_sixteen_bytes_of_each() {
    let request = OpenSessionRequest {
        nonce: vec![1; 16],
        secret: vec![2; 16],
        label: "l".into(),
        ..OpenSessionRequest::default()
    };
    let session = new_session(request.clone()).expect("good");
    assert_eq!(
        (session.nonce, session.secret, session.ttl_policy),
        ([1; 16], [2; 16], synod_machine::TtlPolicy::Exact)
    );
    let nearest = OpenSessionRequest { ttl_policy: TtlPolicy::Nearest.into(), ..request.clone() };
    assert_eq!(new_session(nearest).expect("good").ttl_policy, synod_machine::TtlPolicy::Nearest);
    let table = [
        (OpenSessionRequest { nonce: vec![1; 8], ..request.clone() }, "nonce"),
        (OpenSessionRequest { nonce: vec![], ..request.clone() }, "nonce"),
        (OpenSessionRequest { secret: vec![2; 17], ..request }, "secret"),
    ];
    for (request, field) in table {
        let Err(CallFailure::Rejected(rejected)) = new_session(request) else { panic!("rejected") };
        assert_eq!((rejected.reason, rejected.field.as_deref()), (Reason::InvalidArguments, Some(field)));
    }
}

#[test]
fn a_session_names_the_spaces_that_are_left() {
    let record = SessionRecord {
        principal: synod_machine::Principal::Anyone,
        nonce: [0; 16],
        secret_hash: [0; 32],
        ttl_ms: 10_000,
        label: "me".into(),
        opened: synod_abi::Revision(5),
        opened_at: synod_abi::Time(6),
        floor: RequestId(2),
        last_request: RequestId(9),
        requests: 3,
        outcome_bytes: 44,
        waiting: 1,
        spaces: vec![SpaceId(1), SpaceId(2)],
        without_hook: Vec::new(),
    };
    let names = BTreeMap::from([(SpaceId(1), Some("lock".to_owned())), (SpaceId(2), None)]);
    let info = info(SessionId([7; 16]), record, &names);
    assert_eq!(info.spaces, ["lock"]);
    assert_eq!((info.floor, info.last_request_id, info.requests, info.waiting), (2, 9, 3, 1));
    assert_eq!((info.ttl_ms, info.opened_revision, info.opened_at_ms), (10_000, 5, 6));
}
