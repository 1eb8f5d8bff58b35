//! The directory of spaces and recipes, as rows: read by the machine through its draft, by the
//! service and queries from any view, so that a query's name, module, schema and rows are of one
//! moment.
//!
//! | table | key | value |
//! |---|---|---|
//! | system | `h` | [`Head`] |
//! | system | `s` name | the space's record |
//! | system | `i` id | its name |
//! | system | `d` id | [`RowSum`] of its rows and events |
//! | system | `f` id | [`HookFailures`], if one of its hooks, handlers or sends failed |
//! | system | `b` | see [`sessions`](crate::sessions) |
//! | system | `e` `o` `p` | see [`events`](crate::events) |
//! | recipes | `r` name 00 version | the recipe's record |
//! | recipes | `u` name 00 version | number of spaces that use it, if any |
//! | recipes | `m` hash | module |
//! | recipes | `c` hash | encoded schema |
//!
//! Numbers in keys are big-endian. It decides nothing: who may change what is `apply`'s.
use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use synod_abi::schema::Schema;
use synod_abi::{Direction, ModuleHash, RecipeName, RecipeRef, Revision, SpaceId, SpaceName, Time};

use crate::log::rejection::DeliveryFailure;
use crate::ports::{Fatal, StateView, Table, Write};
use crate::rows::codec::{damaged, decode};
pub use crate::rows::counts::Counts;
use crate::rows::digest::RowSum;
pub use crate::rows::head::{FORMAT, Head, head};
pub use crate::rows::scan::Page;
use crate::rows::scan::{Scan, behind, page_of, successor};

/// A space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpaceRecord {
    /// Its id.
    pub id: SpaceId,
    /// Its name.
    pub name: SpaceName,
    /// Its recipe.
    pub recipe: RecipeRef,
    /// The module of that recipe.
    pub module: ModuleHash,
    /// Revision that created it.
    pub created: Revision,
    /// When.
    pub created_at: Time,
}

/// An installed recipe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecipeRecord {
    /// Its name and version.
    pub recipe: RecipeRef,
    /// Hash of its module.
    pub hash: ModuleHash,
    /// Length of its module.
    pub module_bytes: u64,
    /// Spaces that use it.
    pub spaces: u32,
    /// Revision that installed these bytes.
    pub installed: Revision,
    /// When.
    pub installed_at: Time,
}

/// Hooks and handlers of a space, and what it sent from them, that failed, each of which left
/// nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookFailures {
    /// How many.
    pub count: u64,
    /// Revision of the command that ran the last one.
    pub revision: Revision,
    /// Why the last one failed.
    pub why: DeliveryFailure,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct StoredSpace {
    pub(crate) id: SpaceId,
    pub(crate) recipe: RecipeRef,
    pub(crate) created: Revision,
    pub(crate) created_at: Time,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct StoredRecipe {
    pub(crate) hash: ModuleHash,
    pub(crate) module_bytes: u64,
    pub(crate) installed: Revision,
    pub(crate) installed_at: Time,
}

/// The space called `name`.
///
/// # Errors
/// [`Fatal`] if the store cannot be read.
pub fn space(view: &impl StateView, name: &SpaceName) -> Result<Option<SpaceRecord>, Fatal> {
    let Some(bytes) = view.get(Table::System, &space_key(name.as_str()))? else { return Ok(None) };
    space_record(view, name.clone(), &bytes).map(Some)
}

/// The space with this id.
///
/// # Errors
/// [`Fatal`] if the store cannot be read.
pub fn space_by_id(view: &impl StateView, id: SpaceId) -> Result<Option<SpaceRecord>, Fatal> {
    let Some(name) = view.get(Table::System, &space_id_key(id))? else { return Ok(None) };
    let name = space_name(&name)?;
    space(view, &name)?.map_or_else(|| Err(damaged("the record of a space")), |record| Ok(Some(record)))
}

/// At most `limit` spaces with names after `after`, by name.
///
/// # Errors
/// [`Fatal`] if the store cannot be read.
pub fn spaces(
    view: &impl StateView,
    after: Option<&SpaceName>,
    limit: usize,
) -> Result<Page<SpaceRecord>, Fatal> {
    let from = after.map_or_else(|| space_key(""), |name| successor(space_key(name.as_str())));
    let (rows, more) =
        view.range(Table::System, &from, &behind(&space_key("")), Direction::Forward, page_of(limit))?;
    let items = rows
        .iter()
        .map(|(key, value)| space_record(view, space_name(&key[1..])?, value))
        .collect::<Result<_, _>>()?;
    Ok(Page { items, more })
}

/// An installed recipe.
///
/// # Errors
/// [`Fatal`] if the store cannot be read.
pub fn recipe(view: &impl StateView, recipe: &RecipeRef) -> Result<Option<RecipeRecord>, Fatal> {
    let Some(bytes) = view.get(Table::Recipes, &recipe_key(b'r', recipe))? else { return Ok(None) };
    recipe_record(view, recipe.clone(), &bytes).map(Some)
}

/// The largest installed version of a recipe.
///
/// # Errors
/// [`Fatal`] if the store cannot be read.
pub fn latest(view: &impl StateView, name: &RecipeName) -> Result<Option<RecipeRecord>, Fatal> {
    let key = |version| recipe_key(b'r', &RecipeRef { name: name.clone(), version });
    let to = successor(key(u32::MAX));
    let (rows, _) = view.range(Table::Recipes, &key(0), &to, Direction::Backward, page_of(1))?;
    rows.first().map(|(key, value)| recipe_record(view, recipe_ref(key)?, value)).transpose()
}

/// At most `limit` recipes after `after`, by name and version.
///
/// # Errors
/// [`Fatal`] if the store cannot be read.
pub fn recipes(
    view: &impl StateView,
    after: Option<&RecipeRef>,
    limit: usize,
) -> Result<Page<RecipeRecord>, Fatal> {
    let from = after.map_or_else(|| Vec::from(*b"r"), |recipe| successor(recipe_key(b'r', recipe)));
    let (rows, more) = view.range(Table::Recipes, &from, b"s", Direction::Forward, page_of(limit))?;
    let items = rows
        .iter()
        .map(|(key, value)| recipe_record(view, recipe_ref(key)?, value))
        .collect::<Result<_, _>>()?;
    Ok(Page { items, more })
}

/// The hashes of all installed modules.
///
/// # Errors
/// [`Fatal`] if the store cannot be read.
pub fn installed(view: &impl StateView) -> Result<BTreeSet<ModuleHash>, Fatal> {
    let mut hashes = BTreeSet::new();
    let mut scan = Scan::prefix(Table::Recipes, Vec::from(*b"r"));
    while let Some(rows) = scan.next_page(view)? {
        for (_, value) in &rows {
            hashes.insert(decode::<StoredRecipe>(value, "the record of a recipe")?.hash);
        }
    }
    Ok(hashes)
}

/// Whether `writes` install or remove a module.
pub fn change_modules(writes: &[Write]) -> bool {
    writes.iter().any(|write| match write {
        Write::Put { table, key, .. } | Write::Delete { table, key } => {
            *table == Table::Recipes && key.first() == Some(&b'm')
        }
        Write::DeletePrefix { .. } => false,
    })
}

/// The original bytes of an installed module.
///
/// # Errors
/// [`Fatal`] if the store cannot be read.
pub fn module(view: &impl StateView, hash: ModuleHash) -> Result<Option<Vec<u8>>, Fatal> {
    view.get(Table::Recipes, &hash_key(b'm', hash))
}

/// The encoded schema of an installed module.
///
/// # Errors
/// [`Fatal`] if the store cannot be read.
pub fn schema_bytes(view: &impl StateView, hash: ModuleHash) -> Result<Option<Vec<u8>>, Fatal> {
    view.get(Table::Recipes, &hash_key(b'c', hash))
}

/// The schema of an installed module. It takes tens of microseconds to decode: keep it, by hash.
///
/// # Errors
/// [`Fatal`] if the store cannot be read.
pub fn schema(view: &impl StateView, hash: ModuleHash) -> Result<Option<Schema>, Fatal> {
    let Some(bytes) = schema_bytes(view, hash)? else { return Ok(None) };
    Schema::decode(&bytes).map(Some).map_err(|_| damaged("the schema of a recipe"))
}

/// The failed hooks of a space; `None` if none failed.
///
/// # Errors
/// [`Fatal`] if the store cannot be read.
pub fn hook_failures(view: &impl StateView, id: SpaceId) -> Result<Option<HookFailures>, Fatal> {
    let Some(bytes) = view.get(Table::System, &hook_failures_key(id))? else { return Ok(None) };
    decode(&bytes, "the failures of a space's hooks").map(Some)
}

/// Whether a row is part of the sum in the head: all are but those that hold sums.
pub(crate) fn is_counted(table: Table, key: &[u8]) -> bool {
    table != Table::System || !matches!(key.first(), Some(b'h' | b'd'))
}

pub(crate) fn space_key(name: &str) -> Vec<u8> {
    [b"s", name.as_bytes()].concat()
}

pub(crate) fn space_id_key(id: SpaceId) -> Vec<u8> {
    [b"i".as_slice(), &id.0.to_be_bytes()].concat()
}

pub(crate) fn hook_failures_key(id: SpaceId) -> Vec<u8> {
    [b"f".as_slice(), &id.0.to_be_bytes()].concat()
}

pub(crate) fn space_sum_key(id: SpaceId) -> Vec<u8> {
    [b"d".as_slice(), &id.0.to_be_bytes()].concat()
}

/// The space whose sum is in the row at `key`, if one is.
pub(crate) fn space_of_sum(table: Table, key: &[u8]) -> Option<SpaceId> {
    let id = key.strip_prefix(b"d").filter(|_| table == Table::System)?;
    id.try_into().ok().map(|id| SpaceId(u32::from_be_bytes(id)))
}

pub(crate) fn recipe_key(kind: u8, recipe: &RecipeRef) -> Vec<u8> {
    [&[kind], recipe.name.as_str().as_bytes(), &[0], &recipe.version.to_be_bytes()].concat()
}

pub(crate) fn hash_key(kind: u8, hash: ModuleHash) -> Vec<u8> {
    [[kind].as_slice(), &hash.0].concat()
}

pub(crate) fn space_sum(view: &impl StateView, id: SpaceId) -> Result<RowSum, Fatal> {
    let Some(bytes) = view.get(Table::System, &space_sum_key(id))? else { return Ok(RowSum::ZERO) };
    <&[u8; 32]>::try_from(bytes.as_slice())
        .map(RowSum::from_bytes)
        .map_err(|_| damaged("the digest of a space"))
}

fn space_record(view: &impl StateView, name: SpaceName, bytes: &[u8]) -> Result<SpaceRecord, Fatal> {
    let StoredSpace { id, recipe, created, created_at } = decode(bytes, "the record of a space")?;
    let Some(stored) = view.get(Table::Recipes, &recipe_key(b'r', &recipe))? else {
        return Err(damaged("the recipe of a space"));
    };
    let stored: StoredRecipe = decode(&stored, "the record of a recipe")?;
    Ok(SpaceRecord { id, name, recipe, module: stored.hash, created, created_at })
}

fn recipe_record(view: &impl StateView, recipe: RecipeRef, bytes: &[u8]) -> Result<RecipeRecord, Fatal> {
    let StoredRecipe { hash, module_bytes, installed, installed_at } =
        decode(bytes, "the record of a recipe")?;
    let spaces = match view.get(Table::Recipes, &recipe_key(b'u', &recipe))? {
        Some(bytes) => decode(&bytes, "the use of a recipe")?,
        None => 0,
    };
    Ok(RecipeRecord { recipe, hash, module_bytes, spaces, installed, installed_at })
}

fn space_name(bytes: &[u8]) -> Result<SpaceName, Fatal> {
    let name = core::str::from_utf8(bytes).ok().and_then(|name| SpaceName::new(name).ok());
    name.ok_or_else(|| damaged("the name of a space"))
}

fn recipe_ref(key: &[u8]) -> Result<RecipeRef, Fatal> {
    let parts = key.split_last_chunk::<4>().and_then(|(name, version)| {
        let name = name.strip_prefix(b"r")?.strip_suffix(&[0])?;
        let name = RecipeName::new(core::str::from_utf8(name).ok()?).ok()?;
        Some(RecipeRef { name, version: u32::from_be_bytes(*version) })
    });
    parts.ok_or_else(|| damaged("the name of a recipe"))
}
