//! Unit tests of `identity`.
use super::*;

fn identity(me: u64, cluster: Option<u8>) -> Identity {
    Identity::new(MemberId(me), "a".into(), cluster.map(|byte| ClusterId([byte; 16])))
}

#[test]
fn a_message_of_another_cluster_or_for_another_member_is_refused() {
    let me = identity(1, Some(7));
    assert_eq!(me.check(Some(&identity(2, Some(7)).route(MemberId(1)))), Ok(MemberId(2)));
    assert!(matches!(
        me.check(Some(&identity(2, Some(8)).route(MemberId(1)))),
        Err(Misrouted::OtherCluster { .. })
    ));
    assert!(matches!(
        me.check(Some(&identity(2, Some(7)).route(MemberId(3)))),
        Err(Misrouted::OtherMember { .. })
    ));
    assert_eq!(me.check(None), Err(Misrouted::NoRoute));
    assert_eq!(
        me.check(Some(&Route { cluster_id: vec![1; 3].into(), from: 2, to: 1 })),
        Err(Misrouted::NoRoute)
    );
}

#[test]
fn a_side_without_a_cluster_takes_part_in_greetings_only() {
    let (new, old) = (identity(1, None), identity(2, Some(7)));
    assert_eq!(new.check(Some(&old.route(MemberId(1)))), Err(Misrouted::NoCluster));
    assert_eq!(old.check(Some(&new.route(MemberId(2)))), Err(Misrouted::NoRoute));
    assert_eq!(
        new.check_greeting(Some(&old.route(MemberId(0)))),
        Ok((MemberId(2), Some(ClusterId([7; 16]))))
    );
    assert_eq!(old.check_greeting(Some(&new.route(MemberId(2)))), Ok((MemberId(1), None)));
}

#[test]
fn a_greeting_of_another_cluster_or_for_another_member_is_refused() {
    let me = identity(1, Some(7));
    let refused = me.check_greeting(Some(&identity(2, Some(8)).route(MemberId(0))));
    assert!(matches!(refused, Err(Misrouted::OtherCluster { .. })), "{refused:?}");
    let refused = me.check_greeting(Some(&identity(2, None).route(MemberId(3))));
    assert!(matches!(refused, Err(Misrouted::OtherMember { .. })), "{refused:?}");
    assert!(me.check(Some(&identity(2, Some(7)).route(MemberId(0)))).is_err());
}

#[test]
fn the_first_cluster_stays() {
    let me = identity(1, None);
    me.joined(ClusterId([1; 16]));
    me.joined(ClusterId([2; 16]));
    assert_eq!(me.cluster(), Some(ClusterId([1; 16])));
}
