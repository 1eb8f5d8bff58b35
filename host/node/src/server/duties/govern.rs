//! Setting up a cluster: its leader writes the cluster's id and execution environment to the state,
//! and installs the bundled recipes. Every member then checks that its state is of its cluster.
use std::sync::Arc;
use std::time::Duration;

use synod_machine::{Environment, module_hash};
use synod_service::ports::{Replication, Role};
use synod_service::{CallFailure, Consistency, NewSpace, Reason, RecipeEntry};

use super::SYSTEM;
use crate::server::net::identity::Identity;
use crate::server::ports::NodeMember;
use crate::server::ports::replication::RaftReplication;

/// How long one of the commands may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How long to wait before trying again.
const RETRY: Duration = Duration::from_millis(200);

/// Sets the cluster up whenever this member leads. Ends with the runtime.
pub(crate) struct Governor {
    /// This member's logic.
    pub(crate) member: NodeMember,
    /// Who leads.
    pub(crate) replication: RaftReplication,
    /// What a new cluster begins with: what every member supports, and is soon replaced by what all
    /// of them support.
    pub(crate) environment: Environment,
    /// Which cluster its members promised themselves to.
    pub(crate) identity: Arc<Identity>,
    /// Whether to install the bundled recipes.
    pub(crate) bundled: bool,
    /// Whether to replace other bytes under the same name and version.
    pub(crate) replace: bool,
}

impl Governor {
    /// Runs for ever.
    pub(crate) async fn run(self) {
        let mut is_set_up = false;
        loop {
            let seen = self.replication.leadership();
            is_set_up = is_set_up || self.is_there().await;
            self.member.standing().note(|observed| observed.is_set_up = is_set_up);
            while seen.role == Role::Leader && self.replication.leadership() == seen {
                match self.set_up().await {
                    Ok(()) => {
                        is_set_up = true;
                        break;
                    }
                    Err(failure) => tracing::debug!(%failure, "the cluster is not set up yet"),
                }
                tokio::time::sleep(RETRY).await;
            }
            self.member.standing().note(|observed| observed.is_set_up = is_set_up);
            let changed = self.replication.leadership_changed(seen);
            if is_set_up {
                changed.await;
            } else {
                let _look_again = tokio::time::timeout(RETRY, changed).await;
            }
        }
    }

    /// Whether everything is in the state of this member, which may follow: so that it need not
    /// look first when it comes to lead.
    async fn is_there(&self) -> bool {
        let head = self.member.applied().head();
        if head.cluster.is_none() || head.environment.is_none() {
            return false;
        }
        for bundled in synod_bundle::RECIPES.iter().filter(|_| self.bundled) {
            if self.present(bundled.name).await.is_err() {
                return false;
            }
        }
        true
    }

    async fn present(&self, recipe: &str) -> Result<RecipeEntry, CallFailure> {
        self.member.describe_recipe(recipe, None, Consistency::Serializable, TIMEOUT).await
    }

    async fn set_up(&self) -> Result<(), CallFailure> {
        self.member.barrier(TIMEOUT).await?;
        let Some(cluster) = self.identity.cluster() else { return Ok(()) };
        let head = self.member.applied().head();
        if head.cluster.is_none() {
            tolerate(Reason::AlreadyFormed, self.member.form_cluster(cluster, SYSTEM, TIMEOUT).await)?;
        }
        if head.environment.is_none() {
            self.member.set_environment(self.environment, SYSTEM, TIMEOUT).await?;
        }
        if self.bundled {
            for bundled in synod_bundle::RECIPES {
                self.install(bundled).await?;
            }
        }
        Ok(())
    }

    async fn install(&self, bundled: &synod_bundle::Bundled) -> Result<(), CallFailure> {
        match self.present(bundled.name).await {
            Ok(entry) if !self.replace || entry.record.hash == module_hash(bundled.module) => return Ok(()),
            Ok(_) => {}
            Err(CallFailure::Rejected(rejected)) if rejected.reason == Reason::UnknownRecipe => {}
            Err(failure) => return Err(failure),
        }
        match self
            .member
            .install(bundled.module.to_vec(), self.replace, NewSpace::OfRecipe, SYSTEM, TIMEOUT)
            .await
        {
            Ok(installed) => tracing::info!(recipe = %installed.recipe, "installed a bundled recipe"),
            Err(CallFailure::Rejected(rejected)) => {
                tracing::warn!(recipe = bundled.name, %rejected, "a bundled recipe is not installed")
            }
            Err(failure) => return Err(failure),
        }
        Ok(())
    }
}

fn tolerate<T>(reason: Reason, result: Result<T, CallFailure>) -> Result<(), CallFailure> {
    match result {
        Err(CallFailure::Rejected(rejected)) if rejected.reason == reason => Ok(()),
        Err(failure) => Err(failure),
        Ok(_) => Ok(()),
    }
}

/// Waits until the state has the id of the cluster, and fails if it is not the folder's.
pub(crate) async fn check_cluster(member: NodeMember, identity: Arc<Identity>) {
    let applied = member.applied().clone();
    loop {
        let next = applied.index.get() + 1;
        if let Some(cluster) = applied.head().cluster {
            if let Some(ours) = identity.cluster().filter(|ours| *ours != cluster) {
                member.fail(synod_machine::Fatal(format!(
                    "the state is of cluster {cluster}, and the data folder of {ours}: their files were mixed"
                )));
            }
            return;
        }
        applied.index.reach(next).await;
    }
}
