//! How candidates leave: withdrawn, given up, with their session, or by a cancel that comes late.
use synod_election::{Election, ElectionError};
use synod_sdk::prelude::*;
use synod_test::{Cancelled, TestHost};

use super::{leader, leads, line, told};

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
        let counts = host.head().counts;
        assert_eq!(
            (host.rows("election"), counts.sessions, counts.requests, counts.waiting, counts.timers),
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
    assert_eq!(host.head().counts.timers, 0);
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
