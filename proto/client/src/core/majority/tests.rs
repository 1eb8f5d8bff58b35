//! Unit tests of `majority`.
use super::*;

#[test]
fn a_missing_majority_is_named_and_so_is_a_missing_leader() {
    let member =
        |role: Role, reachable| MemberStatus { role: role.into(), reachable, ..MemberStatus::default() };
    let (leads, follows) = (member(Role::Leader, true), member(Role::Follower, true));
    let (gone, learns) = (member(Role::Unspecified, false), member(Role::Learner, true));
    let of = |members: &[&MemberStatus]| {
        missing_majority(&members.iter().map(|member| (*member).clone()).collect::<Vec<_>>())
    };
    assert_eq!(of(&[&leads]), None);
    assert_eq!(of(&[&leads, &follows, &gone]), None);
    assert_eq!(of(&[&leads, &gone, &gone]).as_deref(), Some("1 of 3 members answers: no majority"));
    assert_eq!(of(&[&leads, &learns, &gone]).as_deref(), Some("1 of 2 members answers: no majority"));
    assert_eq!(
        of(&[&follows, &follows, &gone, &gone]).as_deref(),
        Some("2 of 4 members answer: no majority")
    );
    assert_eq!(of(&[&follows, &follows, &gone]).as_deref(), Some("no member that answers leads"));
}
