//! Forming the cluster, and the execution environment that its members agree on.
use alloc::format;

use synod_abi::{ClusterId, ModuleHash};

use crate::draft::draft::Draft;
use crate::draft::stop::Stop;
use crate::log::command::Action;
use crate::log::environment::Environment;
use crate::log::outcome::Reply;
use crate::log::rejection::Rejection;
use crate::ports::{Fatal, StateView, Vm};
use crate::run::run::Run;

impl<S: StateView, V: Vm<Draft<S>>> Run<'_, S, V> {
    /// Nothing may reject the command once the head is changed: that isn't undone.
    pub(crate) fn form_cluster(&mut self, cluster: ClusterId) -> Result<Reply, Stop> {
        if self.machine.head.cluster.is_some() {
            return Err(Rejection::AlreadyFormed.into());
        }
        self.machine.head.cluster = Some(cluster);
        Ok(Reply::Done)
    }

    pub(crate) fn set_environment(&mut self, environment: Environment) -> Reply {
        self.machine.head.environment = Some(environment);
        Reply::Done
    }

    /// Every command but those that form the cluster needs its environment, and a member that means
    /// the same by it.
    pub(crate) fn check_environment(&self, action: &Action) -> Result<(), Stop> {
        if matches!(action, Action::FormCluster { .. } | Action::SetEnvironment { .. }) {
            return Ok(());
        }
        let (Some(environment), Some(_)) = (self.machine.head.environment, self.machine.head.cluster) else {
            return Err(Rejection::NotFormed.into());
        };
        if environment == self.machine.own {
            return Ok(());
        }
        Err(Stop::Fatal(differing(environment, self.machine.own)))
    }
}

fn differing(cluster: Environment, own: Environment) -> Fatal {
    Fatal(format!(
        "the cluster's execution environment is semantics {} and engine {}, this binary's is semantics \
            {} and engine {}: start this member with the binary that the others run",
        cluster.semantics,
        ModuleHash(cluster.engine),
        own.semantics,
        ModuleHash(own.engine)
    ))
}
