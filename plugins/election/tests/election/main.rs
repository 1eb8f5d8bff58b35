//! The election as candidates, observers and operators see it; how candidates leave, and a model
//! of it, have files of their own.
use std::collections::VecDeque;

use synod_election::{
    Election, ElectionError, ElectionEvent, Leadership, NAME_BYTES, SESSION_CANDIDATES, VALUE_BYTES,
};
use synod_sdk::abi::limits;
use synod_sdk::prelude::*;
use synod_sdk::state::Claimed;
use synod_test::{Cancelled, Started, TestHost};

mod hot;
mod leaving;
mod model;

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
    assert_eq!((host.rows("election"), host.head().counts.requests), (0, 0));
}

#[test]
fn who_tells_the_leader_and_the_line_of_an_election_and_what_a_session_has() {
    let host = TestHost::of::<Election>();
    let (one, two) = (host.open_session(), host.open_session());
    let token = one.client().campaign("db", "a", "1").unwrap().token;
    let caller = two.async_client();
    let waiting = host.start(caller.campaign("db", "b", "2"));
    let claimed = |session, owner: &str, token| Claimed {
        name: "db".into(),
        session,
        owner: owner.into(),
        since: host.now(),
        token,
    };
    let (leads, waits) = (claimed(one.id(), "a", Some(token)), claimed(two.id(), "b", None));
    let who = |name: Option<&str>, session| host.client().who(name.map(str::to_owned), session).unwrap();
    assert_eq!(who(Some("db"), None), [leads.clone(), waits.clone()]);
    assert_eq!((who(None, Some(one.id())), who(None, Some(two.id()))), (vec![leads], vec![waits]));
    assert!(waiting.is_waiting());
}
