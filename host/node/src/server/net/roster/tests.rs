//! Unit tests of `roster`.
use super::*;
use crate::settings::{Mode, Settings};

const A: MemberId = MemberId(11);
const B: MemberId = MemberId(22);

fn roster(peers: &[&str]) -> Roster {
    let settings = Settings {
        name: Some("a".into()),
        data: Some("/d".into()),
        peers: Some(peers.iter().map(|peer| (*peer).to_owned()).collect()),
        ..Settings::default()
    };
    Roster::new(&settings.into_options(Mode::Start).expect("good"), A, "h:7")
}

fn listed(name: &str, peer: &str) -> Listed {
    Listed { name: name.into(), place: place(peer), votes: true }
}

fn place(peer: &str) -> Place {
    Place { peer: peer.into(), clients: vec!["h:7".into()] }
}

#[test]
fn the_first_of_the_sorted_list_forms() {
    let roster = roster(&["b=h:2", "a=h:1"]);
    assert_eq!(roster.lines(), ["a=h:1", "b=h:2"]);
    assert!(roster.is_founder());
    assert_eq!(roster.hints().collect::<Vec<_>>(), [("b", "h:2".to_owned())]);
    assert_eq!(*roster.own(), place("h:1"));
}

#[test]
fn addresses_are_tried_in_turn_until_one_answers() {
    let roster = roster(&["a=h:1", "b=h:2"]);
    assert_eq!(roster.address(B, Some("old:2")).as_deref(), Some("old:2"));
    roster.set_members(BTreeMap::from([(B, listed("b", "old:2"))]));
    roster.failed(B, "another:1");
    assert_eq!(roster.address(B, None).as_deref(), Some("old:2"));
    roster.failed(B, "old:2");
    assert_eq!(roster.address(B, None).as_deref(), Some("h:2"));
    roster.answered(B);
    roster.failed(B, "h:2");
    assert_eq!(roster.address(B, None).as_deref(), Some("h:2"));
}

#[test]
fn what_a_member_says_itself_comes_first_until_it_is_committed() {
    let roster = roster(&["a=h:1", "b=h:2"]);
    roster.set_members(BTreeMap::from([(A, listed("a", "h:1")), (B, listed("b", "old:2"))]));
    assert_eq!(roster.moved(), []);
    roster.failed(B, "old:2");
    roster.heard(B, place("new:2"));
    assert_eq!(roster.address(B, None).as_deref(), Some("new:2"));
    assert_eq!(roster.moved(), [(B, listed("b", "new:2"))]);
    roster.set_members(BTreeMap::from([(A, listed("a", "h:9")), (B, listed("b", "new:2"))]));
    assert_eq!(roster.moved(), [(A, listed("a", "h:1"))]);
}
