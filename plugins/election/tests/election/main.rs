//! The election as candidates, observers and operators see it, and against a model.
use std::collections::VecDeque;

use proptest::prelude::*;
use synod_election::{
    Election, ElectionError, ElectionEvent, Leadership, NAME_BYTES, SESSION_CANDIDATES, VALUE_BYTES,
};
use synod_sdk::abi::limits;
use synod_sdk::prelude::*;
use synod_test::{Cancelled, Started, TestHost, TestSession};

type Campaigned = Result<Leadership, CallError<ElectionError>>;

/// What was emitted about an election, in a line each.
fn told(host: &TestHost<Election>, election: &str) -> Vec<String> {
    let revisions = host.events("election").into_iter().map(|(revision, ..)| revision);
    let of_election = revisions.zip(host.events_of("election")).filter(|(_, (topic, _))| topic == election);
    let told = |(revision, (_, event))| match event {
        ElectionEvent::Elected { candidate, value, token } => {
            format!("{revision} elected {candidate} {} {token}", text(&value))
        }
        ElectionEvent::Proclaimed { value, token } => {
            format!("{revision} proclaimed {} {token}", text(&value))
        }
        ElectionEvent::Vacant { token } => format!("{revision} vacant {token}"),
    };
    of_election.map(told).collect()
}

fn text(value: &Blob) -> String {
    String::from_utf8_lossy(value).into_owned()
}

/// Who leads an election: its name and value.
fn leader(host: &TestHost<Election>, election: &str) -> Option<(String, String)> {
    let leader = host.client().leader(election).expect("it can be asked")?;
    Some((leader.candidate, text(&leader.value)))
}

/// Who waits to lead an election.
fn line(host: &TestHost<Election>, election: &str) -> Vec<String> {
    host.client()
        .candidates(election, None, None)
        .expect("it can be asked")
        .into_iter()
        .map(|waiting| waiting.candidate)
        .collect()
}

fn leads(candidate: &str, value: &str) -> Option<(String, String)> {
    Some((candidate.into(), value.into()))
}

#[test]
fn whoever_campaigns_first_leads_first_and_observers_see_every_change_in_order() {
    let host = TestHost::of::<Election>();
    let sessions: Vec<_> = (0..3).map(|_| host.open_session()).collect();
    let clients: Vec<_> = sessions.iter().map(|session| session.async_client()).collect();
    let names = ["a", "b", "c"];
    let mut waiting: VecDeque<_> = names
        .iter()
        .zip(&clients)
        .map(|(name, client)| host.start(client.campaign("db", *name, *name)))
        .collect();
    let (mut expected, mut tokens, mut elected) = (Vec::new(), Vec::new(), host.revision());
    elected.0 -= 2;
    for (session, name) in sessions.iter().zip(names) {
        let first = waiting.pop_front().expect("one per session");
        assert!(waiting.iter().all(Started::is_waiting));
        let token = first.take().unwrap().token;
        expected.push(format!("{elected} elected {name} {name} {token}"));
        assert_eq!(leader(&host, "db"), leads(name, name));
        assert!(host.client().is_current("db", token).unwrap());
        session.client().proclaim("db", token, "ready").unwrap();
        expected.push(format!("{} proclaimed ready {token}", host.revision()));
        assert_eq!(leader(&host, "db"), leads(name, "ready"));
        session.client().resign("db", token).unwrap();
        elected = host.revision();
        tokens.push(token);
    }
    expected.push(format!("{elected} vacant {}", tokens[2]));
    assert_eq!(told(&host, "db"), expected);
    assert!(tokens.is_sorted_by(|one, next| one < next));
    assert!(tokens.iter().all(|token| !host.client().is_current("db", *token).unwrap()));
    assert_eq!((leader(&host, "db"), host.rows("election")), (None, 0));
}

#[test]
fn everything_that_changes_an_election_needs_a_session() {
    let host = TestHost::of::<Election>();
    let election = host.client();
    assert_eq!(election.campaign("db", "a", "").rejection(), ElectionError::NoSession);
    assert_eq!(election.resign("db", Token(1)).rejection(), ElectionError::NoSession);
    assert_eq!(election.withdraw("db", "a").rejection(), ElectionError::NoSession);
    assert_eq!(election.proclaim("db", Token(1), "").rejection(), ElectionError::NoSession);
    assert_eq!(election.transfer("db", Token(1), "b").rejection(), ElectionError::NoSession);
}

#[test]
fn a_transfer_makes_a_named_candidate_lead_in_one_command() {
    let host = TestHost::of::<Election>();
    let (one, two, three) = (host.open_session(), host.open_session(), host.open_session());
    let first = one.client().campaign("db", "a", "1").unwrap();
    let (second, third) = (two.async_client(), three.async_client());
    let (b, c) = (host.start(second.campaign("db", "b", "2")), host.start(third.campaign("db", "c", "3")));
    let before = told(&host, "db");
    one.client().transfer("db", first.token, "c").unwrap();
    let handed = host.revision();
    let next = c.take().unwrap();
    assert!(next.token > first.token && b.is_waiting());
    assert_eq!((leader(&host, "db"), line(&host, "db")), (leads("c", "3"), vec!["b".to_owned()]));
    assert_eq!(
        told(&host, "db")[before.len()..],
        [format!("{handed} elected c 3 {}", next.token)],
        "nobody saw it vacant"
    );
    assert_eq!(one.client().resign("db", first.token).rejection(), ElectionError::NotLeader);
    assert_eq!(
        one.client().withdraw("db", "a").rejection(),
        ElectionError::NotCandidate,
        "who transferred has left"
    );
    let former = one.async_client();
    let again = host.start(former.campaign("db", "a", "1"));
    three.client().resign("db", next.token).unwrap();
    assert!(b.take().unwrap().token > next.token && again.is_waiting());
}

#[test]
fn a_transfer_is_refused_unless_its_target_waits() {
    let host = TestHost::of::<Election>();
    let (one, two) = (host.open_session(), host.open_session());
    let leadership = one.client().campaign("db", "a", "1").unwrap();
    let second = two.async_client();
    let b = host.start(second.campaign("db", "b", "2"));
    let before = told(&host, "db");
    for nobody in ["a", "c", ""] {
        assert_eq!(
            one.client().transfer("db", leadership.token, nobody).rejection(),
            ElectionError::NotWaiting,
            "{nobody:?}"
        );
    }
    assert_eq!(
        one.client().transfer("db", Token(leadership.token.0 + 1), "b").rejection(),
        ElectionError::NotLeader
    );
    assert_eq!(
        two.client().transfer("db", leadership.token, "b").rejection(),
        ElectionError::NotLeader,
        "a token is no right"
    );
    assert_eq!(one.client().transfer("other", leadership.token, "b").rejection(), ElectionError::NotLeader);
    assert_eq!(b.cancel(), Cancelled::Waiting);
    assert_eq!(one.client().transfer("db", leadership.token, "b").rejection(), ElectionError::NotWaiting);
    assert_eq!((leader(&host, "db"), told(&host, "db")), (leads("a", "1"), before));
}

#[test]
fn only_the_leader_with_its_token_resigns_and_proclaims() {
    let host = TestHost::of::<Election>();
    let (one, two) = (host.open_session(), host.open_session());
    let former = one.client().campaign("db", "a", "1").unwrap();
    one.client().resign("db", former.token).unwrap();
    let leadership = one.client().campaign("db", "a", "2").unwrap();
    let before = told(&host, "db");
    for (session, token) in [(&one, former.token), (&one, Token(u64::MAX)), (&two, leadership.token)] {
        assert_eq!(session.client().resign("db", token).rejection(), ElectionError::NotLeader);
        assert_eq!(session.client().proclaim("db", token, "3").rejection(), ElectionError::NotLeader);
    }
    assert_eq!((leader(&host, "db"), told(&host, "db")), (leads("a", "2"), before));
}

#[test]
fn a_candidate_campaigns_once_at_a_time() {
    let host = TestHost::of::<Election>();
    let (one, two) = (host.open_session(), host.open_session());
    let leadership = one.client().campaign("db", "a", "1").unwrap();
    let again = one.client().campaign("db", "a", "other").rejection();
    assert_eq!(again, ElectionError::AlreadyCandidate { token: Some(leadership.token) });
    assert_eq!(two.client().campaign("db", "a", "2").rejection(), ElectionError::NameTaken);
    let second = two.async_client();
    let b = host.start(second.campaign("db", "b", "2"));
    assert_eq!(
        two.client().campaign("db", "b", "2").rejection(),
        ElectionError::AlreadyCandidate { token: None }
    );
    assert_eq!(one.client().campaign("db", "b", "2").rejection(), ElectionError::NameTaken);
    two.client().campaign("other", "a", "2").unwrap();
    assert_eq!((leader(&host, "db"), line(&host, "db")), (leads("a", "1"), vec!["b".to_owned()]));
    one.close();
    b.take().unwrap();
    let own = two.async_client();
    assert!(host.start(own.campaign("db", "a", "3")).is_waiting(), "the name is free again");
}

#[test]
fn a_candidate_withdraws_while_it_waits_and_while_it_leads() {
    let host = TestHost::of::<Election>();
    let (one, two, three) = (host.open_session(), host.open_session(), host.open_session());
    one.client().campaign("db", "a", "1").unwrap();
    let (second, third) = (two.async_client(), three.async_client());
    let (b, c) = (host.start(second.campaign("db", "b", "2")), host.start(third.campaign("db", "c", "3")));
    assert_eq!(
        one.client().withdraw("db", "b").rejection(),
        ElectionError::NotCandidate,
        "it is another session's"
    );
    let before = told(&host, "db");
    two.client().withdraw("db", "b").unwrap();
    assert_eq!(b.take().rejection(), ElectionError::Withdrawn);
    assert_eq!(two.client().withdraw("db", "b").rejection(), ElectionError::NotCandidate);
    assert_eq!(
        (line(&host, "db"), told(&host, "db")),
        (vec!["c".to_owned()], before),
        "who waits is no event"
    );
    one.client().withdraw("db", "a").unwrap();
    let token = c.take().unwrap().token;
    assert_eq!(told(&host, "db").last(), Some(&format!("{} elected c 3 {token}", host.revision())));
}

#[test]
fn the_end_of_a_session_ends_what_it_led_and_waited_for() {
    for expire in [false, true] {
        let host = TestHost::of::<Election>();
        let (one, two, three) = (host.open_session(), host.open_session(), host.open_session());
        let before =
            [one.client().campaign("x", "a", "1").unwrap(), one.client().campaign("y", "a", "1").unwrap()];
        let (own, second, third) = (one.async_client(), two.async_client(), three.async_client());
        let passed_over = host.start(own.campaign("x", "a too", "1"));
        let (x, y) = (host.start(second.campaign("x", "b", "2")), host.start(second.campaign("y", "b", "2")));
        let behind = host.start(third.campaign("x", "c", "3"));
        if expire {
            one.expire()
        } else {
            one.close()
        }
        let ended = host.revision();
        assert!(
            matches!(passed_over.take(), Err(CallError::SessionExpired(_))),
            "it stood first in line and is passed over"
        );
        let after = [x.take().unwrap(), y.take().unwrap()];
        assert!(after.iter().all(|after| before.iter().all(|before| before.token < after.token)));
        assert_eq!(told(&host, "x")[1..], [format!("{ended} elected b 2 {}", after[0].token)]);
        assert!(behind.is_waiting());
        two.close();
        let last = behind.take().unwrap();
        assert!(last.token > after[0].token);
        assert_eq!(told(&host, "y").last(), Some(&format!("{} vacant {}", host.revision(), after[1].token)));
        three.close();
        assert_eq!(told(&host, "x").last(), Some(&format!("{} vacant {}", host.revision(), last.token)));
        let head = host.head();
        assert_eq!(
            (host.rows("election"), head.sessions, head.requests, head.waiting, head.timers),
            (0, 0, 0, 0, 0)
        );
    }
}

#[test]
fn who_gives_up_leaves_the_line() {
    let host = TestHost::of::<Election>();
    let (one, two) = (host.open_session(), host.open_session());
    let leadership = one.client().campaign("db", "a", "1").unwrap();
    let second = two.async_client();
    let hasty = second.waiting_ms(1_000);
    let cancelled = host.start(second.campaign("db", "b", "2"));
    let timed_out = host.start(hasty.campaign("db", "c", "3"));
    let waits = host.start(second.campaign("db", "d", "4"));
    assert_eq!(cancelled.cancel(), Cancelled::Waiting);
    host.advance_ms(1_000);
    assert_eq!(timed_out.take(), Err(CallError::WaitTimeout));
    assert_eq!(
        two.client().waiting_ms(0).campaign("db", "b", "2"),
        Err(CallError::WaitTimeout),
        "the name was free"
    );
    assert_eq!(line(&host, "db"), ["d"]);
    one.client().resign("db", leadership.token).unwrap();
    assert!(waits.take().unwrap().token > leadership.token);
    assert_eq!(host.head().timers, 0);
}

#[test]
fn a_leadership_that_nobody_heard_of_passes_on() {
    let host = TestHost::of::<Election>();
    let (one, two, three) = (host.open_session(), host.open_session(), host.open_session());
    let first = one.client().campaign("db", "a", "1").unwrap();
    let (second, third) = (two.async_client(), three.async_client());
    let (b, c) = (host.start(second.campaign("db", "b", "2")), host.start(third.campaign("db", "c", "3")));
    one.client().resign("db", first.token).unwrap();
    assert_eq!(leader(&host, "db"), leads("b", "2"));
    assert_eq!(b.cancel(), Cancelled::Granted);
    let last = c.take().unwrap();
    assert_eq!(told(&host, "db").last(), Some(&format!("{} elected c 3 {}", host.revision(), last.token)));
    let alone = host.start(third.campaign("other", "c", "3"));
    assert_eq!(alone.cancel(), Cancelled::Granted);
    assert_eq!((leader(&host, "other"), leader(&host, "db")), (None, leads("c", "3")));
    assert_eq!(told(&host, "other").len(), 2, "elected and vacant");
}

#[test]
fn what_was_given_away_is_not_taken_back_by_a_late_cancel() {
    let host = TestHost::of::<Election>();
    let (one, two, three) = (host.open_session(), host.open_session(), host.open_session());
    let first = one.client().campaign("db", "a", "1").unwrap();
    let (second, third) = (two.async_client(), three.async_client());
    let (b, c) = (host.start(second.campaign("db", "b", "2")), host.start(third.campaign("db", "c", "3")));
    one.client().resign("db", first.token).unwrap();
    let token = host.client().leader("db").unwrap().unwrap().token;
    two.client().transfer("db", token, "c").unwrap();
    let before = told(&host, "db");
    assert_eq!(b.cancel(), Cancelled::Granted, "it was elected, and never heard of it");
    assert_eq!((leader(&host, "db"), told(&host, "db")), (leads("c", "3"), before));
    three.client().resign("db", c.take().unwrap().token).unwrap();
    assert_eq!(host.rows("election"), 0);
}

#[test]
fn a_retry_campaigns_and_resigns_once() {
    let host = TestHost::of::<Election>();
    let session = host.open_session();
    let leadership = session.client().campaign("db", "a", "1").unwrap();
    session.retry_last();
    assert_eq!(told(&host, "db").len(), 1);
    session.client().resign("db", leadership.token).unwrap();
    let again = session.client().campaign("db", "a", "1").unwrap();
    session.retry_last();
    assert!(host.client().is_current("db", again.token).unwrap());
    assert_eq!(told(&host, "db").len(), 3);
}

#[test]
fn lines_and_elections_come_in_pages() {
    let host = TestHost::of::<Election>();
    let session = host.open_session();
    for election in ["c", "a", "b"] {
        session.client().campaign(election, "me", "1").unwrap();
    }
    let names = |rows: Vec<(String, synod_election::Leader)>| {
        rows.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
    };
    assert_eq!(names(host.client().list(Some(2), None).unwrap()), ["a", "b"]);
    assert_eq!(names(host.client().list(Some(2), Some("b".into())).unwrap()), ["c"]);
    assert_eq!(names(host.client().list(None, Some("c".into())).unwrap()), [""; 0]);
    let client = session.async_client();
    let waiting: Vec<_> = (0..3).map(|n| host.start(client.campaign("a", format!("{n}"), ""))).collect();
    let page = host.client().candidates("a", Some(2), None).unwrap();
    assert_eq!(page.iter().map(|waiting| waiting.candidate.as_str()).collect::<Vec<_>>(), ["0", "1"]);
    let rest = host.client().candidates("a", Some(2), Some(page[1].ticket.id())).unwrap();
    assert_eq!(
        rest.iter().map(|waiting| (waiting.candidate.as_str(), waiting.session)).collect::<Vec<_>>(),
        [("2", session.id())]
    );
    assert!(waiting.iter().all(Started::is_waiting));
}

#[test]
fn names_and_values_have_limits() {
    let host = TestHost::of::<Election>();
    let session = host.open_session();
    let (election, long) = (session.client(), "ü".repeat(NAME_BYTES / 2));
    for bad in [format!("{long}n"), String::new(), "a\0".into(), "a\n".into()] {
        assert_eq!(election.campaign(bad.as_str(), "a", "").rejection(), ElectionError::BadName);
        assert_eq!(election.campaign("db", bad.as_str(), "").rejection(), ElectionError::BadName);
    }
    let too_long = ElectionError::ValueTooLong { bytes: VALUE_BYTES as u64 + 1, limit: VALUE_BYTES as u64 };
    assert_eq!(election.campaign("db", "a", vec![7; VALUE_BYTES + 1]).rejection(), too_long);
    let token = election.campaign(long.as_str(), long.as_str(), vec![7; VALUE_BYTES]).unwrap().token;
    assert_eq!(election.proclaim(long.as_str(), token, vec![7; VALUE_BYTES + 1]).rejection(), too_long);
    assert_eq!(host.events("election").len(), 1);
}

#[test]
fn a_session_has_so_many_candidates_and_all_of_them_end_with_it_in_one_command() {
    let host = TestHost::of::<Election>();
    let (session, other) = (host.open_session(), host.open_session());
    let long = "n".repeat(NAME_BYTES - 4);
    let (name, value) = (|n: u32| format!("{n:04}{long}"), || vec![7; VALUE_BYTES]);
    for n in 0..SESSION_CANDIDATES {
        session.client().campaign(name(n), name(0), value()).unwrap();
    }
    assert_eq!(session.client().campaign("one more", "a", "").rejection(), ElectionError::TooMany);
    let others = other.async_client();
    let waiting: Vec<_> =
        (0..SESSION_CANDIDATES).map(|n| host.start(others.campaign(name(n), name(1), value()))).collect();
    assert_eq!(other.client().campaign("one more", "a", "").rejection(), ElectionError::TooMany);
    let rows = host.client().list(None, None).unwrap();
    assert_eq!(rows.len(), SESSION_CANDIDATES as usize, "the longest rows fit into a page");
    session.expire();
    assert!(host.fuel_used() < limits::CALL_FUEL * 3 / 4, "{} of fuel", host.fuel_used());
    for started in waiting {
        started.take().unwrap();
    }
    let token = host.client().leader(name(0)).unwrap().unwrap().token;
    other.client().resign(name(0), token).unwrap();
    other.client().campaign("one more", "a", "").unwrap();
    other.close();
    assert_eq!((host.rows("election"), host.head().requests), (0, 0));
}

/// A step of the test against the model: sessions, candidates and elections by number.
#[derive(Clone, Debug)]
enum Step {
    Campaign { session: usize, candidate: usize, election: usize, wait_ms: Option<u64> },
    Resign { election: usize },
    Proclaim { election: usize },
    Transfer { election: usize, to: usize },
    Withdraw { session: usize, candidate: usize, election: usize },
    Cancel { which: usize },
    End { session: usize, expire: bool },
    Advance { ms: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let place = (0..3_usize, 0..4_usize, 0..2_usize);
    prop_oneof![
        6 => (place.clone(), prop_oneof![3 => Just(None), 1 => (0..50_u64).prop_map(Some)])
            .prop_map(|((session, candidate, election), wait_ms)| Step::Campaign { session, candidate, election, wait_ms }),
        2 => (0..2_usize).prop_map(|election| Step::Resign { election }),
        1 => (0..2_usize).prop_map(|election| Step::Proclaim { election }),
        2 => (0..2_usize, 0..4_usize).prop_map(|(election, to)| Step::Transfer { election, to }),
        1 => place.prop_map(|(session, candidate, election)| Step::Withdraw { session, candidate, election }),
        2 => (0..8_usize).prop_map(|which| Step::Cancel { which }),
        1 => (0..3_usize, any::<bool>()).prop_map(|(session, expire)| Step::End { session, expire }),
        1 => (0..30_u64).prop_map(|ms| Step::Advance { ms }),
    ]
}

/// A candidate of the model: the number of its call, its session, its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Standing {
    call: usize,
    session: usize,
    candidate: usize,
}

/// An election of the model: who leads, who waits, and what observers were told: who was elected,
/// `None` for vacant.
#[derive(Debug, Default)]
struct Modelled {
    leader: Option<Standing>,
    line: Vec<Standing>,
    told: Vec<Option<usize>>,
}

impl Modelled {
    fn of(&self, candidate: usize) -> Option<Standing> {
        self.leader.iter().chain(&self.line).find(|standing| standing.candidate == candidate).copied()
    }

    fn elect(&mut self, standing: Option<Standing>) {
        self.leader = standing;
        self.told.push(standing.map(|standing| standing.candidate));
    }

    fn leave(&mut self, gone: impl Fn(&Standing) -> bool) {
        self.line.retain(|standing| !gone(standing));
        if self.leader.as_ref().is_some_and(gone) {
            let next = (!self.line.is_empty()).then(|| self.line.remove(0));
            self.elect(next);
        }
    }
}

/// A call of `campaign` in the test.
struct Call<'f> {
    number: usize,
    session: usize,
    until: Option<Time>,
    started: Started<'f, Campaigned>,
}

fn run(steps: &[Step]) {
    let host = TestHost::of::<Election>();
    let (elections, names) = (["x", "y"], ["a", "b", "c", "d"]);
    // A session that ends is followed by the next of these.
    let ends = steps.iter().filter(|step| matches!(step, Step::End { .. })).count();
    let pool: Vec<_> = (0..3 + ends).map(|_| host.open_session()).collect();
    let clients: Vec<_> = pool.iter().map(|session| session.async_client()).collect();
    let (mut current, mut fresh) = ([0, 1, 2], 3);
    let mut model = [Modelled::default(), Modelled::default()];
    let mut calls = Vec::<Call<'_>>::new();
    let token_of = |election: usize| {
        host.client().leader(elections[election]).expect("it can be asked").map(|leader| leader.token)
    };
    for (number, step) in steps.iter().enumerate() {
        match *step {
            Step::Campaign { session, candidate, election, wait_ms } => {
                let (client, place, name) =
                    (&clients[current[session]], elections[election], names[candidate]);
                let started = host.start(async move {
                    match wait_ms {
                        None => client.campaign(place, name, name).await,
                        Some(wait_ms) => client.waiting_ms(wait_ms).campaign(place, name, name).await,
                    }
                });
                let modelled = &mut model[election];
                let standing = Standing { call: number, session, candidate };
                match modelled.of(candidate) {
                    Some(former) if former.session == session => {
                        let token = token_of(election).filter(|_| modelled.leader == Some(former));
                        assert_eq!(started.take().rejection(), ElectionError::AlreadyCandidate { token });
                        continue;
                    }
                    Some(_) => {
                        assert_eq!(started.take().rejection(), ElectionError::NameTaken);
                        continue;
                    }
                    None if modelled.leader.is_none() => modelled.elect(Some(standing)),
                    None if wait_ms == Some(0) => {}
                    None => modelled.line.push(standing),
                }
                calls.push(Call {
                    number,
                    session,
                    until: wait_ms.map(|ms| host.now().plus_ms(ms)),
                    started,
                });
            }
            Step::Resign { election } => {
                if let (Some(leader), Some(token)) = (model[election].leader, token_of(election)) {
                    pool[current[leader.session]]
                        .client()
                        .resign(elections[election], token)
                        .expect("it leads");
                    model[election].leave(|standing| *standing == leader);
                }
            }
            Step::Proclaim { election } => {
                if let (Some(leader), Some(token)) = (model[election].leader, token_of(election)) {
                    pool[current[leader.session]]
                        .client()
                        .proclaim(elections[election], token, "new")
                        .expect("it leads");
                }
            }
            Step::Transfer { election, to } => {
                if let (Some(leader), Some(token)) = (model[election].leader, token_of(election)) {
                    let transferred = pool[current[leader.session]].client().transfer(
                        elections[election],
                        token,
                        names[to],
                    );
                    let modelled = &mut model[election];
                    match modelled.line.iter().position(|standing| standing.candidate == to) {
                        None => assert_eq!(transferred.rejection(), ElectionError::NotWaiting),
                        Some(at) => {
                            transferred.expect("its target waits");
                            let next = modelled.line.remove(at);
                            modelled.elect(Some(next));
                        }
                    }
                }
            }
            Step::Withdraw { session, candidate, election } => {
                let withdrawn =
                    pool[current[session]].client().withdraw(elections[election], names[candidate]);
                let modelled = &mut model[election];
                match modelled.of(candidate).filter(|standing| standing.session == session) {
                    None => assert_eq!(withdrawn.rejection(), ElectionError::NotCandidate),
                    Some(gone) => {
                        withdrawn.expect("it is a candidate");
                        modelled.leave(|standing| *standing == gone);
                    }
                }
            }
            Step::Cancel { which } if !calls.is_empty() => {
                let call = calls.remove(which % calls.len());
                if let Cancelled::Granted | Cancelled::Waiting = call.started.cancel() {
                    model
                        .iter_mut()
                        .for_each(|modelled| modelled.leave(|standing| standing.call == call.number));
                }
            }
            Step::Cancel { .. } => {}
            Step::End { session, expire } => {
                let ended = &pool[current[session]];
                if expire {
                    ended.expire()
                } else {
                    ended.close()
                }
                model.iter_mut().for_each(|modelled| modelled.leave(|standing| standing.session == session));
                calls.retain(|call| call.session != session);
                (current[session], fresh) = (fresh, fresh + 1);
            }
            Step::Advance { ms } => {
                host.advance_ms(ms);
                let over = |number| {
                    calls.iter().any(|call| {
                        call.number == number && call.until.is_some_and(|until| until <= host.now())
                    })
                };
                model.iter_mut().for_each(|modelled| modelled.line.retain(|standing| !over(standing.call)));
            }
        }
        for (election, modelled) in elections.iter().zip(&model) {
            let name = |standing: &Standing| names[standing.candidate].to_owned();
            assert_eq!(leader(&host, election).map(|(name, _)| name), modelled.leader.as_ref().map(name));
            assert_eq!(line(&host, election), modelled.line.iter().map(name).collect::<Vec<_>>());
            assert_eq!(
                followed(&host, election),
                modelled.told.iter().map(|who| who.map(|who| names[who].into())).collect::<Vec<_>>()
            );
        }
        for call in &calls {
            let waits = model
                .iter()
                .any(|modelled| modelled.line.iter().any(|standing| standing.call == call.number));
            assert_eq!(call.started.is_waiting(), waits, "call {}", call.number);
        }
    }
    drop(calls);
    current.iter().map(|session| &pool[*session]).chain(&pool[fresh..]).for_each(TestSession::close);
    let head = host.head();
    assert_eq!(
        (host.rows("election"), head.sessions, head.requests, head.waiting, head.timers),
        (0, 0, 0, 0, 0)
    );
}

/// The leaders of an election one after the other, `None` for nobody, as somebody knows them who
/// only follows its events. That somebody also knows who leads now, with which value and token.
fn followed(host: &TestHost<Election>, election: &str) -> Vec<Option<String>> {
    let (mut leaders, mut now, mut last) = (Vec::new(), None, Token(0));
    for (_, event) in host.events_of("election").into_iter().filter(|(topic, _)| topic == election) {
        match event {
            ElectionEvent::Elected { candidate, value, token } => {
                assert!(token > last, "tokens grow");
                leaders.push(Some(candidate.clone()));
                (last, now) = (token, Some((candidate, value)));
            }
            ElectionEvent::Proclaimed { value, token } => {
                let (candidate, _) = now.expect("somebody leads");
                assert_eq!(token, last);
                now = Some((candidate, value));
            }
            ElectionEvent::Vacant { token } => {
                assert_eq!((token, now.is_some()), (last, true));
                leaders.push(None);
                now = None;
            }
        }
    }
    let leader = host.client().leader(election).expect("it can be asked");
    assert_eq!(leader.as_ref().map(|leader| (leader.candidate.clone(), leader.value.clone())), now);
    if let Some(leader) = leader {
        assert_eq!(leader.token, last);
        assert!(host.client().is_current(election, last).expect("it can be asked"));
    }
    leaders
}

/// Fewer against the compiled module, which each case compiles.
fn cases() -> u32 {
    if std::env::var_os("SYNOD_TEST_WASM").is_some() { 8 } else { 128 }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn it_does_what_the_model_does(steps in prop::collection::vec(step(), 1..60)) {
        run(&steps);
    }
}
