//! Finds out whether a majority is missing when a member says that it reaches no leader, so that
//! the error that ends the request says so.
//!
//! One count at a time, in the background, while the request is tried again.
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use synod_api::v1::cluster_client::ClusterClient;
use synod_api::v1::{MemberStatus, StatusRequest};

use super::admin::sized;
use super::client::Client;
use crate::Error;
use crate::core::missing_majority;

/// How long the members may take to be counted.
const COUNT_TIMEOUT: Duration = Duration::from_secs(3);
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
    /// The member at `address` reaches no leader: counts who answers.
    pub(super) fn count_members(&self, address: &str) {
        if self.census().is_counting.swap(true, Ordering::Relaxed) {
            return;
        }
        let (client, address) = (self.clone(), address.to_owned());
        tokio::spawn(async move {
            let asked = async {
                let wire = client.link(&address).await.ok()?.wire();
                sized!(ClusterClient, wire).status(StatusRequest { local: false }).await.ok()
            };
            if let Ok(Some(status)) = tokio::time::timeout(COUNT_TIMEOUT, asked).await {
                client.counted(&status.into_inner().members);
            }
            client.census().is_counting.store(false, Ordering::Relaxed);
        });
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
