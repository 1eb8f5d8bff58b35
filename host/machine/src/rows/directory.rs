//! The head of the machine and the directory of spaces and recipes, as rows: read by the machine
//! through its overlay, by the service and queries from any view, so that a query's name, module,
//! schema and rows are of one moment.
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
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use synod_abi::schema::Schema;
use synod_abi::{
    ClusterId, Direction, ModuleHash, RecipeName, RecipeRef, Revision, SpaceId, SpaceName, Time,
};

use crate::log::environment::Environment;
use crate::log::rejection::DeliveryFailure;
use crate::ports::{Fatal, RangeLimit, StateView, Table, Write};
use crate::rows::digest::RowSum;
use crate::rows::overlay::behind;

/// Version of the rows that this build writes and reads.
pub const FORMAT: u32 = 3;

const HEAD: &[u8] = b"h";
const PAGE_BYTES: usize = 1_024 * 1_024;
const PAGE_ROWS: usize = 256;

/// What the machine knows beside its rows. Written with every entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Version of the rows, see [`FORMAT`].
    pub format: u32,
    /// The cluster's name, once it is formed.
    pub cluster: Option<ClusterId>,
    /// The execution environment, once it is set.
    pub environment: Option<Environment>,
    /// Revision of the last command that was not rejected.
    pub revision: Revision,
    /// Cluster time of the last entry.
    pub time: Time,
    /// The last fencing token that was drawn.
    pub tokens: u64,
    /// Commands executed, rejected ones counted and deferred ones not: what seeds are made from.
    pub commands: u64,
    /// The last id that was given to a space.
    pub last_space: u32,
    /// Installed recipes.
    pub recipes: u32,
    /// Spaces.
    pub spaces: u32,
    /// Sessions.
    pub sessions: u32,
    /// Requests of sessions whose outcomes are not acknowledged, those that wait among them.
    pub requests: u64,
    /// Calls that wait.
    pub waiting: u64,
    /// Pending timers, the deadlines of waiting calls among them.
    pub timers: u64,
    /// The last id that was given to a timer.
    pub last_timer: u64,
    /// Events that are kept.
    pub events: u64,
    /// Bytes of their keys and values.
    pub event_bytes: u64,
    /// Bindings of spaces to others' events.
    pub bindings: u32,
    /// Sum of all rows that count.
    pub rows: RowSum,
    /// Index of the last entry that was applied. Blank and membership entries are not.
    pub index: u64,
    /// The digest chain up to it.
    pub chain: [u8; 32],
}

impl Head {
    pub(crate) const EMPTY: Self = Self {
        format: FORMAT,
        cluster: None,
        environment: None,
        revision: Revision(0),
        time: Time(0),
        tokens: 0,
        commands: 0,
        last_space: 0,
        recipes: 0,
        spaces: 0,
        sessions: 0,
        requests: 0,
        waiting: 0,
        timers: 0,
        last_timer: 0,
        events: 0,
        event_bytes: 0,
        bindings: 0,
        rows: RowSum::ZERO,
        index: 0,
        chain: [0; 32],
    };

    /// Digest of the state: of its rows and of the numbers here, but of neither index nor chain, so
    /// that it is the same however the commands were packed into entries.
    pub fn state_digest(&self) -> [u8; 32] {
        let counted = Self { index: 0, chain: [0; 32], ..*self };
        *blake3::hash(&synod_abi::encode(&counted)).as_bytes()
    }
}

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

/// A page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// Its items, by name.
    pub items: Vec<T>,
    /// Whether more follow.
    pub more: bool,
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

/// The head; `None` before the first entry.
///
/// # Errors
/// [`Fatal`] if the store cannot be read, or its rows are of another format.
pub fn head(view: &impl StateView) -> Result<Option<Head>, Fatal> {
    let Some(bytes) = view.get(Table::System, HEAD)? else { return Ok(None) };
    match synod_abi::decode_from::<u32>(&mut bytes.as_slice()) {
        Ok(format) if format > FORMAT => Err(Fatal(format!(
            "the state has format {format}, this binary reads format {FORMAT}: start this member with a \
                newer binary"
        ))),
        Ok(format) if format < FORMAT => Err(Fatal(format!(
            "the state has format {format}, this binary reads format {FORMAT} and nothing older: start this \
                member with the binary that wrote it, or remove its data directory and let it join again"
        ))),
        _ => decode(&bytes, "the head").map(Some),
    }
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

/// At most `limit` spaces with names behind `after`, by name.
///
/// # Errors
/// [`Fatal`] if the store cannot be read.
pub fn spaces(
    view: &impl StateView,
    after: Option<&SpaceName>,
    limit: usize,
) -> Result<Page<SpaceRecord>, Fatal> {
    let from = after.map_or_else(|| space_key(""), |name| next(space_key(name.as_str())));
    let limit = RangeLimit { rows: limit.max(1), bytes: PAGE_BYTES };
    let (rows, more) =
        view.range(Table::System, &from, &behind(&space_key("")), Direction::Forward, limit)?;
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
    let limit = RangeLimit { rows: 1, bytes: PAGE_BYTES };
    let (rows, _) = view.range(Table::Recipes, &key(0), &next(key(u32::MAX)), Direction::Backward, limit)?;
    rows.first().map(|(key, value)| recipe_record(view, recipe_ref(key)?, value)).transpose()
}

/// At most `limit` recipes behind `after`, by name and version.
///
/// # Errors
/// [`Fatal`] if the store cannot be read.
pub fn recipes(
    view: &impl StateView,
    after: Option<&RecipeRef>,
    limit: usize,
) -> Result<Page<RecipeRecord>, Fatal> {
    let from = after.map_or_else(|| Vec::from(*b"r"), |recipe| next(recipe_key(b'r', recipe)));
    let limit = RangeLimit { rows: limit.max(1), bytes: PAGE_BYTES };
    let (rows, more) = view.range(Table::Recipes, &from, b"s", Direction::Forward, limit)?;
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
    let (mut hashes, mut from) = (BTreeSet::new(), Vec::from(*b"r"));
    let limit = RangeLimit { rows: PAGE_ROWS, bytes: PAGE_BYTES };
    loop {
        let (rows, more) = view.range(Table::Recipes, &from, b"s", Direction::Forward, limit)?;
        for (_, value) in &rows {
            hashes.insert(decode::<StoredRecipe>(value, "the record of a recipe")?.hash);
        }
        match rows.into_iter().next_back() {
            Some((last, _)) if more => from = next(last),
            _ => return Ok(hashes),
        }
    }
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

pub(crate) fn head_key() -> Vec<u8> {
    HEAD.to_vec()
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

fn next(mut key: Vec<u8>) -> Vec<u8> {
    key.push(0);
    key
}

fn decode<T: DeserializeOwned>(bytes: &[u8], what: &str) -> Result<T, Fatal> {
    synod_abi::decode(bytes).map_err(|_| damaged(what))
}

fn damaged(what: &str) -> Fatal {
    let what: String = what.into();
    Fatal(format!(
        "{what} is missing or does not decode: the data of this member is damaged; remove its data \
            directory and let it join again"
    ))
}
