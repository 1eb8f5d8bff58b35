//! Parking, completing, giving up.
use synod_abi::{Blob, Fault, RequestId, SessionId, SpaceId, TicketId, Time, limits};

use crate::rows::sessions::{RequestState, Tickets};
use crate::testing::*;
use crate::*;

fn member() -> (Member, SessionId) {
    let mut member = Member::formed();
    let session = member.open(1);
    (member, session)
}

fn park(member: &mut Member, session: SessionId, request: Request, steps: &[Step]) -> TicketId {
    match member.request(session, request, steps) {
        Ok(Reply::Parked { ticket }) => ticket,
        other => panic!("{other:?}"),
    }
}

fn waiting(id_: u64, ms: u64) -> Request {
    Request { wait_ms: Some(ms), ..id(id_) }
}

fn state(member: &Member, session: SessionId, id: u64) -> RequestState {
    sessions::request(&member.state, session, RequestId(id)).unwrap().unwrap().state
}

fn result(values: &[&str]) -> Result<Reply, Rejection> {
    Ok(Reply::Result(
        synod_abi::encode(&values.iter().map(|value| value.as_bytes().to_vec()).collect::<Vec<_>>()).into(),
    ))
}

#[test]
fn a_parked_call_takes_a_revision_and_is_completed_once_by_another_command() {
    let (mut member, session) = member();
    let waits = || in_session(session, 1, id(1), &[put("k", "v"), Step::Later]);
    let parked = member.command(waits());
    let ticket = TicketId(parked.revision.0);
    assert_eq!(parked.result, Ok(Reply::Parked { ticket }));
    assert_eq!(
        (member.counts(), state(&member, session, 1)),
        (
            (1, 1, 1, 0),
            RequestState::Waiting {
                tickets: Tickets { revision: parked.revision, count: 1 },
                deadline: None
            }
        )
    );
    let retry = member.commands(3, vec![waits()]).outcomes.remove(0).outcome;
    assert_eq!((retry.revision, retry.result), (parked.revision, parked.result));
    let applied = member.apply(
        5,
        [call(1, &[get("k"), Step::Complete(ticket.0, "yes".into()), Step::Complete(ticket.0, "no".into())])],
    );
    let completing = &applied.outcomes[0].outcome;
    assert_eq!(completing.result.as_ref().map(seen), Ok(vec!["v".into(), "1".into(), "0".to_string()]));
    let outcome = Outcome { revision: completing.revision, time: Time(5), result: result(&["yes"]) };
    assert_eq!(applied.completions, [Completed { session, request: RequestId(1), outcome: outcome.clone() }]);
    assert_eq!(
        state(&member, session, 1),
        RequestState::Done { outcome: outcome.clone(), ticket: Some(ticket), parked: true }
    );
    assert_eq!(member.command(waits()), outcome, "a retry has it");
    assert_eq!(member.counts(), (1, 1, 0, 0));
}

#[test]
fn a_call_may_be_completed_in_the_entry_that_parked_it_and_by_its_own_session() {
    let (mut member, session) = member();
    let ticket = member.machine.head.revision.0 + 1;
    let applied = member.commands(
        0,
        vec![
            in_session(session, 1, id(1), &[Step::Later]),
            in_session(session, 1, id(2), &[Step::Complete(ticket, "x".into())]),
            in_session(session, 1, acknowledging(3, 3), &[Step::Complete(ticket, "x".into())]),
        ],
    );
    assert_eq!(applied.completions.len(), 1);
    let told: Vec<_> = applied.outcomes[1..]
        .iter()
        .flat_map(|outcome| seen(outcome.outcome.result.as_ref().unwrap()))
        .collect();
    assert_eq!(told, ["1", "0"]);
    assert_eq!(member.counts(), (1, 2, 0, 0));
}

#[test]
fn a_call_can_be_completed_with_an_error() {
    let (mut member, session) = member();
    let ticket = park(&mut member, session, id(1), &[Step::Later]);
    let applied = member.apply(0, [call(1, &[Step::Reject(ticket.0, 7)])]);
    assert_eq!(applied.completions[0].outcome.result, Err(Rejection::Recipe { code: 7, error: "no".into() }));
    assert_eq!(
        member.command(cancel(session, 1)).result,
        Ok(Reply::Cancelled { was: Cancelled::Final }),
        "there is nothing to give back"
    );
}

#[test]
fn nothing_is_completed_by_a_rolled_back_command_nor_from_another_space() {
    let (mut member, session) = member();
    member.one(create("b")).unwrap();
    let ticket = park(&mut member, session, id(1), &[Step::Later]);
    let refused = member.apply(0, [call(1, &[Step::Complete(ticket.0, "x".into()), Step::Refuse(1)])]);
    assert_eq!((refused.completions.len(), member.counts().2), (0, 1));
    assert_eq!(member.vm.discarded, [SpaceId(1)], "its instance may remember that it completed a call");
    let malformed = member.one(call(1, &[Step::CompleteRaw(ticket.0, Blob(vec![9]))]));
    assert_eq!(malformed, Err(Rejection::Fault(Fault::BadReply)));
    let foreign = member.one(call(2, &[Step::Complete(ticket.0, "x".into())]));
    assert_eq!(foreign.map(|reply| seen(&reply)), Ok(vec!["0".to_string()]));
    let refused = member.command(in_session(
        session,
        1,
        id(2),
        &[Step::Complete(ticket.0, "x".into()), Step::Refuse(1)],
    ));
    assert!(refused.result.is_err());
    assert!(matches!(state(&member, session, 1), RequestState::Waiting { .. }));
}

#[test]
fn a_call_that_may_not_wait_is_told_at_once_and_that_is_its_outcome() {
    let (mut member, session) = member();
    let timed_out = member.request(session, waiting(1, 0), &[Step::Wait]);
    assert_eq!(timed_out, Err(Rejection::WaitTimeout));
    assert_eq!(member.run(&[Step::Grant(1)]).unwrap(), ["0"], "it was rolled back");
    assert!(matches!(state(&member, session, 1), RequestState::Done { parked: false, .. }));
    assert_eq!(
        member.request(session, waiting(1, 5), &[Step::Wait]),
        Err(Rejection::WaitTimeout),
        "the retry too, however long it may"
    );
    assert!(member.request(session, waiting(2, 0), &[Step::Now]).is_ok(), "it does not wait");
    assert_eq!(member.counts(), (1, 2, 0, 0));
}

#[test]
fn a_deadline_gives_the_call_up_and_tells_the_recipe() {
    let (mut member, session) = member();
    member.apply(100, []);
    let ticket = park(&mut member, session, waiting(1, 50), &[Step::Wait]);
    let other = park(&mut member, session, waiting(2, 60), &[Step::Wait]);
    assert_eq!((member.counts(), member.machine.next_due.first()), ((1, 2, 2, 2), Some(Time(150))));
    let early = member.tick(149);
    assert_eq!((early.completions.len(), member.counts().2), (0, 2));
    let due = member.tick(150);
    let outcome = Outcome {
        revision: due.outcomes[0].outcome.revision,
        time: Time(150),
        result: Err(Rejection::WaitTimeout),
    };
    assert_eq!(due.completions, [Completed { session, request: RequestId(1), outcome: outcome.clone() }]);
    assert_eq!(state(&member, session, 1), RequestState::Done { outcome, ticket: None, parked: true });
    assert_eq!(member.heard(1), format!("cancel {ticket} false\n"));
    assert_eq!(due.next_timer, Some(Time(160)));
    let completed = member.apply(155, [call(1, &[Step::Grant(9)])]);
    assert_eq!((completed.completions.len(), completed.next_timer, member.counts()), (1, None, (1, 2, 0, 0)));
    member.tick(200);
    assert_eq!(member.heard(1), format!("cancel {ticket} false\n"), "{other} was granted in time");
}

#[test]
fn cancelling_a_waiting_call_answers_it_and_tells_the_recipe() {
    let (mut member, session) = member();
    let ticket = park(&mut member, session, waiting(1, 1_000), &[Step::Wait]);
    let next = park(&mut member, session, id(2), &[Step::Wait]);
    let at_cancel =
        [Step::Complete(ticket.0, "late".into()), Step::Context, Step::Complete(next.0, "freed".into())];
    member.run(&[when("at cancel", &at_cancel)]).unwrap();
    let applied = member.commands(7, vec![cancel(session, 1)]);
    let cancelled = &applied.outcomes[0].outcome;
    assert_eq!(cancelled.result, Ok(Reply::Cancelled { was: Cancelled::Waiting }));
    let completed: Vec<_> =
        applied.completions.iter().map(|done| (done.request.0, done.outcome.result.clone())).collect();
    assert_eq!(
        completed,
        [(1, Err(Rejection::Cancelled)), (2, result(&["freed"]))],
        "the cancelled one is not completed again"
    );
    assert_eq!(applied.completions[0].outcome.revision, cancelled.revision);
    assert_eq!((member.heard(1), member.counts()), (format!("cancel {ticket} false\n"), (1, 2, 0, 0)));
}

#[test]
fn cancelling_after_the_grant_hands_on_what_was_granted() {
    let (mut member, session) = member();
    let ticket = park(&mut member, session, id(1), &[Step::Wait]);
    park(&mut member, session, id(2), &[Step::Wait]);
    member.run(&[Step::Grant(1)]).unwrap();
    let applied = member.commands(0, vec![cancel(session, 1)]);
    assert_eq!(applied.outcomes[0].outcome.result, Ok(Reply::Cancelled { was: Cancelled::Granted }));
    let handed_on: Vec<_> = applied.completions.iter().map(|done| done.request.0).collect();
    assert_eq!((handed_on, member.heard(1)), (vec![2], format!("cancel {ticket} true\n")));
    assert!(matches!(state(&member, session, 1), RequestState::Done { ticket: None, parked: true, .. }));
    assert_eq!(member.command(cancel(session, 1)).result, Ok(Reply::Cancelled { was: Cancelled::Final }));
    let acknowledged = Request { acknowledged: vec![RequestId(1), RequestId(2)], ..acknowledging(3, 3) };
    member.request(session, acknowledged, &[]).unwrap();
    assert_eq!(
        member.command(cancel(session, 2)).result,
        Ok(Reply::Cancelled { was: Cancelled::Final }),
        "it was acknowledged"
    );
    assert_eq!(member.counts(), (1, 1, 0, 0));
}

#[test]
fn a_failing_cancel_hook_does_not_keep_the_call_waiting() {
    let (mut member, session) = member();
    park(&mut member, session, id(1), &[Step::Wait]);
    let at_cancel = [Step::Fault(Fault::Panic)];
    member.run(&[when("at cancel", &at_cancel)]).unwrap();
    assert_eq!(member.command(cancel(session, 1)).result, Ok(Reply::Cancelled { was: Cancelled::Waiting }));
    assert_eq!(
        directory::hook_failures(&member.state, SpaceId(1)).unwrap().unwrap().why,
        DeliveryFailure::Fault(Fault::Panic)
    );
    assert_eq!((member.heard(1), member.counts()), (String::new(), (1, 1, 0, 0)));
    assert_eq!(
        member.run(&[Step::Grant(1)]).unwrap(),
        ["0"],
        "the ticket that the recipe still has is nobody's"
    );
}

#[test]
fn deleting_a_space_gives_its_waiting_calls_up() {
    let (mut member, session) = member();
    member.one(create("b")).unwrap();
    park(&mut member, session, waiting(1, 1_000), &[Step::Wait]);
    member.command(in_session(session, 2, id(2), &[Step::Wait])).result.unwrap();
    member.vm.invoked.clear();
    let applied = member.apply(0, [Action::DeleteSpace { name: space("a") }]);
    let given_up: Vec<_> =
        applied.completions.iter().map(|done| (done.request.0, done.outcome.result.clone())).collect();
    assert_eq!(given_up, [(1, Err(Rejection::UnknownSpace))]);
    assert_eq!((member.vm.invoked.len(), applied.next_timer, member.counts()), (0, None, (1, 2, 1, 0)));
}

#[test]
fn as_many_calls_wait_in_a_space_as_one_command_can_complete() {
    let mut member = Member::formed();
    let most = u64::from(limits::SPACE_TICKETS);
    let sessions: Vec<_> = (1..=8).map(|nonce| member.open(nonce)).collect();
    let each = most / 8;
    for session in &sessions {
        let waits = |n| {
            in_session(
                *session,
                1,
                Request { wait_ms: (n % 2 == 0).then_some(1_000), ..id(n) },
                &[Step::Wait],
            )
        };
        let applied = member.commands(0, (1..=each).map(waits).collect());
        assert!(applied.outcomes.iter().all(|outcome| outcome.outcome.result.is_ok()));
    }
    assert_eq!(member.counts(), (8, most, most, most / 2));
    member.vm.discarded.clear();
    let over = in_session(sessions[0], 1, acknowledging(each + 1, 2), &[Step::Wait]);
    assert_eq!(member.command(over.clone()).result, Err(Rejection::TooManyWaiting));
    assert_eq!(member.vm.discarded, [SpaceId(1)]);
    assert!(
        member
            .request(sessions[0], Request { after: Some(RequestId(each + 1)), ..id(each + 2) }, &[])
            .is_ok(),
        "what follows it runs"
    );

    let grants = vec![Step::Grant(1_024); 4];
    let applied = member.apply(0, [call(1, &grants)]);
    assert_eq!(seen(applied.outcomes[0].outcome.result.as_ref().unwrap()), ["1024"; 4]);
    assert_eq!((applied.completions.len() as u64, applied.next_timer), (most, None));
    assert_eq!(member.counts(), (8, most + 2, 0, 0));
    assert_eq!(member.command(over).result, Err(Rejection::TooManyWaiting), "a retry finds the outcome");
    let again = in_session(sessions[0], 1, id(each + 3), &[Step::Wait]);
    assert!(matches!(member.command(again).result, Ok(Reply::Parked { .. })));
    member.apply(0, sessions.into_iter().map(end));
    assert_eq!(member.counts(), (0, 0, 0, 0));
}

#[test]
fn deadlines_are_bounded_apart_from_timers() {
    let (mut member, session) = member();
    member.machine.head.counts.timers = limits::TIMERS;
    assert!(member.command_unchecked(in_session(session, 1, waiting(1, 5), &[Step::Later])).result.is_ok());
    member.machine.head.counts.deadlines = limits::DEADLINES;
    let refused = member.command_unchecked(in_session(session, 1, waiting(2, 5), &[Step::Later]));
    assert_eq!(refused.result, Err(Rejection::TooMany { what: Counted::Deadlines }));
}

#[test]
fn a_call_with_several_tickets_is_answered_by_the_first_that_is_completed() {
    let (mut member, session) = member();
    let first = park(&mut member, session, id(1), &[Step::LaterBy(3)]);
    let ticket = |ordinal| TicketId::new(first.revision(), ordinal);
    assert_eq!((first, member.counts()), (ticket(0), (1, 1, 1, 0)));
    let complete = |ordinal| Step::Complete(ticket(ordinal).0, "yes".into());
    let seen = member.run(&[complete(3), complete(1), complete(0), complete(2)]).unwrap();
    assert_eq!(seen, ["0", "1", "0", "0"]);
    let RequestState::Done { outcome, ticket: granted, parked: true } = state(&member, session, 1) else {
        panic!("it is answered")
    };
    assert_eq!((outcome.result, granted), (result(&["yes"]), Some(ticket(1))));
    let was = |was| Ok(Reply::Cancelled { was });
    assert_eq!(member.command(cancel(session, 1)).result, was(Cancelled::Granted));
    assert_eq!(member.heard(1), format!("cancel {} true\n", ticket(1)));
}

#[test]
fn who_gives_up_is_told_of_each_ticket_and_a_deleted_space_gives_up_all() {
    let (mut member, session) = member();
    let first = park(&mut member, session, id(1), &[Step::LaterBy(2)]);
    member.command(cancel(session, 1)).result.unwrap();
    let heard = [0, 1].map(|n| format!("cancel {} false\n", TicketId::new(first.revision(), n)));
    assert_eq!(member.heard(1), heard.concat());
    member.one(create("other")).unwrap();
    let parked = member.command(in_session(session, 2, id(2), &[Step::LaterBy(limits::CALL_TICKETS)]));
    assert!(matches!(parked.result, Ok(Reply::Parked { .. })));
    let applied = member.apply(0, [Action::DeleteSpace { name: space("other") }]);
    assert_eq!((applied.completions.len(), member.counts()), (1, (1, 2, 0, 0)));
}

#[test]
fn tickets_are_bounded_for_a_call_and_for_a_space() {
    let (mut member, session) = member();
    for (n, tickets) in [(1, 0), (2, limits::CALL_TICKETS + 1)] {
        let refused = member.request(session, id(n), &[put("k", "v"), Step::LaterBy(tickets)]);
        assert_eq!(refused, Err(Rejection::Fault(Fault::BadReply)));
    }
    let calls = limits::SPACE_TICKETS / u32::from(limits::CALL_TICKETS);
    let sessions: Vec<_> = (2..=17).map(|nonce| member.open(nonce)).collect();
    for n in 0..calls {
        let by = sessions[n as usize % sessions.len()];
        park(&mut member, by, id(u64::from(n) + 1), &[Step::LaterBy(limits::CALL_TICKETS)]);
    }
    assert_eq!(member.request(session, id(3), &[Step::Later]), Err(Rejection::TooManyWaiting));
    assert_eq!(member.counts().2, u64::from(calls));
}
