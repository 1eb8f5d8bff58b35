//! Unit tests of `router`.
use super::*;

fn router(follow: Follow) -> Router {
    let given = ["a:1", "b:1", "c:1"].map(str::to_owned).to_vec();
    Router::new(given, follow, Backoff { base_ms: 100, max_ms: 1_000 })
}

fn used(router: &Router, now_ms: u64) -> String {
    match router.pick(now_ms) {
        Pick::Use(address) => address,
        Pick::WaitUntil(until) => format!("wait {until}"),
        Pick::Nobody => "nobody".to_owned(),
    }
}

fn members(list: &[(u64, &str)]) -> Vec<(u64, String)> {
    list.iter().map(|(id, address)| (*id, (*address).to_owned())).collect()
}

#[test]
fn the_next_member_is_asked_when_one_fails_and_the_good_one_is_kept() {
    let mut router = router(Follow::Nearest);
    assert_eq!(used(&router, 0), "a:1");
    router.failed("a:1", 0);
    assert_eq!(used(&router, 0), "b:1");
    router.succeeded("b:1");
    assert_eq!(used(&router, 5_000), "b:1");
}

#[test]
fn when_all_failed_it_waits_for_the_first_to_be_rested() {
    let mut router = router(Follow::Nearest);
    for address in ["a:1", "b:1", "c:1"] {
        router.failed(address, 1_000);
    }
    let Pick::WaitUntil(until) = router.pick(1_000) else { panic!("all are resting") };
    assert!((1_050..=1_100).contains(&until), "{until}");
    assert_ne!(used(&router, until), format!("wait {until}"));
}

#[test]
fn what_cannot_wait_goes_to_the_member_that_is_rested_first() {
    let mut router = router(Follow::Nearest);
    assert_eq!(router.nearest(0), "a:1");
    for address in ["a:1", "b:1", "c:1"] {
        router.failed(address, 1_000);
    }
    let first = router.nearest(1_000).to_owned();
    router.failed(&first, 1_000);
    assert_ne!(router.nearest(1_000), first, "they take turns");
}

#[test]
fn the_leader_is_preferred_until_it_fails() {
    let mut router = router(Follow::Leader);
    router.learn(3, Some(2), &members(&[(1, "a:1"), (2, "b:1"), (3, "c:1")]));
    assert_eq!(used(&router, 0), "b:1");
    router.failed("b:1", 0);
    assert_eq!(used(&router, 0), "c:1");
    assert!(!router.heard(4, Some(1)), "the leader of the new term is known by address");
    assert_eq!(used(&router, 0), "a:1");
}

#[test]
fn a_new_term_without_a_known_leader_is_news_and_an_old_one_is_not() {
    let mut router = router(Follow::Leader);
    router.learn(3, Some(2), &members(&[(1, "a:1"), (2, "b:1")]));
    assert!(!router.heard(3, None));
    assert!(!router.heard(2, Some(1)));
    assert_eq!(used(&router, 0), "b:1");
    assert!(router.heard(4, None));
    assert_eq!(used(&router, 0), "a:1", "nobody is preferred while the leader is unknown");
    assert!(router.heard(4, Some(9)), "a leader whose address is not known");
}

#[test]
fn learned_members_come_and_go_and_given_ones_stay() {
    let mut router = router(Follow::Leader);
    router.learn(1, Some(7), &members(&[(7, "d:1"), (8, "a:1"), (9, "")]));
    assert_eq!(router.addresses().collect::<Vec<_>>(), ["a:1", "b:1", "c:1", "d:1"]);
    assert_eq!(used(&router, 0), "d:1");
    router.learn(2, Some(8), &members(&[(8, "a:1")]));
    assert_eq!(router.addresses().collect::<Vec<_>>(), ["a:1", "b:1", "c:1"]);
    assert_eq!(used(&router, 0), "a:1");
}

#[test]
fn a_silent_member_is_asked_last_for_a_while_and_the_longer_the_more_often_it_was() {
    let mut router = router(Follow::Leader);
    router.learn(3, Some(2), &members(&[(1, "a:1"), (2, "b:1"), (3, "c:1")]));
    router.silent("b:1", 0);
    assert_eq!(used(&router, 0), "a:1", "also if it leads");
    router.failed("a:1", 0);
    router.failed("c:1", 0);
    assert_eq!(used(&router, 0), "b:1", "it may only be slow");
    assert_eq!(used(&router, SILENT_MS), "b:1", "it leads, and is not silent any more");
    router.silent("b:1", SILENT_MS);
    assert_ne!(used(&router, 2 * SILENT_MS), "b:1", "twice as long");
    assert_eq!(used(&router, 3 * SILENT_MS), "b:1");
    router.silent("b:1", 3 * SILENT_MS);
    router.succeeded("b:1");
    assert_eq!(used(&router, 3 * SILENT_MS), "b:1", "it answers");
}

#[test]
fn when_all_are_silent_the_one_that_was_first_is_asked_again() {
    let mut router = router(Follow::Nearest);
    for (at_ms, address) in [(0, "b:1"), (1, "a:1"), (2, "c:1")] {
        router.silent(address, at_ms);
    }
    assert_eq!(used(&router, 3), "b:1");
}

#[test]
fn nobody_is_picked_beside_all() {
    let mut router = router(Follow::Nearest);
    assert_eq!(router.pick_beside(0, |address| address != "c:1"), Pick::Use("c:1".into()));
    assert_eq!(router.pick_beside(0, |_| true), Pick::Nobody);
    router.failed("c:1", 0);
    assert!(matches!(router.pick_beside(0, |address| address != "c:1"), Pick::WaitUntil(_)));
    assert_eq!(router.nearest_beside(0, |address| address != "c:1"), Some("c:1"));
}

#[test]
fn the_list_is_bounded() {
    let mut router = router(Follow::Nearest);
    let many: Vec<_> = (0..1_000).map(|id| (id, format!("m{id}:1"))).collect();
    router.learn(1, None, &many);
    assert_eq!(router.addresses().count(), MAX_ENDPOINTS);
}
