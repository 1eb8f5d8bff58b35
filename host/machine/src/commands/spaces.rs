//! Creating, upgrading and deleting spaces.
//!
//! A deleted space gives up the calls that wait in it, its timers, what it is owed, its events and
//! its bindings. What an upgraded one is owed is tried again soon. Ids of spaces are never used
//! again; names are.
use synod_abi::{RecipeName, RecipeRef, SpaceId, SpaceName, limits};

use crate::draft::draft::Draft;
use crate::draft::stop::Stop;
use crate::log::outcome::Reply;
use crate::log::rejection::{Counted, Rejection};
use crate::ports::{Fatal, StateView, Table, Vm};
use crate::rows::codec::damaged;
use crate::rows::counter::Counter;
use crate::rows::directory::{
    self, SpaceRecord, StoredSpace, hook_failures_key, space_id_key, space_key, space_sum_key,
};
use crate::run::run::Run;
use crate::upgrade::{check_upgrade, not_newer};

impl<S: StateView, V: Vm<Draft<S>>> Run<'_, S, V> {
    pub(crate) fn create_space(
        &mut self,
        name: &SpaceName,
        recipe: &RecipeName,
        version: Option<u32>,
    ) -> Result<Reply, Stop> {
        if let Some(there) = directory::space(&*self.draft, name)? {
            let same =
                there.recipe.name == *recipe && version.is_none_or(|version| version == there.recipe.version);
            return match same {
                true => Ok(Reply::Space { space: there.id, recipe: there.recipe, already: true }),
                false => Err(Rejection::SpaceExists { recipe: there.recipe }.into()),
            };
        }
        let record = match version {
            Some(version) => directory::recipe(&*self.draft, &RecipeRef { name: recipe.clone(), version })?,
            None => directory::latest(&*self.draft, recipe)?,
        };
        let record = record.ok_or(Rejection::UnknownRecipe)?;
        if self.draft.counts().spaces as usize >= limits::SPACES {
            return Err(Rejection::TooMany { what: Counted::Spaces }.into());
        }
        let numbers = self.draft.numbers();
        let id = numbers.last_space.checked_add(1).ok_or(Rejection::TooMany { what: Counted::SpaceIds })?;
        numbers.last_space = id;
        numbers.counts.spaces += 1;
        let stored = StoredSpace {
            id: SpaceId(id),
            recipe: record.recipe.clone(),
            created: self.turn.revision,
            created_at: self.machine.head.time,
        };
        let overlay = self.draft.overlay();
        overlay.put(Table::System, &space_key(name.as_str()), synod_abi::encode(&stored));
        overlay.put(Table::System, &space_id_key(SpaceId(id)), name.as_str().into());
        self.set_uses(&record.recipe, record.spaces + 1);
        self.machine.directory_changed = true;
        Ok(Reply::Space { space: SpaceId(id), recipe: record.recipe, already: false })
    }

    pub(crate) fn upgrade_space(&mut self, name: &SpaceName, to: u32) -> Result<Reply, Stop> {
        let SpaceRecord { id, recipe, created, created_at, .. } =
            directory::space(&*self.draft, name)?.ok_or(Rejection::UnknownSpace)?;
        if to == recipe.version {
            return Ok(Reply::Space { space: id, recipe, already: true });
        }
        let target = RecipeRef { name: recipe.name.clone(), version: to };
        let new = directory::recipe(&*self.draft, &target)?.ok_or(Rejection::UnknownRecipe)?;
        if to < recipe.version {
            return Err(Rejection::IncompatibleUpgrade(not_newer(recipe.version)).into());
        }
        let old = directory::recipe(&*self.draft, &recipe)?
            .ok_or_else(|| Fatal("the recipe of a space is not in the state".into()))?;
        check_upgrade(&self.schema_of(&old)?, &self.schema_of(&new)?)
            .map_err(Rejection::IncompatibleUpgrade)?;
        let mut old_uses = old.spaces;
        old_uses.take(1, "spaces of a recipe")?;
        let stored = StoredSpace { id, recipe: target.clone(), created, created_at };
        self.draft.overlay().put(Table::System, &space_key(name.as_str()), synod_abi::encode(&stored));
        self.set_uses(&recipe, old_uses);
        self.set_uses(&target, new.spaces + 1);
        self.forget(id);
        self.draft.hasten(id)?;
        self.machine.directory_changed = true;
        Ok(Reply::Space { space: id, recipe: target, already: false })
    }

    pub(crate) fn delete_space(&mut self, name: &SpaceName) -> Result<Reply, Stop> {
        let record = directory::space(&*self.draft, name)?.ok_or(Rejection::UnknownSpace)?;
        let recipe = directory::recipe(&*self.draft, &record.recipe)?;
        let mut uses = recipe.ok_or_else(|| damaged("the recipe of a space"))?.spaces;
        uses.take(1, "spaces of a recipe")?;
        let overlay = self.draft.overlay();
        overlay.delete_prefix(Table::State, &record.id.0.to_be_bytes());
        overlay.delete(Table::System, &space_key(name.as_str()));
        overlay.delete(Table::System, &space_id_key(record.id));
        overlay.delete(Table::System, &space_sum_key(record.id));
        overlay.delete(Table::System, &hook_failures_key(record.id));
        self.set_uses(&record.recipe, uses);
        self.draft.delete_events(record.id)?;
        self.remove_bindings(record.id)?;
        self.draft.abandon_tickets(record.id)?;
        self.draft.abandon_timers(record.id)?;
        self.draft.counts().spaces.take(1, "spaces")?;
        self.machine.sources.remove(&record.id);
        self.forget(record.id);
        self.machine.deleted.push(record.id);
        self.machine.directory_changed = true;
        Ok(Reply::Done)
    }
}
