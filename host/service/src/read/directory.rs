//! The spaces that calls go to, in memory: a call finds its schema without reading the store.
//!
//! Entries are immutable and read on demand; when the machine says that recipes or spaces changed,
//! all are forgotten, so that a cluster of many spaces pays for the ones it uses. What is here is
//! as old as this member's apply. Who does not find something waits for a read index and looks
//! again, before saying that it does not exist. Queries read their own view.
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use synod_abi::schema::{EntryPointSchema, Schema};
use synod_abi::{ModuleHash, RecipeName, RecipeRef, SpaceName, limits};
use synod_machine::directory::{self, RecipeRecord, SpaceRecord};
use synod_machine::{Fatal, StateView};

use super::pages::paged;
use crate::progress::lock;

/// Schemas that are kept; when there are more, all are forgotten.
const SCHEMAS: usize = 2 * limits::RECIPES;

/// A space with what its recipe understands.
#[derive(Clone, Debug)]
pub struct SpaceEntry {
    /// Its record.
    pub record: SpaceRecord,
    /// Its recipe's schema.
    pub schema: Arc<Schema>,
}

/// An installed recipe with its schema.
#[derive(Clone, Debug)]
pub struct RecipeEntry {
    /// Its record.
    pub record: RecipeRecord,
    /// Its schema.
    pub schema: Arc<Schema>,
}

/// Which entry points are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Operations.
    Operation,
    /// Queries.
    Query,
}

impl Kind {
    /// The entry point called `name`.
    pub fn find<'a>(self, schema: &'a Schema, name: &str) -> Option<&'a EntryPointSchema> {
        match self {
            Self::Operation => schema.operation(name),
            Self::Query => schema.query(name),
        }
    }
}

#[derive(Debug, Default)]
struct Cache {
    /// Grows whenever all spaces are forgotten, which their lock covers.
    generation: AtomicU64,
    spaces: RwLock<HashMap<String, Arc<SpaceEntry>>>,
    schemas: Mutex<HashMap<ModuleHash, Arc<Schema>>>,
}

/// The cache. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct DirectoryCache(Arc<Cache>);

impl DirectoryCache {
    /// The space called `name`, as of the last applied entry, if it is in memory.
    pub fn known(&self, name: &SpaceName) -> Option<Arc<SpaceEntry>> {
        let spaces = self.0.spaces.read().unwrap_or_else(PoisonError::into_inner);
        spaces.get(name.as_str()).cloned()
    }

    /// The space called `name`, as of the last applied entry; `view` is asked for only if it is not
    /// in memory.
    ///
    /// # Errors
    /// [`Fatal`] if the store cannot be read.
    pub fn space<V: StateView>(
        &self,
        name: &SpaceName,
        view: impl FnOnce() -> Result<V, Fatal>,
    ) -> Result<Option<Arc<SpaceEntry>>, Fatal> {
        let generation = {
            let spaces = self.0.spaces.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(space) = spaces.get(name.as_str()) {
                return Ok(Some(space.clone()));
            }
            self.generation()
        };
        let Some(space) = self.space_in(&view()?, name)? else { return Ok(None) };
        let space = Arc::new(space);
        let mut spaces = self.0.spaces.write().unwrap_or_else(PoisonError::into_inner);
        if self.generation() == generation {
            spaces.insert(name.as_str().to_owned(), space.clone());
        }
        Ok(Some(space))
    }

    /// The space called `name` in `view`.
    ///
    /// # Errors
    /// [`Fatal`] if the store cannot be read.
    pub fn space_in(&self, view: &impl StateView, name: &SpaceName) -> Result<Option<SpaceEntry>, Fatal> {
        let Some(record) = directory::space(view, name)? else { return Ok(None) };
        let schema = self.schema(view, record.module)?;
        Ok(Some(SpaceEntry { record, schema }))
    }

    /// Forgets all spaces: what is read from now on is new.
    pub fn invalidate(&self) {
        let mut spaces = self.0.spaces.write().unwrap_or_else(PoisonError::into_inner);
        self.0.generation.fetch_add(1, Ordering::AcqRel);
        spaces.clear();
    }

    /// Another one after each [`invalidate`](Self::invalidate): while it stays the same, so does
    /// every space.
    pub fn generation(&self) -> u64 {
        self.0.generation.load(Ordering::Acquire)
    }

    /// The schema of a module that `view` has.
    ///
    /// # Errors
    /// [`Fatal`] if the store cannot be read, or lacks it.
    pub fn schema(&self, view: &impl StateView, hash: ModuleHash) -> Result<Arc<Schema>, Fatal> {
        if let Some(schema) = lock(&self.0.schemas).get(&hash) {
            return Ok(schema.clone());
        }
        let schema = directory::schema(view, hash)?
            .ok_or_else(|| Fatal(format!("the schema of module {hash} is missing from the store")))?;
        let schema = Arc::new(schema);
        let mut schemas = lock(&self.0.schemas);
        if schemas.len() >= SCHEMAS {
            schemas.clear();
        }
        schemas.insert(hash, schema.clone());
        Ok(schema)
    }

    /// A recipe in `view`; its largest version if none is named.
    ///
    /// # Errors
    /// [`Fatal`] if the store cannot be read.
    pub fn recipe_in(
        &self,
        view: &impl StateView,
        name: &RecipeName,
        version: Option<u32>,
    ) -> Result<Option<RecipeEntry>, Fatal> {
        let record = match version {
            Some(version) => directory::recipe(view, &RecipeRef { name: name.clone(), version })?,
            None => directory::latest(view, name)?,
        };
        let Some(record) = record else { return Ok(None) };
        let schema = self.schema(view, record.hash)?;
        Ok(Some(RecipeEntry { record, schema }))
    }

    /// Whether an installed version of the space's recipe before the space's own has this entry
    /// point with this signature.
    ///
    /// # Errors
    /// [`Fatal`] if the store cannot be read.
    pub fn knew_signature(
        &self,
        view: &impl StateView,
        space: &SpaceEntry,
        kind: Kind,
        entry_point: &str,
        signature: u64,
    ) -> Result<bool, Fatal> {
        self.earlier_version(view, space, |schema| {
            kind.find(schema, entry_point).is_some_and(|point| point.signature == signature)
        })
    }

    /// Whether `wanted` accepts the schema of an installed version of the space's recipe before the
    /// space's own.
    pub(crate) fn earlier_version(
        &self,
        view: &impl StateView,
        space: &SpaceEntry,
        wanted: impl Fn(&Schema) -> bool,
    ) -> Result<bool, Fatal> {
        let RecipeRef { name, version } = &space.record.recipe;
        let first = RecipeRef { name: name.clone(), version: 0 };
        let recipes = paged(
            Some(first),
            |after, limit| directory::recipes(view, after, limit),
            |record| record.recipe.clone(),
        );
        for record in recipes {
            let record = record?;
            if record.recipe.name != *name || record.recipe.version >= *version {
                return Ok(false);
            }
            if wanted(&*self.schema(view, record.hash)?) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
