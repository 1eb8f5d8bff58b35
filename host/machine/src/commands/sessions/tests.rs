//! How sessions open and end.
use synod_abi::{Fault, SessionId, SpaceId, Time, costs, limits};

use crate::testing::*;
use crate::*;

fn opening(nonce: u8, ttl_ms: u64, ttl_policy: TtlPolicy) -> Action {
    let (nonce, secret_hash) = ([nonce; 16], [nonce; 32]);
    Action::OpenSession(OpenSession { nonce, secret_hash, ttl_ms, ttl_policy, label: "of a test".into() })
}

fn ttl(member: &mut Member, nonce: u8, ttl_ms: u64, policy: TtlPolicy) -> Result<u64, Rejection> {
    member.one(opening(nonce, ttl_ms, policy)).map(|reply| match reply {
        Reply::Session { ttl_ms, already: false, .. } => ttl_ms,
        other => panic!("{other:?}"),
    })
}

#[test]
fn opening_again_with_the_nonce_is_the_same_session_while_it_lives() {
    let mut member = Member::formed();
    let applied = member.apply(7, [open(1), open(1), open(2)]);
    let sessions: Vec<(SessionId, bool)> = applied
        .outcomes
        .iter()
        .map(|outcome| match outcome.outcome.result {
            Ok(Reply::Session { session, already, .. }) => (session, already),
            ref other => panic!("{other:?}"),
        })
        .collect();
    let [(first, false), (again, true), (other, false)] = sessions[..] else { panic!("{sessions:?}") };
    assert!(first == again && first < other, "ids sort by age");
    assert_eq!(first.0[..8], 5_u64.to_be_bytes(), "the revision that opened it");
    let opened = |session, nonce| SessionChange::Opened {
        session,
        ttl_ms: limits::SESSION_TTL_DEFAULT_MS,
        secret_hash: [nonce; 32],
    };
    assert_eq!(applied.sessions, [opened(first, 1), opened(other, 2)]);
    let record = sessions::session(&member.state, first).unwrap().unwrap();
    assert_eq!((record.opened_at, record.secret_hash, record.requests), (Time(7), [1; 32], 0));
    let listed = sessions::sessions(&member.state, None, 1).unwrap();
    assert_eq!((listed.items[0].0, listed.more), (first, true));
    assert_eq!(sessions::sessions(&member.state, Some(first), 9).unwrap().items[0].0, other);
    member.one(end(first)).unwrap();
    assert_ne!(member.open(1), first, "an id is not used again");
}

#[test]
fn the_nonce_of_another_client_opens_nothing() {
    let mut member = Member::formed();
    member.open(1);
    let Action::OpenSession(other) = open(1) else { panic!("it opens") };
    let secret = Action::OpenSession(OpenSession { secret_hash: [9; 32], ..other.clone() });
    assert_eq!(member.one(secret), Err(Rejection::ForeignSession));
    let caller = Caller { principal: Principal::System, session: None };
    let command = Command { caller, ..command(Action::OpenSession(other)) };
    assert_eq!(member.command(command).result, Err(Rejection::ForeignSession));
}

#[test]
fn times_to_live_stay_within_bounds() {
    use TtlPolicy::{Exact, Nearest};
    let mut member = Member::formed();
    let SessionBounds { min_ttl_ms, max_ttl_ms } = SessionBounds::default();
    let out = Err(Rejection::TtlOutOfBounds { min_ttl_ms, max_ttl_ms });
    assert_eq!(ttl(&mut member, 1, 0, Exact), Ok(limits::SESSION_TTL_DEFAULT_MS));
    assert_eq!(ttl(&mut member, 2, min_ttl_ms, Exact), Ok(min_ttl_ms));
    assert_eq!(ttl(&mut member, 3, max_ttl_ms, Exact), Ok(max_ttl_ms));
    assert_eq!(ttl(&mut member, 4, min_ttl_ms - 1, Exact), out);
    assert_eq!(ttl(&mut member, 4, max_ttl_ms + 1, Exact), out);
    assert_eq!(ttl(&mut member, 4, 1, Nearest), Ok(min_ttl_ms));
    assert_eq!(ttl(&mut member, 5, u64::MAX, Nearest), Ok(max_ttl_ms));
    let set = |min_ttl_ms, max_ttl_ms| Action::SetSessionBounds {
        bounds: SessionBounds { min_ttl_ms, max_ttl_ms },
    };
    let (floor, ceiling) = (limits::SESSION_TTL_FLOOR_MS, limits::SESSION_TTL_CEILING_MS);
    for (min, max) in [(floor - 1, ceiling), (floor, ceiling + 1), (5_000, 4_999)] {
        assert_eq!(
            member.one(set(min, max)),
            Err(Rejection::TtlOutOfBounds { min_ttl_ms: floor, max_ttl_ms: ceiling })
        );
    }
    assert_eq!(member.one(set(60_000, 60_000)), Ok(Reply::Done));
    assert_eq!(
        sessions::bounds(&member.state).unwrap(),
        SessionBounds { min_ttl_ms: 60_000, max_ttl_ms: 60_000 }
    );
    assert_eq!(ttl(&mut member, 6, 0, Exact), Ok(60_000), "who names none is not refused");
    assert!(
        matches!(member.one(opening(3, max_ttl_ms, Exact)), Ok(Reply::Session { already: true, .. })),
        "a retry is not refused"
    );
}

#[test]
fn labels_and_the_number_of_sessions_are_limited() {
    let mut member = Member::formed();
    let Action::OpenSession(request) = open(1) else { panic!("it opens") };
    let labelled = |bytes| Action::OpenSession(OpenSession { label: "x".repeat(bytes), ..request.clone() });
    assert_eq!(member.one(labelled(limits::SESSION_LABEL_BYTES + 1)), Err(Rejection::LabelTooLong));
    assert!(member.one(labelled(limits::SESSION_LABEL_BYTES)).is_ok());
    member.one(end(sessions::sessions(&member.state, None, 1).unwrap().items[0].0)).unwrap();
    member.machine.head.counts.sessions = limits::SESSIONS;
    assert_eq!(member.one_unchecked(open(2)), Err(Rejection::TooMany { what: Counted::Sessions }));
}

#[test]
fn ending_releases_what_the_host_holds_then_tells_the_recipes_that_were_called() {
    let mut member = Member::formed();
    for name in ["b", "c"] {
        member.one(create(name)).unwrap();
    }
    let (session, other) = (member.open(1), member.open(2));
    member.request(session, id(1), &[put("k", "v")]).unwrap();
    member.command(in_session(session, 3, id(2), &[Step::Refuse(1)]));
    member.command(in_session(session, 2, id(3), &[Step::Wait])).result.unwrap();
    let timed = Request { wait_ms: Some(1_000), ..id(4) };
    let Ok(Reply::Parked { ticket }) = member.request(session, timed, &[Step::Later]) else {
        panic!("it waits")
    };
    member.request(other, id(1), &[]).unwrap();
    let at_end = [Step::Complete(ticket.0, "late".into()), put("released", "yes")];
    member.run(&[when("at end", &at_end)]).unwrap();
    assert_eq!(member.counts(), (2, 5, 2, 1));
    assert_eq!(sessions::session(&member.state, session).unwrap().unwrap().spaces, [SpaceId(1), SpaceId(2)]);
    member.vm.invoked.clear();

    let applied = member.apply(9, [end(session)]);
    let revision = applied.outcomes[0].outcome.revision;
    let ended = |request| Completed {
        session,
        request: synod_abi::RequestId(request),
        outcome: Outcome { revision, time: Time(9), result: Err(Rejection::SessionEnded) },
    };
    assert_eq!(applied.completions, [ended(3), ended(4)]);
    assert_eq!(applied.sessions, [SessionChange::Ended { session }]);
    assert_eq!(applied.next_timer, None);
    assert_eq!(member.counts(), (1, 1, 0, 0));
    let hooks: Vec<_> =
        member.vm.invoked.iter().map(|(space, entry_point, _)| (space.0, *entry_point)).collect();
    assert_eq!(
        hooks,
        [1, 2].map(|space| (space, synod_abi::EntryPoint::SessionEnd)),
        "no cancel hooks, and not the space that refused"
    );
    assert_eq!(member.run(&[get("released")]).unwrap(), ["yes"]);
    assert_eq!(sessions::session(&member.state, session), Ok(None));
    member.one(end(other)).unwrap();
    assert_eq!(member.counts(), (0, 0, 0, 0));
    assert_eq!(member.state.rows(Table::Sessions).count(), 0);
    assert_eq!(member.heard(1), format!("end {}\nend {}\n", session.0[7], other.0[7]));
}

#[test]
fn a_session_that_is_gone_is_no_error_for_the_one_who_expires_it() {
    let mut member = Member::formed();
    let session = member.open(1);
    let expire = Action::EndSession { session, cause: EndCause::Expired };
    assert_eq!(member.one(expire.clone()), Ok(Reply::Done));
    assert_eq!(member.one(expire), Ok(Reply::Done));
    assert_eq!(member.one(end(session)), Err(Rejection::SessionEnded));
}

#[test]
fn a_failing_hook_is_undone_and_counted_and_the_others_run() {
    let mut member = Member::formed();
    for name in ["b", "c"] {
        member.one(create(name)).unwrap();
    }
    let session = member.open(1);
    for (request, space) in [(1, 1), (2, 2), (3, 3)] {
        member.command(in_session(session, space, id(request), &[])).result.unwrap();
    }
    let ends = [
        vec![put("k", "v"), Step::Fault(Fault::OutOfFuel)],
        vec![put("k", "v")],
        vec![put("k", "v"), Step::Later],
    ];
    for (space, steps) in (1..).zip(ends) {
        member.one(call(space, &[when("at end", &steps)])).unwrap();
    }
    member.vm.discarded.clear();
    let applied =
        member.apply(0, [call(1, &[Step::Remember]), end(session), call(1, &[Step::Remember, get("k")])]);
    let revision = applied.outcomes[1].outcome.revision;
    assert_eq!(applied.outcomes[1].outcome.result, Ok(Reply::Done));
    assert_eq!(
        seen(applied.outcomes[2].outcome.result.as_ref().unwrap()),
        ["1", "absent"],
        "its instance is a new one"
    );
    assert_eq!(member.vm.discarded, [SpaceId(1), SpaceId(3)]);
    assert_eq!(
        member.command(command(call(2, &[get("k")]))).result.map(|reply| seen(&reply)),
        Ok(vec!["v".to_string()])
    );
    let failures =
        |fault| Ok(Some(directory::HookFailures { count: 1, revision, why: DeliveryFailure::Fault(fault) }));
    let failed = [1, 2, 3].map(|space| directory::hook_failures(&member.state, SpaceId(space)));
    assert_eq!(failed, [failures(Fault::OutOfFuel), Ok(None), failures(Fault::BadReply)]);
    let session = member.open(2);
    member.request(session, id(1), &[]).unwrap();
    member.one(end(session)).unwrap();
    assert_eq!(directory::hook_failures(&member.state, SpaceId(1)).unwrap().unwrap().count, 2);
    member.one(Action::DeleteSpace { name: space("a") }).unwrap();
    assert_eq!(directory::hook_failures(&member.state, SpaceId(1)), Ok(None));
}

#[test]
fn a_space_that_is_deleted_hears_nothing() {
    let mut member = Member::formed();
    let session = member.open(1);
    member.request(session, id(1), &[]).unwrap();
    member.one(Action::DeleteSpace { name: space("a") }).unwrap();
    member.vm.invoked.clear();
    assert_eq!(member.one(end(session)), Ok(Reply::Done));
    assert_eq!(member.vm.invoked, []);
}

#[test]
fn fuel_is_that_of_all_that_a_command_ran() {
    let mut member = Member::formed();
    member.one(create("b")).unwrap();
    let session = member.open(1);
    let commands = vec![
        in_session(session, 1, id(1), &[]),
        in_session(session, 2, id(2), &[]),
        in_session(session, 2, id(2), &[]),
        in_session(session, 9, id(3), &[]),
        command(end(session)),
    ];
    let fuel: Vec<u64> = member.commands(0, commands).outcomes.iter().map(|outcome| outcome.fuel).collect();
    let mut other = Member::formed();
    let session = other.open(1);
    other.request(session, id(1), &[]).unwrap();
    let hook = other.apply(0, [end(session)]).outcomes[0].fuel;
    let nothing = synod_abi::encode::<[Step]>(&[]).len() as u64;
    let call = costs::ENTER + nothing * (costs::ARGUMENT_BYTE + costs::RESULT_BYTE);
    assert!(hook > call);
    assert_eq!(
        fuel,
        [call, call, 0, 0, 2 * hook],
        "a retry and an unknown space are nothing, an end is its hooks"
    );
}

#[test]
fn hooks_of_a_command_have_seeds_of_their_own() {
    let mut member = Member::formed();
    member.one(create("b")).unwrap();
    let session = member.open(1);
    member.request(session, id(1), &[]).unwrap();
    member.command(in_session(session, 2, id(2), &[])).result.unwrap();
    member.one(end(session)).unwrap();
    let mut seeds: Vec<_> = member.vm.invoked.iter().map(|(.., seed)| *seed).collect();
    assert_eq!(seeds.len(), 4);
    seeds.sort_unstable();
    seeds.dedup();
    assert_eq!(seeds.len(), 4);
}

#[test]
fn a_count_that_contradicts_the_rows_stops_the_member() {
    let mut member = Member::formed();
    let session = member.open(1);
    member.machine.head.counts.sessions = 0;
    let fatal = member.try_apply(0, [end(session)]).unwrap_err();
    assert!(fatal.0.starts_with("the number of sessions would fall below zero"), "{fatal}");
    let fatal = member.try_apply(0, [open(2)]).unwrap_err();
    assert!(fatal.0.starts_with("the machine stopped at an earlier entry"), "{fatal}");
}

#[test]
fn a_hook_that_an_upgrade_adds_runs_for_sessions_that_called_before() {
    let mut member = Member::formed();
    let recipe = synod_abi::RecipeName::new("other").unwrap();
    for name in ["late", "never"] {
        member.one(install(OTHER_1)).unwrap();
        let (name, recipe) = (space(name), recipe.clone());
        member.one(Action::CreateSpace { name, recipe, version: Some(1) }).unwrap();
    }
    let (session, other) = (member.open(1), member.open(2));
    for (n, of) in [(1, 2), (2, 1), (3, 3)] {
        let at_end = [put("released", "yes")];
        member.command(in_session(session, of, id(n), &[when("at end", &at_end)])).result.unwrap();
    }
    let record = sessions::session(&member.state, session).unwrap().unwrap();
    assert_eq!((record.spaces, record.without_hook), (vec![SpaceId(1)], vec![SpaceId(2), SpaceId(3)]));
    member.one(install(OTHER_2)).unwrap();
    member.one(Action::UpgradeSpace { name: space("late"), to: 2 }).unwrap();
    member.command(in_session(session, 2, id(4), &[])).result.unwrap();
    member.vm.invoked.clear();
    member.one(end(session)).unwrap();
    let row = |n: u32| [n.to_be_bytes().as_slice(), b"released"].concat();
    let released = |n| member.state.get(Table::State, &row(n)).unwrap().is_some();
    assert_eq!([1, 2, 3].map(released), [true, true, false], "the third has no such hook");
    assert_eq!(member.vm.invoked.len(), 2, "each ran once");
    member.vm.invoked.clear();
    member.one(end(other)).unwrap();
    assert!(member.vm.invoked.is_empty(), "it called nothing");
}
