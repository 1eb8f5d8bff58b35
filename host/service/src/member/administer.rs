//! Recipes and spaces: installing, creating, upgrading, deleting, listing.
use std::sync::Arc;
use std::time::Duration;

use synod_abi::{Blob, ClusterId, ModuleHash, RecipeName, RecipeRef, Revision, SpaceId, SpaceName, limits};
use synod_machine::directory::{self, Page, RecipeRecord};
use synod_machine::{Action, Caller, Environment, Fatal, Outcome, Rejection, Reply};

use super::call::space_name;
use super::events::SpaceListing;
use super::{Member, View, rejected};
use crate::failure::{CallFailure, Reason, Rejected, UnavailableReason};
use crate::ports::{Monotonic, Ports, PrepareFailure, Preparer};
use crate::read::Consistency;
use crate::read::RecipeEntry;

/// Whether installing creates a space.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum NewSpace {
    /// One with the recipe's name.
    #[default]
    OfRecipe,
    /// One with this name.
    Named(String),
    /// None.
    None,
}

/// A space that is there now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Created {
    /// Its name.
    pub name: SpaceName,
    /// Its id.
    pub space: SpaceId,
    /// Its recipe.
    pub recipe: RecipeRef,
    /// Whether it was there before.
    pub already: bool,
    /// Revision of the command.
    pub revision: Revision,
}

/// What became of the space that installing was to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpaceMade {
    /// None was asked for.
    None,
    /// It is there.
    Created(Created),
    /// A space of that name has another recipe or version, and keeps it until it is upgraded.
    Kept {
        /// Its name.
        name: SpaceName,
        /// What it has.
        recipe: RecipeRef,
    },
}

/// A recipe that is installed now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// Its name and version.
    pub recipe: RecipeRef,
    /// Hash of its module.
    pub hash: ModuleHash,
    /// Whether it was there before.
    pub already: bool,
    /// Revision of the command.
    pub revision: Revision,
    /// Its space.
    pub space: SpaceMade,
}

impl<P: Ports> Member<P> {
    /// Installs a recipe: admission, compilation on a majority, then the command. With `replace`,
    /// other bytes under the same name and version are replaced.
    ///
    /// # Errors
    /// [`CallFailure`]. If the recipe was installed but its space was not created, it is the
    /// latter's.
    pub async fn install(
        &self,
        module: Vec<u8>,
        replace: bool,
        space: NewSpace,
        caller: Caller,
        timeout: Duration,
    ) -> Result<Installed, CallFailure> {
        let deadline = self.deadline(timeout);
        if module.len() > limits::MODULE_BYTES {
            let (actual, limit) = (module.len(), limits::MODULE_BYTES);
            let message = format!(
                "the module has {actual} bytes, the limit is {limit}; build it with --release, and strip it"
            );
            return rejected(
                Rejected::new(Reason::ModuleTooLong, message).at_limit("MODULE_BYTES", limit as u64),
            );
        }
        let module: Arc<[u8]> = module.into();
        let admitted = self.0.reader.by(deadline, self.0.preparer.admit(module.clone())).await?;
        let admitted = admitted.map_err(|error| Rejected::of(&Rejection::NotAdmitted(error)))?;
        let space = match space {
            NewSpace::None => None,
            NewSpace::OfRecipe => Some(space_name(admitted.schema.recipe.name.as_str())?),
            NewSpace::Named(name) => Some(space_name(&name)?),
        };
        let prepared =
            self.0.reader.by(deadline, self.0.preparer.prepare(admitted.hash, module.clone())).await?;
        prepared.map_err(not_prepared)?;
        let action = Action::InstallRecipe { module: Blob(module.to_vec()), replace };
        let outcome = self.propose(action, caller, deadline).await?;
        let (recipe, hash, already) = match &outcome.result {
            Ok(Reply::Installed { recipe, hash, already }) => (recipe.clone(), *hash, *already),
            _ => return failed(&outcome),
        };
        let made = match space {
            None => SpaceMade::None,
            Some(name) => {
                let outcome =
                    self.create(&name, &recipe.name, Some(recipe.version), caller, deadline).await?;
                match (&outcome.result, created(&name, &outcome)) {
                    (_, Some(created)) => SpaceMade::Created(created),
                    (Err(Rejection::SpaceExists { recipe }), None) => {
                        SpaceMade::Kept { name, recipe: recipe.clone() }
                    }
                    _ => return failed(&outcome),
                }
            }
        };
        Ok(Installed { recipe, hash, already, revision: outcome.revision, space: made })
    }

    /// Forgets a recipe that no space uses.
    ///
    /// # Errors
    /// [`CallFailure`].
    pub async fn remove_recipe(
        &self,
        name: &str,
        version: u32,
        caller: Caller,
        timeout: Duration,
    ) -> Result<Revision, CallFailure> {
        let recipe = RecipeRef { name: recipe_name(name)?, version };
        self.done(Action::RemoveRecipe { recipe }, caller, timeout).await
    }

    /// Creates a space with a recipe; with its largest version if none is named.
    ///
    /// # Errors
    /// [`CallFailure`].
    pub async fn create_space(
        &self,
        space: &str,
        recipe: &str,
        version: Option<u32>,
        caller: Caller,
        timeout: Duration,
    ) -> Result<Created, CallFailure> {
        let (name, recipe) = (space_name(space)?, recipe_name(recipe)?);
        let outcome = self.create(&name, &recipe, version, caller, self.deadline(timeout)).await?;
        created(&name, &outcome).map_or_else(|| failed(&outcome), Ok)
    }

    async fn create(
        &self,
        name: &SpaceName,
        recipe: &RecipeName,
        version: Option<u32>,
        caller: Caller,
        deadline: Monotonic,
    ) -> Result<Outcome, CallFailure> {
        let action = Action::CreateSpace { name: name.clone(), recipe: recipe.clone(), version };
        self.propose(action, caller, deadline).await
    }

    /// Moves a space to another version of its recipe.
    ///
    /// # Errors
    /// [`CallFailure`].
    pub async fn upgrade_space(
        &self,
        space: &str,
        to: u32,
        caller: Caller,
        timeout: Duration,
    ) -> Result<Created, CallFailure> {
        let name = space_name(space)?;
        let outcome = self
            .propose(Action::UpgradeSpace { name: name.clone(), to }, caller, self.deadline(timeout))
            .await?;
        created(&name, &outcome).map_or_else(|| failed(&outcome), Ok)
    }

    /// Deletes a space and its rows.
    ///
    /// # Errors
    /// [`CallFailure`].
    pub async fn delete_space(
        &self,
        space: &str,
        caller: Caller,
        timeout: Duration,
    ) -> Result<Revision, CallFailure> {
        let name = space_name(space)?;
        self.done(Action::DeleteSpace { name }, caller, timeout).await
    }

    /// Names the cluster, unless it has a name.
    ///
    /// # Errors
    /// [`CallFailure`]; `Reason::AlreadyFormed` if another one was first.
    pub async fn form_cluster(
        &self,
        cluster: ClusterId,
        caller: Caller,
        timeout: Duration,
    ) -> Result<Revision, CallFailure> {
        self.done(Action::FormCluster { cluster }, caller, timeout).await
    }

    /// Gives a new cluster its execution environment.
    ///
    /// # Errors
    /// [`CallFailure`]; `Reason::AlreadyFormed` if it has another one.
    pub async fn set_environment(
        &self,
        environment: Environment,
        caller: Caller,
        timeout: Duration,
    ) -> Result<Revision, CallFailure> {
        self.done(Action::SetEnvironment { environment }, caller, timeout).await
    }

    /// Replaces the execution environment `from`. Members that do not support `to` stop.
    ///
    /// # Errors
    /// [`CallFailure`]; `Reason::EnvironmentChanged` if another one holds.
    pub async fn change_environment(
        &self,
        from: Environment,
        to: Environment,
        caller: Caller,
        timeout: Duration,
    ) -> Result<Revision, CallFailure> {
        self.done(Action::ChangeEnvironment { from, to }, caller, timeout).await
    }

    pub(super) async fn done(
        &self,
        action: Action,
        caller: Caller,
        timeout: Duration,
    ) -> Result<Revision, CallFailure> {
        let outcome = self.propose(action, caller, self.deadline(timeout)).await?;
        if outcome.result.is_ok() { Ok(outcome.revision) } else { failed(&outcome) }
    }

    /// At most `limit` recipes after `after`, by name and version.
    ///
    /// # Errors
    /// [`CallFailure`]; never outcome unknown.
    pub async fn recipes(
        &self,
        after: Option<&RecipeRef>,
        limit: usize,
        consistency: Consistency,
        timeout: Duration,
    ) -> Result<Page<RecipeRecord>, CallFailure> {
        self.0.reader.ready(consistency, 0, self.deadline(timeout)).await?;
        let after = after.cloned();
        self.read(move |view| directory::recipes(view, after.as_ref(), limit)).await
    }

    /// At most `limit` spaces after `after`, by name.
    ///
    /// # Errors
    /// [`CallFailure`]; never outcome unknown.
    pub async fn spaces(
        &self,
        after: Option<&SpaceName>,
        limit: usize,
        consistency: Consistency,
        timeout: Duration,
    ) -> Result<Page<SpaceListing>, CallFailure> {
        self.0.reader.ready(consistency, 0, self.deadline(timeout)).await?;
        let after = after.cloned();
        let list = move |view: &View<P>| {
            let Page { items, more } = directory::spaces(view, after.as_ref(), limit)?;
            let items = items.into_iter().map(|space| SpaceListing::read(view, space));
            Ok(Page { items: items.collect::<Result<_, Fatal>>()?, more })
        };
        self.read(list).await
    }

    /// A recipe with its schema; the largest version if none is named.
    ///
    /// # Errors
    /// [`CallFailure`]; never outcome unknown.
    pub async fn describe_recipe(
        &self,
        name: &str,
        version: Option<u32>,
        consistency: Consistency,
        timeout: Duration,
    ) -> Result<RecipeEntry, CallFailure> {
        let name = recipe_name(name)?;
        self.0.reader.ready(consistency, 0, self.deadline(timeout)).await?;
        let directory = self.0.directory.clone();
        let recipe = self.read(move |view| directory.recipe_in(view, &name, version)).await?;
        recipe.ok_or_else(|| Rejected::of(&Rejection::UnknownRecipe).into())
    }
}

fn recipe_name(name: &str) -> Result<RecipeName, CallFailure> {
    RecipeName::new(name).map_err(|error| {
        Rejected::new(Reason::InvalidName, format!("{name:?} is not the name of a recipe: {error}")).into()
    })
}

fn not_prepared(failure: PrepareFailure) -> CallFailure {
    match failure {
        PrepareFailure::TooCostly { limit, message } => {
            Rejected::new(Reason::ModuleTooCostly, message).at_limit(limit.name, limit.value).into()
        }
        PrepareFailure::Unavailable(message) => {
            CallFailure::unavailable(UnavailableReason::NotReady, message)
        }
    }
}

fn created(name: &SpaceName, outcome: &Outcome) -> Option<Created> {
    match &outcome.result {
        Ok(Reply::Space { space, recipe, already }) => Some(Created {
            name: name.clone(),
            space: *space,
            recipe: recipe.clone(),
            already: *already,
            revision: outcome.revision,
        }),
        _ => None,
    }
}

pub(super) fn failed<T>(outcome: &Outcome) -> Result<T, CallFailure> {
    match &outcome.result {
        Err(rejection) => rejected(Rejected::of(rejection).at(outcome)),
        Ok(reply) => Err(CallFailure::OutcomeUnknown(format!(
            "the command was applied with an answer that this version does not know: {reply:?}"
        ))),
    }
}
