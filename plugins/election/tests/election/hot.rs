//! An election that is led by one after the other costs the same after any number of leaderships.
use std::collections::VecDeque;

use synod_election::Election;
use synod_test::TestHost;

/// As many as an election sees in years.
const LEADERSHIPS: usize = 10_000;

#[test]
fn a_succession_reads_as_much_after_ten_thousand_as_the_first() {
    let host = TestHost::of::<Election>();
    let names = ["a", "b", "c"];
    let sessions = names.map(|_| host.open_session());
    let clients: Vec<_> = sessions.iter().map(|session| session.async_client()).collect();
    let campaign = |at: usize| host.start(clients[at].campaign("db", names[at], ""));
    let mut line: VecDeque<_> = (0..names.len()).map(campaign).collect();
    let mut reads = Vec::new();
    for at in (0..names.len()).cycle().take(LEADERSHIPS) {
        let token = line.pop_front().expect("one per session").take().unwrap().token;
        sessions[at].client().resign("db", token).unwrap();
        reads.push(host.reads());
        line.push_back(campaign(at));
    }
    assert_eq!(reads.last(), reads.first());
    assert_eq!(reads.last().map(|reads| reads.passed), Some(0));
}
