//! Unit tests of `context`.
use super::*;

fn context() -> Context {
    Context { session: vec![1; 16], secret: vec![2; 16], request_id: 7, ..Context::default() }
}

fn field_of(failure: CallFailure) -> (Reason, Option<String>) {
    match failure {
        CallFailure::Rejected(rejected) => (rejected.reason, rejected.field),
        other => panic!("{other} is no rejection"),
    }
}

#[test]
fn a_call_without_a_context_is_outside_of_any_session() {
    assert_eq!(of_call(None, None), Ok(None));
    assert_eq!(of_call(Some(Context { at_least_revision: 9, ..Context::default() }), None), Ok(None));
}

#[test]
fn a_context_becomes_a_request_of_its_session() {
    let sent = Context { acknowledged_below: 5, after: 6, acknowledged: vec![3, 2, 3], user: 9, ..context() };
    let in_session = of_call(Some(sent), Some(0)).expect("good").expect("in a session");
    assert_eq!(in_session.key, SessionKey { session: SessionId([1; 16]), secret: [2; 16] });
    let expected = Request {
        id: RequestId(7),
        acknowledged_below: RequestId(5),
        acknowledged: vec![RequestId(2), RequestId(3)],
        after: Some(RequestId(6)),
        wait_ms: Some(0),
    };
    assert_eq!(in_session.request, UserRequest { user: 9, request: expected });
    let plain = of_call(Some(context()), None).expect("good").expect("in a session").request;
    assert_eq!((plain.user, plain.request.after), (0, None));
}

#[test]
fn what_is_wrong_is_told_by_field() {
    let many = vec![1; limits::SESSION_OUTCOMES as usize + 1];
    let table = [
        (Context { session: vec![1; 15], ..context() }, Some("context.session"), Reason::InvalidArguments),
        (Context { session: vec![1; 17], ..context() }, Some("context.session"), Reason::InvalidArguments),
        (Context { session: vec![], ..context() }, Some("context.session"), Reason::InvalidArguments),
        (Context { request_id: 0, ..context() }, Some("context.request_id"), Reason::InvalidArguments),
        (Context { acknowledged: many, ..context() }, Some("context.acknowledged"), Reason::InvalidArguments),
        (Context { secret: vec![], ..context() }, None, Reason::WrongSecret),
        (Context { secret: vec![2; 17], ..context() }, None, Reason::WrongSecret),
    ];
    for (context, field, reason) in table {
        let failure = of_call(Some(context.clone()), None).expect_err("wrong");
        assert_eq!(field_of(failure), (reason, field.map(str::to_owned)), "{context:?}");
    }
    let failure = of_call(None, Some(1)).expect_err("nothing to wait in");
    assert_eq!(field_of(failure), (Reason::InvalidArguments, Some("wait_ms".to_owned())));
}
