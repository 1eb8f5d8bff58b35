//! Forming the cluster, the execution environment that its members agree on, and the checkpoints at
//! which they compare their digests.
use synod_abi::ClusterId;

use crate::draft::draft::Draft;
use crate::draft::stop::Stop;
use crate::log::command::{Action, DigestRecord};
use crate::log::environment::Environment;
use crate::log::outcome::{Outcome, Reply};
use crate::log::rejection::Rejection;
use crate::ports::{StateView, Vm};
use crate::rows::head::Head;
use crate::run::run::{Decided, Run};

impl<S: StateView, V: Vm<Draft<S>>> Run<'_, S, V> {
    /// Nothing may reject the command once the head is changed: that isn't undone.
    pub(crate) fn form_cluster(&mut self, cluster: ClusterId) -> Result<Reply, Stop> {
        if self.machine.head.cluster.is_some() {
            return Err(Rejection::AlreadyFormed.into());
        }
        self.machine.head.cluster = Some(cluster);
        Ok(Reply::Done)
    }

    /// A command that is given twice, as a proposer does who heard of no outcome, changes nothing.
    pub(crate) fn set_environment(&mut self, environment: Environment) -> Result<Reply, Stop> {
        match self.machine.head.environment {
            Some(present) if present == environment => Ok(Reply::Done),
            Some(_) => Err(Rejection::AlreadyFormed.into()),
            None => self.enter_environment(environment),
        }
    }

    /// Names what it replaces, so that one which comes late does not take back another change.
    pub(crate) fn change_environment(&mut self, from: Environment, to: Environment) -> Result<Reply, Stop> {
        match self.machine.head.environment {
            Some(present) if present == to => Ok(Reply::Done),
            Some(present) if present == from => self.enter_environment(to),
            _ => Err(Rejection::EnvironmentChanged.into()),
        }
    }

    /// It holds from the next entry on, for which the engine is told.
    fn enter_environment(&mut self, environment: Environment) -> Result<Reply, Stop> {
        self.machine.check_supported(environment).map_err(Stop::Fatal)?;
        self.machine.head.environment = Some(environment);
        Ok(Reply::Done)
    }

    /// Hands the leader's digests on: what this member had at that entry is no part of the state.
    /// Takes no revision, since nothing that users see changes.
    pub(crate) fn checkpoint(&mut self, digests: DigestRecord) -> Decided {
        self.draft.effects().checkpoints.push(digests);
        let Head { revision, time, .. } = self.machine.head;
        Decided::Recorded(Outcome { revision, time, result: Ok(Reply::Done) })
    }

    /// Every command but those that form the cluster needs its environment.
    pub(crate) fn check_formed(&self, action: &Action) -> Result<(), Stop> {
        if matches!(action, Action::FormCluster { .. } | Action::SetEnvironment { .. }) {
            return Ok(());
        }
        match (self.machine.head.environment, self.machine.head.cluster) {
            (Some(_), Some(_)) => Ok(()),
            _ => Err(Rejection::NotFormed.into()),
        }
    }
}
