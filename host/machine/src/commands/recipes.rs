//! Installing and removing recipes.
//!
//! A space names its recipe, not its module, so that replacing a module under the same name and
//! version moves every space of it at once; its timers stay and fire in the new module, and what it
//! is owed is tried again.
use alloc::vec::Vec;

use synod_abi::schema::Schema;
use synod_abi::{RecipeRef, SpaceId, limits};

use crate::draft::draft::Draft;
use crate::draft::stop::Stop;
use crate::log::outcome::Reply;
use crate::log::rejection::{Counted, Rejection};
use crate::ports::{Admitted, Fatal, StateView, Table, Vm};
use crate::rows::counter::Counter;
use crate::rows::directory::{self, RecipeRecord, StoredRecipe, hash_key, recipe_key};
use crate::run::run::Run;
use crate::upgrade::check_upgrade;

impl<S: StateView, V: Vm<Draft<S>>> Run<'_, S, V> {
    pub(crate) fn install(&mut self, module: &[u8], replace: bool) -> Result<Reply, Stop> {
        let Admitted { hash, schema, schema_bytes } =
            self.vm.admit(module).map_err(Rejection::NotAdmitted)?;
        let recipe = schema.recipe.clone();
        match directory::recipe(&*self.draft, &recipe)? {
            Some(there) if there.hash == hash => return Ok(Reply::Installed { recipe, hash, already: true }),
            Some(there) if !replace => return Err(Rejection::RecipeExists { hash: there.hash }.into()),
            Some(there) => self.replace(&there, &schema)?,
            None if self.draft.counts().recipes as usize >= limits::RECIPES => {
                return Err(Rejection::TooMany { what: Counted::Recipes }.into());
            }
            None => self.draft.counts().recipes += 1,
        }
        let stored = StoredRecipe {
            hash,
            module_bytes: module.len() as u64,
            installed: self.turn.revision,
            installed_at: self.machine.head.time,
        };
        let overlay = self.draft.overlay();
        overlay.put(Table::Recipes, &recipe_key(b'r', &recipe), synod_abi::encode(&stored));
        overlay.put(Table::Recipes, &hash_key(b'm', hash), module.to_vec());
        overlay.put(Table::Recipes, &hash_key(b'c', hash), schema_bytes);
        if !self.vm.is_loaded(hash) {
            self.vm.load(hash, module)?;
        }
        self.machine.directory_changed = true;
        Ok(Reply::Installed { recipe, hash, already: false })
    }

    /// Takes the former module away, if the spaces that use it can go on with `new`.
    fn replace(&mut self, former: &RecipeRecord, new: &Schema) -> Result<(), Stop> {
        if former.spaces > 0 {
            check_upgrade(&self.schema_of(former)?, new).map_err(Rejection::IncompatibleUpgrade)?;
        }
        self.delete_module(former);
        self.draft.hasten_all(&former.recipe);
        let targets = self.machine.targets.iter();
        let moved = targets.filter(|(_, target)| target.module == former.hash).map(|(space, _)| *space);
        moved.collect::<Vec<SpaceId>>().into_iter().for_each(|space| self.forget(space));
        Ok(())
    }

    pub(crate) fn remove_recipe(&mut self, recipe: &RecipeRef) -> Result<Reply, Stop> {
        let record = directory::recipe(&*self.draft, recipe)?.ok_or(Rejection::UnknownRecipe)?;
        if record.spaces > 0 {
            return Err(Rejection::RecipeInUse.into());
        }
        self.delete_module(&record);
        self.draft.overlay().delete(Table::Recipes, &recipe_key(b'r', recipe));
        self.draft.counts().recipes.take(1, "recipes")?;
        self.machine.directory_changed = true;
        Ok(Reply::Done)
    }

    /// Sets how many spaces use a recipe.
    pub(crate) fn set_uses(&mut self, recipe: &RecipeRef, spaces: u32) {
        let key = recipe_key(b'u', recipe);
        match spaces {
            0 => self.draft.overlay().delete(Table::Recipes, &key),
            spaces => self.draft.overlay().put(Table::Recipes, &key, synod_abi::encode(&spaces)),
        }
    }

    pub(crate) fn schema_of(&self, record: &RecipeRecord) -> Result<Schema, Fatal> {
        directory::schema(&*self.draft, record.hash)?
            .ok_or_else(|| Fatal("the schema of an installed recipe is not in the state".into()))
    }

    fn delete_module(&mut self, record: &RecipeRecord) {
        self.draft.overlay().delete(Table::Recipes, &hash_key(b'm', record.hash));
        self.draft.overlay().delete(Table::Recipes, &hash_key(b'c', record.hash));
    }
}
