//! What a command may touch, and whether its caller may do that.
//!
//! One exhaustive function for every action, asked at proposal by the service and at apply by the
//! machine, so that no command can be added without an answer. Until there is authentication every
//! principal may do everything.
use synod_abi::{OperationId, RecipeName, RecipeRef, SessionId, SpaceId, SpaceName};

use crate::log::command::{Action, EndCause, Principal};

/// Something that a command does to something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right<'a> {
    /// Names the cluster or changes its execution environment.
    ConfigureCluster,
    /// Installs a recipe. Which one is known only when its module was read.
    InstallRecipe,
    /// Removes a recipe.
    RemoveRecipe(&'a RecipeRef),
    /// Runs a recipe in a space of one's own.
    UseRecipe(&'a RecipeName),
    /// Creates, upgrades or deletes a space, or settles what it is owed.
    AdministerSpace(&'a SpaceName),
    /// Runs an operation; its rows are those of the space and no others.
    CallSpace(SpaceId, OperationId),
    /// Opens a session of one's own.
    OpenSession,
    /// Calls in a session or gives a request of it up. That it is the caller's own is checked
    /// against its record.
    UseSession,
    /// Closes a session, one's own or another's.
    CloseSession(SessionId),
    /// Ends a session without a sign of its client: only a leader decides that.
    ExpireSession(SessionId),
    /// Fires what is due: what only a leader decides.
    FireTimers,
    /// Reads the events of a space.
    ReadEvents(&'a SpaceName),
    /// Forgets events of a space.
    CompactEvents(SpaceId),
    /// Has the members compare their digests: what only a leader decides.
    CompareDigests,
}

/// Everything that a command touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccessSet<'a> {
    first: Right<'a>,
    second: Option<Right<'a>>,
}

impl<'a> AccessSet<'a> {
    /// The rights that the command needs, all of them.
    pub fn rights(&self) -> impl Iterator<Item = Right<'a>> {
        core::iter::once(self.first).chain(self.second)
    }

    /// Whether `principal` has them.
    pub fn allows(&self, principal: Principal) -> bool {
        self.rights().all(|right| has(principal, right))
    }
}

/// What `action` may touch.
pub fn access_set(action: &Action) -> AccessSet<'_> {
    let (first, second) = match action {
        Action::FormCluster { cluster: _ }
        | Action::SetEnvironment { environment: _ }
        | Action::ChangeEnvironment { from: _, to: _ } => (Right::ConfigureCluster, None),
        Action::InstallRecipe { module: _, replace: _ } => (Right::InstallRecipe, None),
        Action::RemoveRecipe { recipe } => (Right::RemoveRecipe(recipe), None),
        Action::CreateSpace { name, recipe, version: _ } => {
            (Right::AdministerSpace(name), Some(Right::UseRecipe(recipe)))
        }
        Action::UpgradeSpace { name, to: _ } | Action::DeleteSpace { name } => {
            (Right::AdministerSpace(name), None)
        }
        Action::Call(call) => (Right::CallSpace(call.space, call.operation), None),
        Action::OpenSession(_) => (Right::OpenSession, None),
        Action::EndSession { session, cause: EndCause::Closed } => (Right::CloseSession(*session), None),
        Action::EndSession { session, cause: EndCause::Expired } => (Right::ExpireSession(*session), None),
        Action::SessionCall(call) | Action::UserCall { user: _, call } => {
            (Right::UseSession, Some(Right::CallSpace(call.call.space, call.call.operation)))
        }
        Action::CancelRequest { request: _ } => (Right::UseSession, None),
        Action::Tick => (Right::FireTimers, None),
        Action::SetSessionBounds { bounds: _ } => (Right::ConfigureCluster, None),
        Action::BindSpace { binding, on_failure: _ } | Action::UnbindSpace { binding } => {
            (Right::AdministerSpace(&binding.handler), Some(Right::ReadEvents(&binding.source)))
        }
        Action::SetEventRetention { name, retention: _ } => (Right::AdministerSpace(name), None),
        Action::SettleHook { name, number: _, how: _ } => (Right::AdministerSpace(name), None),
        Action::CompactEvents { space, through: _ } => (Right::CompactEvents(*space), None),
        Action::Checkpoint(_) => (Right::CompareDigests, None),
    };
    AccessSet { first, second }
}

/// Whether `principal` has `right`. Grants will be rows; the machine then asks them here.
fn has(principal: Principal, right: Right<'_>) -> bool {
    match (principal, right) {
        (
            Principal::System | Principal::Anyone,
            Right::ConfigureCluster
            | Right::InstallRecipe
            | Right::RemoveRecipe(_)
            | Right::UseRecipe(_)
            | Right::AdministerSpace(_)
            | Right::CallSpace(..)
            | Right::OpenSession
            | Right::UseSession
            | Right::CloseSession(_)
            | Right::ExpireSession(_)
            | Right::FireTimers
            | Right::ReadEvents(_)
            | Right::CompactEvents(_)
            | Right::CompareDigests,
        ) => true,
    }
}

#[cfg(test)]
mod tests;
