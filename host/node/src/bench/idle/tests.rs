//! Unit tests of `idle`.
use super::*;

#[test]
fn signs_of_life_are_spread_over_a_third_of_the_time_to_live() {
    let mut schedule =
        Schedule { began: Instant::now(), period: Duration::from_secs(1), sessions: 4, next: 0 };
    let at = |ms: u64| schedule.began + Duration::from_millis(ms);
    let times = [at(0), at(250), at(500), at(750), at(1_000), at(1_250)];
    for (time, index) in times.into_iter().zip([0, 1, 2, 3, 0, 1]) {
        assert_eq!(schedule.due(time - Duration::from_millis(1)).filter(|_| schedule.next > 0), None);
        assert_eq!(schedule.due(time), Some(index));
        schedule.next += 1;
    }
    assert_eq!(Schedule { sessions: 0, ..schedule }.due(Instant::now()), None);
}

#[test]
fn answers_are_counted_by_what_they_say() {
    let mut outcome = Outcome::default();
    let mut sent = vec![Some(Instant::now()); 3];
    count(&mut outcome, &mut sent, &KeepAliveReply { tag: 0, ttl_ms: 9, ..KeepAliveReply::default() });
    count(&mut outcome, &mut sent, &KeepAliveReply { tag: 1, ended: true, ..KeepAliveReply::default() });
    count(
        &mut outcome,
        &mut sent,
        &KeepAliveReply {
            tag: 2,
            failure: Some(synod_client::api::Failure::default()),
            ..KeepAliveReply::default()
        },
    );
    count(&mut outcome, &mut sent, &KeepAliveReply { tag: 9, ..KeepAliveReply::default() });
    assert_eq!((outcome.latencies.total(), outcome.rejected, outcome.unavailable), (1, 1, 1));
}
