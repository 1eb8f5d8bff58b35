//! Going on to a newer execution environment once every member's binary supports it, so that a
//! cluster whose binaries were replaced one by one moves without a pause.
//!
//! Every member with a newer one compiles the cluster's modules for it beforehand. The leader asks
//! all members, learners too, and proposes the change when each of them says that it is ready: one
//! that is away or old holds the change up, and nothing else. Afterwards older binaries refuse to
//! start.
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use synod_api::v1::MemberStatus;
use synod_machine::Environment;
use synod_service::ports::{Replication, Role};
use tokio::sync::oneshot;

use super::SYSTEM;
use crate::server::net::peers::Peers;
use crate::server::net::roster::Roster;
use crate::server::peer::status::environment_to_proto;
use crate::server::ports::NodeMember;
use crate::server::ports::environments::{Environments, NotReady};
use crate::server::ports::replication::RaftReplication;
use crate::server::ports::rows::Rows;

/// How often a member looks while the cluster is in an older environment than its own newest.
const LOOK: Duration = Duration::from_millis(500);
/// How long the change may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Moves the cluster on whenever this member leads, and readies this member.
pub(crate) struct Renewal {
    /// This member's logic.
    pub(crate) member: NodeMember,
    /// Who leads.
    pub(crate) replication: RaftReplication,
    /// What this binary supports.
    pub(crate) environments: Arc<Environments>,
    /// The state.
    pub(crate) rows: Rows,
    /// The connections to the others.
    pub(crate) peers: Peers,
    /// Who they are.
    pub(crate) roster: Arc<Roster>,
}

impl Renewal {
    /// Ends when the cluster is in the newest environment of this binary, which it never leaves.
    pub(crate) async fn run(self) {
        loop {
            if let Some(present) = self.member.applied().head().environment {
                if self.environments.supported().last() == Some(&present) {
                    return;
                }
                if let Err(error) = self.prepare(present).await {
                    tracing::error!(%error, "this member is not made ready for a newer environment");
                    return;
                }
                if self.replication.leadership().role == Role::Leader {
                    self.move_on(present).await;
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// On a thread of its own, which the end of this process does not wait for.
    async fn prepare(&self, present: Environment) -> Result<(), NotReady> {
        let (environments, rows) = (self.environments.clone(), self.rows.clone());
        let (done, prepared) = oneshot::channel();
        let prepare = move || drop(done.send(environments.prepare(present, &rows)));
        std::thread::Builder::new().name("synod-renew".to_owned()).spawn(prepare)?;
        prepared.await.expect("the thread does not panic")
    }

    /// Proposes the newest environment that every member is ready for, if it is newer than
    /// `present`, once this member knows who they are.
    async fn move_on(&self, present: Environment) {
        let me = self.roster.me();
        let members = self.roster.members();
        if !members.contains_key(&me) {
            return;
        }
        let others = members.keys().filter(|id| **id != me).map(|id| self.peers.status(*id));
        let others: Vec<MemberStatus> =
            join_all(others).await.into_iter().map(Result::unwrap_or_default).collect();
        let have_all = |environment: &Environment| {
            let wanted = environment_to_proto(*environment);
            others.iter().all(|member| member.environments.contains(&wanted))
        };
        let ready = self.environments.ready(Some(present));
        let newer = self.environments.newer(present).iter().rev().filter(|newer| ready.contains(newer));
        let Some(to) = newer.copied().find(have_all) else { return };
        match self.member.change_environment(present, to, SYSTEM, TIMEOUT).await {
            Ok(revision) => tracing::info!(
                from = %present,
                %to,
                revision = revision.0,
                "every member supports a newer execution environment, and the cluster goes on to it"
            ),
            Err(failure) => tracing::debug!(%failure, "the execution environment is not changed yet"),
        }
    }
}
