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
fn a_side_without_a_cluster_is_of_any() {
    assert_eq!(identity(1, None).check(Some(&identity(2, Some(7)).route(MemberId(1)))), Ok(MemberId(2)));
    assert_eq!(identity(1, Some(7)).check(Some(&identity(2, None).route(MemberId(1)))), Ok(MemberId(2)));
}

#[test]
fn the_first_cluster_stays() {
    let me = identity(1, None);
    me.joined(ClusterId([1; 16]));
    me.joined(ClusterId([2; 16]));
    assert_eq!(me.cluster(), Some(ClusterId([1; 16])));
}
