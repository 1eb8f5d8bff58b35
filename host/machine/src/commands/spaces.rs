//! Commands about the cluster, recipes and spaces.
//!
//! A space names its recipe, not its module, so that replacing a module under the same name and
//! version moves every space of it at once; its timers stay and fire in the new module. A deleted
//! space gives up the calls that wait in it, its timers, its events and its bindings. Ids of spaces
//! are never used again; names are.
use synod_abi::schema::Schema;
use synod_abi::{ClusterId, RecipeName, RecipeRef, Revision, SpaceId, SpaceName, limits};

use crate::apply::{Machine, Stop};
use crate::draft::draft::Workspace;
use crate::log::outcome::Reply;
use crate::log::rejection::Rejection;
use crate::ports::{Admitted, Fatal, StateView, Table, Vm};
use crate::rows::directory::{
    self, RecipeRecord, SpaceRecord, StoredRecipe, StoredSpace, hash_key, hook_failures_key, recipe_key,
    space_id_key, space_key, space_sum_key,
};
use crate::upgrade::{check_upgrade, not_newer};

impl Machine {
    pub(crate) fn form_cluster(&mut self, cluster: ClusterId) -> Result<Reply, Stop> {
        if self.head.cluster.is_some() {
            return Err(Rejection::AlreadyFormed.into());
        }
        self.head.cluster = Some(cluster);
        Ok(Reply::Done)
    }

    pub(crate) fn install<S: StateView, V: Vm<Workspace<S>>>(
        &mut self,
        workspace: &mut Workspace<S>,
        vm: &mut V,
        module: &[u8],
        replace: bool,
    ) -> Result<Reply, Stop> {
        let Admitted { hash, schema, schema_bytes } = vm.admit(module).map_err(Rejection::NotAdmitted)?;
        let recipe = schema.recipe.clone();
        match directory::recipe(workspace, &recipe)? {
            Some(there) if there.hash == hash => return Ok(Reply::Installed { recipe, hash, already: true }),
            Some(there) if !replace => return Err(Rejection::RecipeExists { hash: there.hash }.into()),
            Some(there) => self.replace(workspace, vm, &there, &schema)?,
            None if self.head.recipes as usize >= limits::RECIPES => {
                return Err(Rejection::TooMany { limit: limits::RECIPES as u64 }.into());
            }
            None => self.head.recipes += 1,
        }
        let (installed, installed_at) = (self.next_revision(), self.head.time);
        let stored = StoredRecipe { hash, module_bytes: module.len() as u64, installed, installed_at };
        let overlay = workspace.overlay();
        overlay.put(Table::Recipes, &recipe_key(b'r', &recipe), synod_abi::encode(&stored));
        overlay.put(Table::Recipes, &hash_key(b'm', hash), module.to_vec());
        overlay.put(Table::Recipes, &hash_key(b'c', hash), schema_bytes);
        if !vm.is_loaded(hash) {
            vm.load(hash, module)?;
        }
        self.directory_changed = true;
        Ok(Reply::Installed { recipe, hash, already: false })
    }

    /// Takes the former module away, if the spaces that use it can go on with `new`.
    fn replace<S: StateView, V: Vm<Workspace<S>>>(
        &mut self,
        workspace: &mut Workspace<S>,
        vm: &mut V,
        former: &RecipeRecord,
        new: &Schema,
    ) -> Result<(), Stop> {
        if former.spaces > 0 {
            check_upgrade(&schema_of(workspace, former)?, new).map_err(Rejection::IncompatibleUpgrade)?;
        }
        delete_module(workspace, former);
        let moved: alloc::vec::Vec<SpaceId> = self
            .targets
            .iter()
            .filter(|(_, target)| target.module == former.hash)
            .map(|(space, _)| *space)
            .collect();
        moved.into_iter().for_each(|space| self.forget(vm, space));
        Ok(())
    }

    pub(crate) fn remove_recipe<S: StateView>(
        &mut self,
        workspace: &mut Workspace<S>,
        recipe: &RecipeRef,
    ) -> Result<Reply, Stop> {
        let record = directory::recipe(workspace, recipe)?.ok_or(Rejection::UnknownRecipe)?;
        if record.spaces > 0 {
            return Err(Rejection::RecipeInUse.into());
        }
        delete_module(workspace, &record);
        workspace.overlay().delete(Table::Recipes, &recipe_key(b'r', recipe));
        self.head.recipes -= 1;
        self.directory_changed = true;
        Ok(Reply::Done)
    }

    pub(crate) fn create_space<S: StateView>(
        &mut self,
        workspace: &mut Workspace<S>,
        name: &SpaceName,
        recipe: &RecipeName,
        version: Option<u32>,
    ) -> Result<Reply, Stop> {
        if let Some(there) = directory::space(workspace, name)? {
            let same =
                there.recipe.name == *recipe && version.is_none_or(|version| version == there.recipe.version);
            return match same {
                true => Ok(Reply::Space { space: there.id, recipe: there.recipe, already: true }),
                false => Err(Rejection::SpaceExists { recipe: there.recipe }.into()),
            };
        }
        let record = match version {
            Some(version) => directory::recipe(workspace, &RecipeRef { name: recipe.clone(), version })?,
            None => directory::latest(workspace, recipe)?,
        };
        let record = record.ok_or(Rejection::UnknownRecipe)?;
        if self.head.spaces as usize >= limits::SPACES {
            return Err(Rejection::TooMany { limit: limits::SPACES as u64 }.into());
        }
        let id =
            self.head.last_space.checked_add(1).ok_or(Rejection::TooMany { limit: u64::from(u32::MAX) })?;
        self.head.last_space = id;
        self.head.spaces += 1;
        let (created, created_at) = (self.next_revision(), self.head.time);
        let stored = StoredSpace { id: SpaceId(id), recipe: record.recipe.clone(), created, created_at };
        let overlay = workspace.overlay();
        overlay.put(Table::System, &space_key(name.as_str()), synod_abi::encode(&stored));
        overlay.put(Table::System, &space_id_key(SpaceId(id)), name.as_str().into());
        set_uses(workspace, &record.recipe, record.spaces + 1);
        self.directory_changed = true;
        Ok(Reply::Space { space: SpaceId(id), recipe: record.recipe, already: false })
    }

    pub(crate) fn upgrade_space<S: StateView, V: Vm<Workspace<S>>>(
        &mut self,
        workspace: &mut Workspace<S>,
        vm: &mut V,
        name: &SpaceName,
        to: u32,
    ) -> Result<Reply, Stop> {
        let SpaceRecord { id, recipe, created, created_at, .. } =
            directory::space(workspace, name)?.ok_or(Rejection::UnknownSpace)?;
        let target = RecipeRef { name: recipe.name.clone(), version: to };
        let new = directory::recipe(workspace, &target)?.ok_or(Rejection::UnknownRecipe)?;
        if to <= recipe.version {
            return Err(Rejection::IncompatibleUpgrade(not_newer(recipe.version)).into());
        }
        let old = directory::recipe(workspace, &recipe)?
            .ok_or_else(|| Fatal("the recipe of a space is not in the state".into()))?;
        check_upgrade(&schema_of(workspace, &old)?, &schema_of(workspace, &new)?)
            .map_err(Rejection::IncompatibleUpgrade)?;
        let stored = StoredSpace { id, recipe: target.clone(), created, created_at };
        workspace.overlay().put(Table::System, &space_key(name.as_str()), synod_abi::encode(&stored));
        set_uses(workspace, &recipe, old.spaces.saturating_sub(1));
        set_uses(workspace, &target, new.spaces + 1);
        self.forget(vm, id);
        self.directory_changed = true;
        Ok(Reply::Space { space: id, recipe: target, already: false })
    }

    pub(crate) fn delete_space<S: StateView, V: Vm<Workspace<S>>>(
        &mut self,
        workspace: &mut Workspace<S>,
        vm: &mut V,
        name: &SpaceName,
    ) -> Result<Reply, Stop> {
        let record = directory::space(workspace, name)?.ok_or(Rejection::UnknownSpace)?;
        let uses = directory::recipe(workspace, &record.recipe)?.map_or(0, |recipe| recipe.spaces);
        let overlay = workspace.overlay();
        overlay.delete_prefix(Table::State, &record.id.0.to_be_bytes());
        overlay.delete(Table::System, &space_key(name.as_str()));
        overlay.delete(Table::System, &space_id_key(record.id));
        overlay.delete(Table::System, &space_sum_key(record.id));
        overlay.delete(Table::System, &hook_failures_key(record.id));
        set_uses(workspace, &record.recipe, uses.saturating_sub(1));
        workspace.delete_events(record.id)?;
        self.remove_bindings(workspace, record.id)?;
        workspace.abandon_tickets(record.id)?;
        workspace.purge_timers(record.id)?;
        self.head.spaces -= 1;
        self.sources.remove(&record.id);
        self.forget(vm, record.id);
        self.deleted.push(record.id);
        self.directory_changed = true;
        Ok(Reply::Done)
    }

    fn next_revision(&self) -> Revision {
        Revision(self.head.revision.0 + 1)
    }
}

fn set_uses<S: StateView>(workspace: &mut Workspace<S>, recipe: &RecipeRef, spaces: u32) {
    let key = recipe_key(b'u', recipe);
    match spaces {
        0 => workspace.overlay().delete(Table::Recipes, &key),
        spaces => workspace.overlay().put(Table::Recipes, &key, synod_abi::encode(&spaces)),
    }
}

fn delete_module<S: StateView>(workspace: &mut Workspace<S>, record: &RecipeRecord) {
    workspace.overlay().delete(Table::Recipes, &hash_key(b'm', record.hash));
    workspace.overlay().delete(Table::Recipes, &hash_key(b'c', record.hash));
}

fn schema_of<S: StateView>(workspace: &Workspace<S>, record: &RecipeRecord) -> Result<Schema, Fatal> {
    directory::schema(workspace, record.hash)?
        .ok_or_else(|| Fatal("the schema of an installed recipe is not in the state".into()))
}
