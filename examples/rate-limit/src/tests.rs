//! Unit tests of the crate root.
use synod_test::TestHost;

use super::*;

#[test]
fn refills_with_cluster_time() {
    let host = TestHost::of::<RateLimit>();
    let limit = host.client();
    limit.configure("api", Limit { burst: 2, per_second: 1 }).unwrap();
    assert_eq!(limit.take("api", 2).unwrap().left, 0);
    assert_eq!(limit.take("api", 1).rejection(), RateError::Limited { retry_ms: 1_000 });
    host.advance_ms(1_000);
    assert_eq!(limit.take("api", 1).unwrap().left, 0);
}

#[test]
fn a_refused_call_takes_nothing() {
    let host = TestHost::of::<RateLimit>();
    let limit = host.client();
    limit.configure("api", Limit { burst: 3, per_second: 1 }).unwrap();
    limit.take("api", 2).unwrap();
    assert_eq!(limit.take("api", 2).rejection(), RateError::Limited { retry_ms: 1_000 });
    assert_eq!(limit.left("api").unwrap().left, 1);
    assert_eq!(limit.take("api", 1).unwrap().left, 0);
}

#[test]
fn a_bucket_never_holds_more_than_its_burst() {
    let host = TestHost::of::<RateLimit>();
    let limit = host.client();
    limit.configure("api", Limit { burst: 5, per_second: u32::MAX }).unwrap();
    limit.take("api", 5).unwrap();
    host.advance_ms(u64::from(u32::MAX));
    assert_eq!(limit.take("api", 5).unwrap().left, 0);
    assert_eq!(limit.take("api", 6).rejection(), RateError::MoreThanBurst { burst: 5 });
}

#[test]
fn keys_do_not_share_a_bucket() {
    let host = TestHost::of::<RateLimit>();
    let limit = host.client();
    for key in ["a", "b"] {
        limit.configure(key, Limit { burst: 1, per_second: 1 }).unwrap();
    }
    limit.take("a", 1).unwrap();
    assert_eq!(limit.take("b", 1).unwrap().left, 0);
}

#[test]
fn a_new_limit_keeps_what_the_bucket_holds() {
    let host = TestHost::of::<RateLimit>();
    let limit = host.client();
    limit.configure("api", Limit { burst: 10, per_second: 1 }).unwrap();
    limit.take("api", 4).unwrap();
    limit.configure("api", Limit { burst: 20, per_second: 1 }).unwrap();
    assert_eq!(limit.left("api").unwrap().left, 6, "a raised burst is no gift");
    limit.configure("api", Limit { burst: 2, per_second: 1 }).unwrap();
    assert_eq!(limit.left("api").unwrap().left, 2, "a lowered one is the most");
}

#[test]
fn what_is_not_configured_is_refused_with_what_to_do() {
    let host = TestHost::of::<RateLimit>();
    let limit = host.client();
    assert_eq!(limit.take("api", 1).rejection(), RateError::NoLimit);
    assert_eq!(limit.left("api").rejection(), RateError::NoLimit);
    assert_eq!(limit.configure("api", Limit { burst: 0, per_second: 1 }).rejection(), RateError::ZeroLimit);
    assert_eq!(limit.configure("api", Limit { burst: 1, per_second: 0 }).rejection(), RateError::ZeroLimit);
    limit.configure("api", Limit { burst: 1, per_second: 7 }).unwrap();
    assert_eq!(limit.limit("api").unwrap(), Some(Limit { burst: 1, per_second: 7 }));
    assert!(limit.remove("api").unwrap() && !limit.remove("api").unwrap());
    assert_eq!(limit.take("api", 1).rejection(), RateError::NoLimit);
}
