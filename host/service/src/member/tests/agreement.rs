//! Members compare their digests, and their rows with them: who differs stops, and nobody else.
use std::time::Duration;

use futures::channel::oneshot;
use synod_abi::SpaceId;
use synod_machine::directory::Head;
use synod_machine::{Action, Damage};

use crate::agreement::Divergence;
use crate::agreement::scrubs::{ScrubPace, ScrubReport};
use crate::availability::Problem;
use crate::failure::UnavailableReason;
use crate::testing::cluster::{Cluster, is_unavailable, look};

/// A checkpoint, and the questions after it.
const COMPARED: Duration = Duration::from_secs(3);

const DAY: Duration = Duration::from_secs(24 * 3_600);

type Diverged = oneshot::Receiver<Divergence>;

/// Has a member compare its digests, and scrub its state once a day.
fn compare(cluster: &Cluster, number: u64) -> Diverged {
    let member = cluster.member(number);
    member.keep_checkpoints();
    let scrubbed = member.clone();
    let pace = ScrubPace { every: Some(DAY), bytes_per_second: 1_000_000 };
    drop(cluster.node_sim(number).start(async move { scrubbed.keep_scrubs(pace).await }));
    cluster.node_sim(number).start(async move { member.diverged().await })
}

/// Three members that compare their digests, of which member 1 leads, with a row.
fn comparing() -> (Cluster, Vec<Diverged>) {
    let mut cluster = Cluster::ready(3);
    let diverged = (1..=3).map(|number| compare(&cluster, number)).collect();
    add(&mut cluster, 1);
    cluster.advance(COMPARED);
    (cluster, diverged)
}

/// The same, of which one has a damaged row that nobody uses.
fn comparing_with_unused_damage(damaged: u64) -> (Cluster, Vec<Diverged>) {
    let (mut cluster, mut diverged) = comparing();
    cluster.damage(damaged, "k", 500);
    cluster.advance(COMPARED);
    assert!(wrong(&mut diverged).is_empty(), "the row was not used");
    (cluster, diverged)
}

/// Stops a member and cuts it off.
fn lose(cluster: &mut Cluster, number: u64) {
    cluster.stop_tasks(number, true);
    cluster.isolate(number);
}

/// Lets it go on, and waits until the members have compared.
fn find_again(cluster: &mut Cluster, number: u64) {
    cluster.stop_tasks(number, false);
    cluster.reconnect(number);
    cluster.advance(COMPARED);
}

fn others_serve(cluster: &Cluster, damaged: u64) {
    for number in (1..=3).filter(|number| *number != damaged) {
        assert!(serves(cluster, number), "{number}");
    }
}

fn add(cluster: &mut Cluster, number: u64) {
    let mut added = cluster.start_add(number, "k", 1);
    cluster.run();
    assert!(look(&mut added).expect("an answer").is_ok());
}

fn agreed_at(cluster: &Cluster) -> [u64; 3] {
    [1, 2, 3].map(|number| cluster.member(number).status().agreed_at)
}

fn serves(cluster: &Cluster, number: u64) -> bool {
    !cluster.member(number).standing().get().has(Problem::Divergence)
}

/// Who found out that its state is wrong.
fn wrong(diverged: &mut [Diverged]) -> Vec<usize> {
    let found = |diverged: &mut Diverged| diverged.try_recv().expect("the task goes on").is_some();
    (1..).zip(diverged).filter_map(|(number, diverged)| found(diverged).then_some(number)).collect()
}

fn checkpoints(cluster: &Cluster) -> usize {
    let commands = cluster.committed().into_iter().flat_map(|entry| entry.commands);
    commands.filter(|command| matches!(command.action, Action::Checkpoint(_))).count()
}

#[test]
fn members_agree_a_second_after_something_was_applied_and_an_idle_cluster_logs_nothing() {
    let (mut cluster, mut diverged) = comparing();
    let before = agreed_at(&cluster);
    assert!(before[0] > 0 && before.iter().all(|agreed| *agreed == before[0]), "{before:?}");
    let logged = checkpoints(&cluster);
    cluster.advance(Duration::from_secs(3_600));
    assert_eq!(checkpoints(&cluster), logged);
    add(&mut cluster, 2);
    cluster.advance(COMPARED);
    let after = agreed_at(&cluster);
    assert!(after[0] > before[0] && after.iter().all(|agreed| *agreed == after[0]), "{after:?}");
    assert_eq!((checkpoints(&cluster), wrong(&mut diverged)), (logged + 1, vec![]));
}

#[test]
fn under_load_a_checkpoint_follows_a_thousand_entries() {
    let (mut cluster, _diverged) = comparing();
    let logged = checkpoints(&cluster);
    for _ in 0..2_500 {
        add(&mut cluster, 1);
    }
    assert_eq!(checkpoints(&cluster), logged + 3, "after the first, and no time has passed");
}

#[test]
fn a_follower_or_leader_whose_row_was_damaged_finds_out_once_it_is_used_and_nobody_else_stops() {
    for damaged in [2, 1] {
        let (mut cluster, mut diverged) = comparing_with_unused_damage(damaged);
        add(&mut cluster, 1);
        cluster.advance(COMPARED);
        assert_eq!(wrong(&mut diverged), [damaged as usize]);
        others_serve(&cluster, damaged);
    }
}

#[test]
fn a_member_that_differs_serves_nobody_until_a_majority_has_said_what_it_has() {
    let (mut cluster, mut diverged) = comparing();
    cluster.damage(2, "k", 500);
    lose(&mut cluster, 3);
    add(&mut cluster, 1);
    cluster.advance(COMPARED);
    assert!(wrong(&mut diverged).is_empty(), "one of two is wrong");
    assert!(!serves(&cluster, 2));
    let mut refused = cluster.start_add(2, "k", 1);
    cluster.run();
    assert!(is_unavailable(look(&mut refused), UnavailableReason::NotReady));
    find_again(&mut cluster, 3);
    assert_eq!(wrong(&mut diverged), [2]);
    assert!(serves(&cluster, 1) && serves(&cluster, 3));
}

#[test]
fn a_member_that_jumped_over_the_entry_of_a_checkpoint_takes_no_part() {
    let (mut cluster, mut diverged) = comparing();
    cluster.hold_apply(3, true);
    add(&mut cluster, 1);
    cluster.install_snapshot(1, 3);
    cluster.hold_apply(3, false);
    cluster.advance(COMPARED);
    assert!(wrong(&mut diverged).is_empty());
    assert!((1..=3).all(|number| serves(&cluster, number)));
}

/// Scrubs the state of a member, and returns what that finds.
fn scrub(cluster: &mut Cluster, number: u64) -> ScrubReport {
    let member = cluster.member(number);
    let asked = member.ask_for_scrub();
    cluster.advance(COMPARED);
    let status = member.scrubs();
    assert!(status.ended >= asked && status.read.rows > 0, "{status:?}");
    status.last.expect("it has ended")
}

fn damage_of_counter() -> Divergence {
    Divergence::Damage(Damage { spaces: vec![SpaceId(1)], others: false })
}

#[test]
fn a_scrub_of_a_sound_state_is_confirmed_by_the_others_and_logs_nothing() {
    let (mut cluster, mut diverged) = comparing();
    let entries = cluster.committed().len();
    for number in 1..=3 {
        let report = scrub(&mut cluster, number);
        assert_eq!((report.confirmed_by, report.finding), (2, None));
        assert!(report.index > 0 && report.ended_ms > 0);
    }
    assert_eq!((cluster.committed().len(), wrong(&mut diverged)), (entries, vec![]));
}

#[test]
fn states_are_scrubbed_soon_after_the_start_and_once_a_day() {
    let (mut cluster, _diverged) = comparing();
    let ended = |cluster: &Cluster| [1, 2, 3].map(|number| cluster.member(number).scrubs().ended);
    assert_eq!(ended(&cluster), [0; 3]);
    cluster.advance(DAY / 12);
    assert_eq!(ended(&cluster), [1; 3]);
    cluster.advance(DAY);
    assert_eq!(ended(&cluster), [2; 3]);
}

#[test]
fn a_scrub_finds_a_damaged_row_that_nobody_uses_and_the_member_stops_for_good() {
    for damaged in [2, 1] {
        let (mut cluster, mut diverged) = comparing_with_unused_damage(damaged);
        let finding = scrub(&mut cluster, damaged).finding.expect("it is found");
        assert!(finding.ends_with("of the spaces with the ids 1"), "{finding}");
        let why = diverged[damaged as usize - 1].try_recv().expect("it was told why");
        assert_eq!(why, Some(damage_of_counter()));
        others_serve(&cluster, damaged);
        for number in (1..=3).filter(|number| *number != damaged) {
            assert_eq!(diverged[number as usize - 1].try_recv(), Ok(None));
        }
    }
}

#[test]
fn a_damaged_member_whose_vote_is_needed_serves_nobody_and_stops_once_it_is_not() {
    let (mut cluster, mut diverged) = comparing();
    cluster.damage(2, "k", 500);
    lose(&mut cluster, 3);
    assert!(scrub(&mut cluster, 2).finding.is_some());
    cluster.advance(COMPARED);
    assert!(wrong(&mut diverged).is_empty(), "one of two others answers");
    assert!(!serves(&cluster, 2) && serves(&cluster, 1));
    let told = cluster.member(2).describe(Problem::Divergence);
    assert!(told.contains("its state is damaged") && told.contains("the ids 1"), "{told}");
    find_again(&mut cluster, 3);
    assert_eq!(wrong(&mut diverged), [2]);
    assert!(serves(&cluster, 1) && serves(&cluster, 3));
}

#[test]
fn a_damaged_state_is_forgotten_when_a_snapshot_takes_its_place() {
    let (mut cluster, mut diverged) = comparing();
    cluster.damage(2, "k", 500);
    lose(&mut cluster, 3);
    assert!(scrub(&mut cluster, 2).finding.is_some());
    assert!(!serves(&cluster, 2));
    cluster.hold_apply(2, true);
    add(&mut cluster, 1);
    cluster.install_snapshot(1, 2);
    cluster.hold_apply(2, false);
    assert!(serves(&cluster, 2));
    assert_eq!(scrub(&mut cluster, 2).finding, None);
    find_again(&mut cluster, 3);
    assert!(wrong(&mut diverged).is_empty());
}

#[test]
fn a_changed_head_is_found_while_its_member_runs_and_after_it_has_read_it() {
    for restarts in [false, true] {
        let (mut cluster, mut diverged) = comparing();
        cluster.damage_head(2, |head| Head { tokens: head.tokens ^ 4, ..head });
        if restarts {
            cluster.restart(2);
            diverged[1] = compare(&cluster, 2);
        }
        let finding = scrub(&mut cluster, 2).finding.expect("it is found");
        let expected = if restarts { "differ from those of 2 of the others" } else { "rows of no space" };
        assert!(finding.contains(expected), "{finding}");
        assert_eq!(wrong(&mut diverged), [2]);
        assert!(serves(&cluster, 1) && serves(&cluster, 3));
    }
}
