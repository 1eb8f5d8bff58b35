//! Exactly-once effect, acknowledgements, and every refusal of a request.
use synod_abi::{Blob, Fault, OperationId, RequestId, Revision, SessionId, SpaceId, Time, limits};

use crate::rows::sessions::{RequestState, SessionRecord};
use crate::testing::*;
use crate::*;

fn record(member: &Member, session: SessionId) -> SessionRecord {
    sessions::session(&member.state, session).unwrap().unwrap()
}

fn kept(member: &Member, session: SessionId, id: u64) -> Option<RequestState> {
    sessions::request(&member.state, session, RequestId(id)).unwrap().map(|record| record.state)
}

fn count() -> Vec<Step> {
    vec![Step::Count("count".into())]
}

fn counted(member: &Member) -> u8 {
    let key = [1_u32.to_be_bytes().as_slice(), b"count"].concat();
    member.state.get(Table::State, &key).unwrap().map_or(0, |count| count[0])
}

/// Member with a session.
fn member() -> (Member, SessionId) {
    let mut member = Member::formed();
    let session = member.open(1);
    (member, session)
}

#[test]
fn a_retry_has_the_outcome_bit_for_bit_and_no_effect() {
    let (mut member, session) = member();
    let call = || in_session(session, 1, id(1), &[Step::Count("count".into()), Step::Token, Step::Context]);
    let first = member.commands(5, vec![call()]).outcomes.remove(0).outcome;
    assert_eq!(first.result.as_ref().map(seen), Ok(vec!["1".into(), format!("{} 5 true", first.revision)]));
    member.run(&[put("between", "")]).unwrap();
    let before = member.machine.head;
    let retries = member.commands(9, vec![call(), call()]);
    assert!(retries.outcomes.iter().all(|retry| retry.outcome == first));
    member.restart();
    assert_eq!(member.command(call()), first);
    let after = member.machine.head;
    assert_eq!(
        (after.revision, after.tokens, after.commands),
        (before.revision, before.tokens, before.commands + 3)
    );
    assert_eq!((counted(&member), member.counts()), (1, (1, 1, 0, 0)));
}

#[test]
fn a_rejection_by_the_recipe_is_an_outcome_and_leaves_nothing_of_the_call() {
    let (mut member, session) = member();
    let mut unknown_operation = in_session(session, 1, id(4), &[]);
    let mut long = in_session(session, 1, id(5), &[]);
    let (Action::SessionCall(unknown), Action::SessionCall(too_long)) =
        (&mut unknown_operation.action, &mut long.action)
    else {
        panic!("they are calls")
    };
    unknown.call.operation = OperationId::of("look");
    too_long.call.args = vec![0; limits::ARGS_BYTES + 1].into();
    let cases = [
        (
            in_session(session, 1, id(1), &[put("k", "v"), Step::Token, Step::Refuse(3)]),
            Rejection::Recipe { code: 3, error: Blob(vec![3]) },
        ),
        (
            in_session(
                session,
                1,
                id(2),
                &[put("k", "v"), Step::SetTimer(9, Blob(vec![])), Step::Fault(Fault::Trap)],
            ),
            Rejection::Fault(Fault::Trap),
        ),
        (in_session(session, 9, id(3), &[]), Rejection::UnknownSpace),
        (unknown_operation, Rejection::UnknownOperation),
        (long, Rejection::ArgumentsTooLong),
    ];
    let before = member.machine.head;
    for (number, (command, rejection)) in (1..).zip(cases) {
        let outcome = member.command(command.clone());
        assert_eq!(outcome, Outcome { revision: before.revision, time: Time(0), result: Err(rejection) });
        assert!(matches!(
            kept(&member, session, number),
            Some(RequestState::Done { ticket: None, parked: false, .. })
        ));
        member.run(&[]).unwrap();
        assert_eq!(member.command(command), outcome, "a retry");
        member.machine.head.revision = before.revision;
    }
    let after = member.machine.head;
    assert_eq!((after.tokens, after.counts.timers), (before.tokens, before.counts.timers));
    assert_eq!(after.counts.requests, 5);
    assert_eq!(member.run(&[get("k")]).unwrap(), ["absent"]);
    assert_eq!(record(&member, session).spaces, [], "no operation of it stayed");
}

#[test]
fn a_recorded_rejection_keeps_its_acknowledgements() {
    let (mut member, session) = member();
    member.request(session, id(1), &count()).unwrap();
    assert!(member.request(session, acknowledging(2, 2), &[Step::Refuse(1)]).is_err());
    assert_eq!((kept(&member, session, 1), record(&member, session).floor), (None, RequestId(2)));
}

#[test]
fn equal_requests_of_two_users_are_two_requests_and_those_of_one_are_one() {
    let (mut member, session) = member();
    let of_user = |user| {
        let mut command = in_session(session, 1, id(1), &count());
        let Action::SessionCall(call) = command.action else { panic!("it is one") };
        command.action = Action::UserCall { user, call };
        command
    };
    let first = member.command(of_user(7));
    assert!(first.result.is_ok(), "{first:?}");
    assert_eq!(member.command(of_user(7)), first, "a retry gets the outcome");
    assert_eq!(member.command(of_user(8)).result, Err(Rejection::RequestReused));
    let nobody = member.command(in_session(session, 1, id(1), &count()));
    assert_eq!(nobody.result, Err(Rejection::RequestReused));
    assert_eq!(counted(&member), 1);
}

#[test]
fn what_is_wrong_with_a_request_leaves_nothing() {
    let (mut member, session) = member();
    let ended = member.open(2);
    member.one(end(ended)).unwrap();
    member.request(session, id(1), &count()).unwrap();
    member.request(session, id(2), &count()).unwrap();
    member.request(session, acknowledging(3, 2), &count()).unwrap();
    let after = |request: u64, after| Request {
        after: Some(RequestId(after)),
        acknowledged_below: RequestId(3),
        ..id(request)
    };
    let acknowledged = |request: u64, of: u64| Request { acknowledged: vec![RequestId(of)], ..id(request) };
    let mut nobody = in_session(session, 1, id(4), &count());
    nobody.caller.session = None;
    let mut foreign = in_session(session, 1, id(4), &count());
    foreign.caller.principal = Principal::System;
    let ours = |request| in_session(session, 1, request, &count());
    let cases = [
        (nobody, Rejection::SessionEnded),
        (in_session(ended, 1, id(4), &count()), Rejection::SessionEnded),
        (in_session(SessionId([9; 16]), 1, id(4), &count()), Rejection::SessionEnded),
        (foreign, Rejection::ForeignSession),
        (ours(id(0)), Rejection::InvalidRequest),
        (ours(acknowledging(4, 5)), Rejection::InvalidRequest),
        (ours(acknowledged(4, 4)), Rejection::InvalidRequest),
        (ours(after(4, 4)), Rejection::InvalidRequest),
        (ours(Request { acknowledged: vec![RequestId(1); 1_025], ..id(4) }), Rejection::InvalidRequest),
        (in_session(session, 1, id(3), &[]), Rejection::RequestReused),
        (in_session(session, 2, id(3), &count()), Rejection::RequestReused),
        (ours(id(1)), Rejection::AlreadyAcknowledged),
        (ours(after(6, 5)), Rejection::OutOfOrder),
        (ours(after(6, 4)), Rejection::OutOfOrder),
    ];
    let (before, rows) = (member.machine.head, member.state.clone());
    for (command, rejection) in cases {
        assert_eq!(member.command(command.clone()).result, Err(rejection), "{command:?}");
        assert!(member.state.rows(Table::Sessions).eq(rows.rows(Table::Sessions)), "{command:?}");
        assert_eq!((member.machine.head.revision, member.machine.head.rows), (before.revision, before.rows));
    }
    assert_eq!(counted(&member), 3);
    assert!(member.command(ours(after(4, 3))).result.is_ok(), "what it follows has run");
    assert!(member.command(ours(after(5, 1))).result.is_ok(), "what it follows was acknowledged");
}

#[test]
fn acknowledging_forgets_outcomes_one_by_one_or_in_a_range() {
    let (mut member, session) = member();
    for n in 1..=100 {
        member.request(session, id(n), &count()).unwrap();
    }
    assert_eq!(member.counts().1, 100);
    member.request(session, acknowledging(101, 33), &count()).unwrap();
    assert_eq!(
        (member.counts().1, kept(&member, session, 32), kept(&member, session, 33).is_some()),
        (69, None, true)
    );
    member.request(session, acknowledging(102, 100), &count()).unwrap();
    assert_eq!(
        (member.counts().1, kept(&member, session, 99), kept(&member, session, 100).is_some()),
        (3, None, true)
    );
    member.request(session, acknowledging(9_999, 9_999), &count()).unwrap();
    assert_eq!(member.counts().1, 1, "ids may have gaps");
    assert_eq!(
        member.request(session, acknowledging(10_000, 5), &count()).map(|_| ()),
        Ok(()),
        "an older floor does no harm"
    );
    assert_eq!(record(&member, session).floor, RequestId(9_999));
    assert_eq!(counted(&member), 104);
}

#[test]
fn parked_requests_are_acknowledged_singly() {
    let (mut member, session) = member();
    let Ok(Reply::Parked { ticket }) = member.request(session, id(1), &[Step::Later]) else {
        panic!("it waits")
    };
    let Ok(Reply::Parked { .. }) = member.request(session, id(2), &[Step::Later]) else { panic!("it waits") };
    member.request(session, id(3), &count()).unwrap();
    member.request(session, acknowledging(4, 4), &[Step::Complete(ticket.0, "x".into())]).unwrap();
    assert!(
        kept(&member, session, 1).is_some()
            && kept(&member, session, 2).is_some()
            && kept(&member, session, 3).is_none()
    );
    assert!(
        matches!(member.request(session, id(2), &[Step::Later]), Ok(Reply::Parked { .. })),
        "a retry below the floor waits on"
    );
    let both =
        Request { acknowledged: vec![RequestId(1), RequestId(2), RequestId(3)], ..acknowledging(5, 5) };
    member.request(session, both, &[]).unwrap();
    assert!(
        kept(&member, session, 1).is_none() && kept(&member, session, 2).is_some(),
        "what waits is not forgotten"
    );
    assert_eq!(member.request(session, id(1), &[Step::Later]), Err(Rejection::AlreadyAcknowledged));
    assert_eq!(member.counts(), (1, 2, 1, 0));
}

#[test]
fn a_parked_request_that_is_acknowledged_above_the_floor_does_not_run_again() {
    let (mut member, session) = member();
    let waits = [Step::Count("count".into()), Step::Later];
    let Ok(Reply::Parked { ticket }) = member.request(session, id(2), &waits) else { panic!("it waits") };
    let large = vec![b'x'; 50_000];
    member.request(session, id(3), &[Step::Complete(ticket.0, large.into())]).unwrap();
    member.request(session, Request { acknowledged: vec![RequestId(2)], ..id(4) }, &[]).unwrap();
    assert!(record(&member, session).outcome_bytes < 1_000, "its result is forgotten");
    assert_eq!(member.request(session, id(2), &waits), Err(Rejection::AlreadyAcknowledged));
    assert_eq!(counted(&member), 1);
    member.request(session, acknowledging(5, 5), &[]).unwrap();
    assert_eq!((kept(&member, session, 2), member.counts().1), (None, 1));
    assert_eq!(member.request(session, id(2), &waits), Err(Rejection::AlreadyAcknowledged));
}

#[test]
fn outcomes_are_limited_in_number_and_bytes_until_they_are_acknowledged() {
    let (mut member, session) = member();
    for batch in 0..limits::SESSION_OUTCOMES / 32 {
        let ids = u64::from(batch) * 32 + 1..u64::from(batch) * 32 + 33;
        member.commands(0, ids.map(|n| in_session(session, 1, id(n), &[])).collect());
    }
    let next = u64::from(limits::SESSION_OUTCOMES) + 1;
    let full = Err(Rejection::TooManyOutcomes);
    assert_eq!(member.request(session, id(next), &count()), full);
    assert_eq!(member.command(cancel(session, next)).result, full);
    assert!(member.request(session, id(next - 1), &[]).is_ok(), "a retry is no further outcome");
    member.request(session, acknowledging(next, 2), &count()).unwrap();
    let other = member.open(2);
    let mut n = 0;
    let refused = loop {
        n += 1;
        if let Err(refused) = member.request(other, id(n), &[put("k", &"x".repeat(200_000)), get("k")]) {
            break refused;
        }
    };
    assert_eq!(refused, Rejection::TooManyOutcomeBytes);
    let bytes = record(&member, other).outcome_bytes;
    assert!((limits::SESSION_OUTCOME_BYTES..limits::SESSION_OUTCOME_BYTES + 201_000).contains(&bytes));
    assert!(member.request(other, acknowledging(n, 2), &[]).is_ok());
}

#[test]
fn a_request_that_finds_no_room_still_acknowledges() {
    const PARKED: u64 = 12;
    let (mut member, session) = member();
    let long = [&[synod_abi::REPLY_RESULT], vec![0; 450_000].as_slice()].concat();
    let park = |n| in_session(session, 1, id(n), &[Step::Later]);
    let parked: Vec<_> = (1..=PARKED).map(|n| member.command(park(n)).result).collect();
    for reply in parked {
        let Ok(Reply::Parked { ticket }) = reply else { panic!("it waits") };
        member.one(call(1, &[Step::CompleteRaw(ticket.0, long.clone().into())])).unwrap();
    }
    let full = Err(Rejection::TooManyOutcomeBytes);
    let next = |acknowledged: &[u64]| Request {
        acknowledged: acknowledged.iter().copied().map(RequestId).collect(),
        ..id(PARKED + 1)
    };
    let before = record(&member, session).outcome_bytes;
    assert_eq!(member.request(session, next(&[1]), &count()), full);
    assert!(record(&member, session).outcome_bytes < before - 400_000);
    assert_eq!((member.counts().1, kept(&member, session, PARKED + 1)), (PARKED, None), "it is not recorded");
    assert_eq!(member.request(session, next(&[2]), &count()), full);
    assert!(member.request(session, next(&[3]), &count()).is_ok(), "three made the room that one could not");
}

#[test]
fn a_session_calls_so_many_spaces_that_hear_of_its_end() {
    let (mut member, session) = member();
    let spaces = limits::SESSION_SPACES as u32 + 1;
    member.apply(0, (2..=spaces).map(|n| create(&format!("s{n}"))));
    member.one(install(OTHER_1)).unwrap();
    member
        .one(Action::CreateSpace {
            name: space("other"),
            recipe: synod_abi::RecipeName::new("other").unwrap(),
            version: None,
        })
        .unwrap();
    for n in 1..spaces {
        member.command(in_session(session, n, id(u64::from(n)), &[])).result.unwrap();
    }
    let too_many = member.command(in_session(session, spaces, acknowledging(100, 50), &[put("k", "v")]));
    assert_eq!(too_many.result, Err(Rejection::TooManySpaces));
    let kept_outcome = |member: &Member| match kept(member, session, 100) {
        Some(RequestState::Done { outcome, ticket: None, parked: false }) => outcome.result,
        other => panic!("the request is done: {other:?}"),
    };
    assert_eq!(
        (record(&member, session).floor, kept_outcome(&member)),
        (RequestId(50), Err(Rejection::TooManySpaces))
    );
    assert!(member.command(in_session(session, 1, id(101), &[])).result.is_ok(), "it hears already");
    assert!(
        member.command(in_session(session, spaces + 1, id(102), &[])).result.is_ok(),
        "it has no such hook"
    );
    assert!(record(&member, session).spaces.iter().copied().eq((1..spaces).map(SpaceId)));
}

#[test]
fn a_cancelled_request_that_has_not_run_never_will() {
    let (mut member, session) = member();
    let was = |was| Ok(Reply::Cancelled { was });
    let cancelled = member.command(cancel(session, 5));
    assert_eq!(cancelled.result, was(Cancelled::NotRun));
    let outcome = Outcome { result: Err(Rejection::Cancelled), ..cancelled };
    assert_eq!(member.command(in_session(session, 1, id(5), &count())), outcome);
    assert_eq!(member.command(in_session(session, 1, id(5), &[])), outcome, "whatever it was");
    assert_eq!(member.command(cancel(session, 5)).result, was(Cancelled::Final));
    member.request(session, acknowledging(6, 6), &count()).unwrap();
    assert_eq!(member.command(cancel(session, 5)).result, was(Cancelled::Final), "it was acknowledged");
    assert_eq!(
        member.command(cancel(session, 6)).result,
        was(Cancelled::Final),
        "it has an outcome that stays"
    );
    assert_eq!((counted(&member), member.counts()), (1, (1, 1, 0, 0)));
    assert_eq!(member.command(cancel(session, 0)).result, Err(Rejection::InvalidRequest));
    assert_eq!(member.command(cancel(SessionId([7; 16]), 1)).result, Err(Rejection::SessionEnded));
    let mut foreign = cancel(session, 7);
    foreign.caller.principal = Principal::System;
    assert_eq!(member.command(foreign).result, Err(Rejection::ForeignSession));
}

#[test]
fn what_was_granted_can_be_given_back_until_it_is_acknowledged() {
    let (mut member, session) = member();
    let granted = member.command(in_session(session, 1, id(1), &[Step::Now]));
    let ticket = granted.revision;
    let given_back = member.command(cancel(session, 1));
    assert_eq!(given_back.result, Ok(Reply::Cancelled { was: Cancelled::Granted }));
    assert_eq!(member.heard(1), format!("cancel {ticket} true\n"));
    let retry = member.command(in_session(session, 1, id(1), &[Step::Now]));
    assert_eq!((retry.result, retry.revision), (Err(Rejection::Cancelled), given_back.revision));
    assert_eq!(member.command(cancel(session, 1)).result, Ok(Reply::Cancelled { was: Cancelled::Final }));
    member.request(session, id(2), &[]).unwrap();
    assert_eq!(
        member.command(cancel(session, 2)).result,
        Ok(Reply::Cancelled { was: Cancelled::Final }),
        "a plain result stays"
    );
    member.request(session, id(3), &[Step::Now]).unwrap();
    member.request(session, acknowledging(4, 4), &[]).unwrap();
    assert_eq!(
        member.command(cancel(session, 3)).result,
        Ok(Reply::Cancelled { was: Cancelled::Final }),
        "it was acknowledged"
    );
}

#[test]
fn a_plain_call_has_no_session_and_may_answer_now_but_not_later() {
    let (mut member, session) = member();
    let shown = member.run(&[Step::Context, Step::Now]).unwrap();
    assert!(matches!(&shown[..], [context] if context.ends_with(" 0 false")), "{shown:?}");
    member.vm.discarded.clear();
    assert_eq!(member.run(&[Step::Later]), Err(Rejection::CannotWait));
    assert_eq!(member.vm.discarded, []);
    assert_eq!(member.run(&[Step::Wait]), Err(Rejection::CannotWait));
    assert_eq!(member.vm.discarded, [SpaceId(1)]);
    assert_eq!((member.counts().2, member.run(&[Step::Grant(1)]).unwrap()), (0, vec!["0".to_string()]));
    let Action::Call(call) = call(1, &[Step::Context]) else { panic!("it is a call") };
    let told =
        member.command(of_session(session, Action::Call(call))).result.map(|reply| seen(&reply)).unwrap();
    assert!(told[0].ends_with(" 0 false"), "a session that was not checked is not told: {told:?}");
}

#[test]
fn requests_past_the_write_limit_are_deferred_and_not_recorded() {
    let (mut member, session) = member();
    let needed = limits::ENTRY_WRITE_BYTES.div_ceil(15 * limits::VALUE_BYTES) as u64;
    let fill = |n| in_session(session, 1, id(n), &[Step::Fill(15)]);
    let applied = member.commands(0, (1..=needed + 1).map(fill).chain([cancel(session, 1)]).collect());
    let deferred =
        applied.outcomes.iter().filter(|outcome| outcome.outcome.result == Err(Rejection::Deferred)).count();
    assert!(deferred >= 2, "{deferred}");
    let ran = needed + 2 - deferred as u64;
    assert_eq!(
        (kept(&member, session, ran + 1), record(&member, session).last_request),
        (None, RequestId(ran))
    );
    assert_eq!(member.machine.head.revision, Revision(5 + ran));
}
