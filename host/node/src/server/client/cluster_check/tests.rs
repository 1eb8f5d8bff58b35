//! Unit tests of `cluster_check`.
use synod_abi::{ClusterId, MemberId};

use super::*;

fn checked(ours: Option<u8>, named: Option<&str>) -> Option<Failure> {
    let ours = ours.map(|byte| ClusterId([byte; 16]));
    let mut check = ClusterCheck(Arc::new(Identity::new(MemberId(1), "a".into(), ours)));
    let mut request = Request::new(());
    if let Some(named) = named {
        request.metadata_mut().insert(CLUSTER_METADATA, named.parse().expect("it is ASCII"));
    }
    let status = check.call(request).err()?;
    assert_eq!(status.code(), Code::Unavailable);
    Some(synod_api::failure_of_status(&status).expect("it carries a failure"))
}

#[test]
fn a_request_for_another_cluster_is_refused_and_both_are_named() {
    let failure = checked(Some(1), Some(&"02".repeat(16))).expect("it is for another");
    assert_eq!(failure.reason, "WRONG_CLUSTER");
    assert!(failure.message.contains(&"01".repeat(16)) && failure.message.contains(&"02".repeat(16)));
    assert!(failure.header.is_none() && failure.leader_id == 0, "it tells nothing of the other cluster");
    assert!(checked(Some(1), Some("nonsense")).is_some());
}

#[test]
fn who_names_no_cluster_or_the_right_one_is_served() {
    assert!(checked(Some(1), None).is_none());
    assert!(checked(Some(1), Some(&"01".repeat(16))).is_none());
    assert!(checked(None, Some(&"01".repeat(16))).is_none());
}
