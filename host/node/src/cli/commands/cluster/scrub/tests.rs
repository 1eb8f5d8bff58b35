//! Unit tests of `commands::cluster::scrub`.
use super::*;

fn started(name: &str, member_id: u64, number: u64) -> Followed {
    Followed::new(StartedScrub { member_id, name: name.to_owned(), number, problem: String::new() })
}

fn status(id: u64, begun: u64, ended: u64, finding: &str) -> MemberStatus {
    let finding = finding.to_owned();
    let scrub = ScrubStatus { begun, ended, rows: 7, bytes: 2_048, finding, ..ScrubStatus::default() };
    MemberStatus { id, reachable: true, scrub: Some(scrub), ..MemberStatus::default() }
}

#[test]
fn a_scrub_is_followed_until_it_or_a_later_one_has_ended() {
    let mut scrub = started("a", 1, 3);
    for (begun, ended, stand) in [(2, 2, Stand::Running), (3, 2, Stand::Running), (4, 3, Stand::Sound)] {
        scrub.see(&[status(1, begun, ended, "")]);
        assert_eq!(scrub.stand, stand, "{begun}");
    }
    scrub.see(&[status(1, 5, 5, "damaged since")]);
    assert_eq!(scrub.stand, Stand::Sound, "that is another one's");
    assert!(failure(&[scrub]).is_none());
}

#[test]
fn a_member_that_says_nothing_for_a_while_is_given_up() {
    let mut scrub = started("a", 1, 1);
    scrub.see(&[]);
    assert_eq!(scrub.stand, Stand::Running);
    scrub.heard = Instant::now().checked_sub(SILENCE).expect("the process runs long enough");
    scrub.see(&[MemberStatus { reachable: false, ..status(1, 1, 1, "") }]);
    assert_eq!(scrub.stand, Stand::Lost);
    let failed = failure(&[scrub]).expect("it fails");
    assert!(failed.exit == Exit::Unavailable && failed.message.ends_with("of a"), "{failed:?}");
}

#[test]
fn people_and_programs_see_what_was_found() {
    let mut scrubs = [started("a", 1, 1), started("b", 2, 1), started("c", 3, 0)];
    let members = [status(1, 1, 1, ""), status(2, 1, 1, "rows of no space")];
    scrubs.iter_mut().for_each(|scrub| scrub.see(&members));
    let text = text(&scrubs);
    let lines: Vec<_> = text.lines().collect();
    assert!(
        lines[1].starts_with("a") && lines[1].contains("sound") && lines[1].contains("2.0 KiB"),
        "{text}"
    );
    assert!(lines[2].contains("damaged") && lines[2].ends_with("rows of no space"), "{text}");
    assert!(lines[3].contains("not started") && !lines[3].contains('0'), "{text}");
    let json = scrubs[1].json();
    assert_eq!((&json["name"], &json["result"], &json["rows"]), (&json!("b"), &json!("damaged"), &json!(7)));
    let failed = failure(&scrubs).expect("it fails");
    assert!(failed.exit == Exit::Internal && failed.message.contains("state of b"), "{failed:?}");
    assert!(progress(&scrubs).starts_with("a: sound, 7 rows, 2.0 KiB; b: damaged"), "{}", progress(&scrubs));
}
