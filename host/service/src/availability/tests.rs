//! Unit tests of `availability`.
use std::time::Duration;

use super::*;

/// A member that nothing is wrong with.
const GOOD: Observed = Observed {
    is_stopping: false,
    is_formed: true,
    is_set_up: true,
    has_caught_up: true,
    disk_is_full: false,
    apply_waits_for_space: false,
    diverges: false,
    wall_clock_is_off: false,
    clock_runs_wrong: false,
    unconfirmed: Duration::ZERO,
    behind: Duration::ZERO,
};

/// What follows from a state: why commands, reads and touches are refused, why clients are left,
/// whether it leads, and what a member that follows reports.
type Follows = ([Option<Problem>; 4], bool, Option<Problem>);

fn follows(observed: Observed) -> Follows {
    let now = Availability::of(&observed);
    let refuses = [now.refuses_commands(), now.refuses_reads(), now.refuses_touches(), now.leaves_clients()];
    (refuses, now.may_lead(), now.problem(false))
}

#[test]
fn what_follows_from_each_observation() {
    use Problem::{
        Behind, ClockRate, DiskFull, Divergence, NoMajority, Starting, Stopping, Unformed, WallClock,
    };
    let (late, behind) = (UNCONFIRMED_LIMIT, BEHIND_LIMIT);
    let table: [(Observed, Follows); 14] = [
        (GOOD, ([None, None, None, None], true, None)),
        (
            Observed { is_stopping: true, ..GOOD },
            ([Some(Stopping), None, Some(Stopping), Some(Stopping)], true, Some(Stopping)),
        ),
        (Observed { is_formed: false, ..GOOD }, ([None, None, None, None], true, Some(Unformed))),
        (Observed { is_set_up: false, ..GOOD }, ([None, None, None, None], true, None)),
        (Observed { has_caught_up: false, ..GOOD }, ([None, None, None, None], true, Some(Starting))),
        (
            Observed { disk_is_full: true, ..GOOD },
            ([Some(DiskFull), None, None, None], false, Some(DiskFull)),
        ),
        (
            Observed { apply_waits_for_space: true, ..GOOD },
            ([Some(DiskFull), None, None, None], false, Some(DiskFull)),
        ),
        (
            Observed { diverges: true, ..GOOD },
            (
                [Some(Divergence), Some(Divergence), Some(Divergence), Some(Divergence)],
                false,
                Some(Divergence),
            ),
        ),
        (Observed { clock_runs_wrong: true, ..GOOD }, ([None, None, None, None], false, Some(ClockRate))),
        (Observed { wall_clock_is_off: true, ..GOOD }, ([None, None, None, None], true, Some(WallClock))),
        (
            Observed { unconfirmed: late - Duration::from_millis(1), behind, ..GOOD },
            ([Some(Behind), Some(Behind), None, Some(Behind)], false, Some(Behind)),
        ),
        (
            Observed { unconfirmed: late, behind, ..GOOD },
            (
                [Some(NoMajority), Some(NoMajority), Some(NoMajority), Some(NoMajority)],
                true,
                Some(NoMajority),
            ),
        ),
        (
            Observed { behind: BEHIND_LIMIT, apply_waits_for_space: true, ..GOOD },
            ([Some(Behind), Some(Behind), None, Some(Behind)], false, Some(Behind)),
        ),
        (
            Observed { is_stopping: true, disk_is_full: true, unconfirmed: late, ..GOOD },
            ([Some(Stopping), Some(NoMajority), Some(Stopping), Some(Stopping)], false, Some(Stopping)),
        ),
    ];
    for (observed, expected) in table {
        assert_eq!(follows(observed), expected, "{observed:?}");
    }
}

#[test]
fn a_member_with_wrong_clocks_does_its_work_and_packs_what_it_has_until_another_one_leads() {
    let now = Availability::of(&Observed { clock_runs_wrong: true, wall_clock_is_off: true, ..GOOD });
    assert_eq!((now.impairment(true), now.packs()), (None, true));
    let unable = Availability::of(&Observed { is_set_up: false, wall_clock_is_off: true, ..GOOD });
    assert_eq!((unable.impairment(true), unable.impairment(false)), (Some(Problem::SettingUp), None));
}

#[test]
fn only_a_leader_reports_that_the_cluster_is_not_set_up() {
    let now = Availability::of(&Observed { is_set_up: false, ..GOOD });
    assert_eq!((now.problem(true), now.problem(false)), (Some(Problem::SettingUp), None));
}

#[test]
fn a_member_is_not_ready_before_anything_is_observed() {
    let now = Availability::of(&Observed::default());
    assert_eq!(now.problem(false), Some(Problem::Unformed));
    assert_eq!(now.refuses_commands(), None, "calls wait for the first leader");
}

#[test]
fn followers_of_the_standing_are_woken_by_changes_alone() {
    let standing = Standing::new();
    let before = standing.get();
    standing.note(|observed| observed.unconfirmed = Duration::from_millis(1));
    assert_eq!(standing.get(), before);
    standing.note(|observed| observed.is_stopping = true);
    let changed = futures::FutureExt::now_or_never(standing.changed(before));
    assert_eq!(changed, Some(standing.get()));
    assert!(futures::FutureExt::now_or_never(standing.changed(standing.get())).is_none());
}
