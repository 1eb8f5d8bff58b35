//! `grpc.health.v1`: serving while the member can do its work.
use std::time::Duration;

use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use super::Front;

/// How often it is looked, beside at once when the availability changes.
const EVERY: Duration = Duration::from_millis(200);

/// Reports the health of `services`, and of the member as a whole, until the runtime ends.
pub(super) async fn report(front: Front, health: HealthReporter, services: &'static [&'static str]) {
    let standing = front.member.standing().clone();
    let mut reported = None;
    loop {
        let availability = standing.get();
        let leads = front.raft.term_state().established_term().is_some();
        let status = match availability.impairment(leads) {
            None => ServingStatus::Serving,
            Some(_) => ServingStatus::NotServing,
        };
        if reported.replace(status) != Some(status) {
            for service in services.iter().chain(&[""]) {
                health.set_service_status(service, status).await;
            }
        }
        let _waited = tokio::time::timeout(EVERY, standing.changed(availability)).await;
    }
}
