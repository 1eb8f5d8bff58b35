//! Who is right, of members that had different digests.
use super::*;

fn had(byte: u8) -> DigestRecord {
    DigestRecord { index: 9, chain: [byte; 32], state: [byte; 32] }
}

/// The verdict of member 1, which had 1, of so many voters, of which these have answered.
fn of(voters: u64, answers: &[(u64, u8)]) -> Verdict {
    let voters = (1..=voters).map(MemberId).collect();
    let answers: Vec<_> = answers.iter().map(|(member, byte)| (MemberId(*member), had(*byte))).collect();
    verdict((MemberId(1), Some(had(1))), &voters, &answers)
}

#[test]
fn the_majority_is_right() {
    assert_eq!(of(3, &[(2, 1), (3, 2)]), Verdict::Right);
    assert_eq!(of(3, &[(2, 1)]), Verdict::Right);
    assert_eq!(of(3, &[(2, 2), (3, 2)]), Verdict::Wrong);
    assert_eq!(of(5, &[(2, 2), (3, 2), (4, 2)]), Verdict::Wrong);
    assert_eq!(of(5, &[(2, 1), (3, 2), (4, 2), (5, 1)]), Verdict::Right);
}

#[test]
fn nobody_is_right_without_a_majority_that_agrees() {
    assert_eq!(of(3, &[]), Verdict::Open);
    assert_eq!(of(3, &[(2, 2)]), Verdict::Open);
    assert_eq!(of(3, &[(2, 2), (3, 3)]), Verdict::Open);
    assert_eq!(of(2, &[(2, 2)]), Verdict::Open, "one of two");
    assert_eq!(of(5, &[(2, 2), (3, 2), (4, 1)]), Verdict::Open);
}

#[test]
fn only_voters_count_each_once_and_a_learner_learns_that_it_is_wrong() {
    assert_eq!(of(3, &[(7, 2), (8, 2), (2, 1)]), Verdict::Right);
    assert_eq!(of(3, &[(1, 2), (2, 2)]), Verdict::Open, "nobody answers for this member");
    let voters = [2, 3, 4].map(MemberId).into();
    let answers = [2, 3].map(|member| (MemberId(member), had(2)));
    assert_eq!(verdict((MemberId(1), Some(had(1))), &voters, &answers), Verdict::Wrong);
    assert_eq!(verdict((MemberId(1), Some(had(2))), &voters, &answers), Verdict::Right);
    assert_eq!(verdict((MemberId(1), Some(had(1))), &voters, &answers[..1]), Verdict::Open);
}

#[test]
fn as_many_checkpoints_are_remembered_as_is_allowed() {
    let mut state = State::default();
    let many = KEPT as u64 + 10;
    (1..=many).for_each(|index| state.keep(DigestRecord { index, ..had(1) }));
    state.keep(DigestRecord { index: 3, ..had(2) });
    assert_eq!((state.kept.len(), state.at(10), state.at(11).is_some()), (KEPT, None, true));
}

#[test]
fn a_member_whose_rows_are_damaged_has_no_say_and_stops_only_if_a_majority_goes_on_without_it() {
    let voters = [1, 2, 3].map(MemberId).into();
    let answers = [2, 3].map(|member| (MemberId(member), had(1)));
    let of = |voters: &BTreeSet<_>, answers: &[_]| verdict((MemberId(1), None), voters, answers);
    assert_eq!(of(&voters, &answers), Verdict::Wrong);
    assert_eq!(of(&voters, &answers[..1]), Verdict::Open);
    assert_eq!(of(&voters, &[(MemberId(2), had(1)), (MemberId(3), had(2))]), Verdict::Open);
    assert_eq!(of(&[MemberId(1)].into(), &[]), Verdict::Open);
}
