//! Finds out whether a majority is missing when a member says that it reaches no leader, so that
//! the error that ends the request says so.
//!
//! One count at a time, in the background, while the request is tried again.
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use synod_api::v1::cluster_client::ClusterClient;
use synod_api::v1::{MemberStatus, StatusReply, StatusRequest};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tonic::Response;

use super::admin::sized;
use super::client::Client;
use crate::Error;
use crate::core::missing_majority;

/// How long the members may take to be counted.
const COUNT_TIMEOUT: Duration = Duration::from_millis(2_000);
/// For how long a count is worth repeating, in milliseconds.
const FRESH_MS: u64 = 5_000;

/// The last count.
#[derive(Debug, Default)]
pub(crate) struct Census {
    /// What the cluster lacked, and when, by the client's clock.
    missing: Mutex<Option<(String, u64)>>,
    is_counting: AtomicBool,
}

impl Client {
    /// A member reaches no leader: counts who answers.
    pub(super) fn count_members(&self) {
        if self.census().is_counting.swap(true, Ordering::Relaxed) {
            return;
        }
        let client = self.clone();
        tokio::spawn(async move {
            let _last_one_counts = client.status_with_majority().await;
            client.census().is_counting.store(false, Ordering::Relaxed);
        });
    }

    /// Asks all members at once for the cluster's status, until one sees a majority. What each says
    /// counts until the next one does.
    pub(super) async fn status_with_majority(&self) -> Option<StatusReply> {
        let mut asked = JoinSet::new();
        for address in self.addresses() {
            let client = self.clone();
            asked.spawn(async move {
                let wire = client.link(&address).await.ok()?.wire();
                let status = sized!(ClusterClient, wire).status(StatusRequest { local: false }).await;
                status.ok().map(Response::into_inner)
            });
        }
        let end = Instant::now() + COUNT_TIMEOUT;
        while let Ok(Some(answer)) = tokio::time::timeout_at(end, asked.join_next()).await {
            let Ok(Some(status)) = answer else { continue };
            self.counted(&status.members);
            if missing_majority(&status.members).is_none() {
                return Some(status);
            }
        }
        None
    }

    /// The members' status is known.
    pub(super) fn counted(&self, members: &[MemberStatus]) {
        let missing = missing_majority(members).map(|missing| (missing, self.now_ms()));
        *self.census().missing.lock().unwrap_or_else(PoisonError::into_inner) = missing;
    }

    /// The same error; one that a missing majority explains names that first.
    pub(crate) fn explained(&self, error: Error) -> Error {
        let missing = self.census().missing.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some((missing, at_ms)) = missing else { return error };
        if self.now_ms().saturating_sub(at_ms) > FRESH_MS {
            return error;
        }
        match error {
            Error::Unavailable(why) => Error::Unavailable(format!("{missing}; {why}")),
            Error::OutcomeUnknown(why) => Error::OutcomeUnknown(format!("{missing}; {why}")),
            error => error,
        }
    }
}
