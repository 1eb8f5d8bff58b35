//! What the machine needs from outside, as traits: committed rows, and something that runs recipes.
//!
//! `synod-storage` and its in-memory twin implement [`StateView`]; `synod-vm` and the native port
//! of `synod-test` implement [`Vm`], and an engine that is only for queries [`QueryVm`].
use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use synod_abi::schema::Schema;
use synod_abi::{AdmissionError, Context, Direction, EntryPoint, Fault, HostCalls, ModuleHash, SpaceId};

use crate::log::environment::Environment;

/// A local cause that only this member has: a failing disk, corruption, a broken invariant. The
/// member stops; it is never an outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fatal(pub String);

impl fmt::Display for Fatal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::error::Error for Fatal {}

/// A column family of the machine's generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// The head of the machine, the directory of spaces, the environment.
    System,
    /// Rows of spaces: space id u32 big-endian, then the row's key.
    State,
    /// Modules by hash, recipes by name and version.
    Recipes,
    /// Events by space, revision and number.
    Events,
    /// Sessions, their outcomes and tickets.
    Sessions,
    /// Timers by time.
    Timers,
}

impl Table {
    /// Every table, in the order of snapshots.
    pub const ALL: [Self; 6] =
        [Self::System, Self::State, Self::Recipes, Self::Events, Self::Sessions, Self::Timers];

    /// The column family's name, without the generation.
    pub const fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::State => "state",
            Self::Recipes => "recipes",
            Self::Events => "events",
            Self::Sessions => "sessions",
            Self::Timers => "timers",
        }
    }
}

/// A key and its value.
pub type Row = (Vec<u8>, Vec<u8>);

/// How much of a range is wanted. At least one row is returned if there is any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RangeLimit {
    /// Most rows.
    pub rows: usize,
    /// Most bytes of keys and values.
    pub bytes: usize,
}

/// Committed rows, as they were at one moment: the last applied entry, or a snapshot.
pub trait StateView {
    /// The value of `key`.
    ///
    /// # Errors
    /// [`Fatal`] if the store cannot be read.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Fatal>;

    /// Rows of `from..to` (an empty `to` is no bound), from the end that `direction` names, and
    /// whether more follow.
    ///
    /// # Errors
    /// [`Fatal`] if the store cannot be read.
    fn range(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        direction: Direction,
        limit: RangeLimit,
    ) -> Result<(Vec<Row>, bool), Fatal>;
}

impl<V: StateView + ?Sized> StateView for &V {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Fatal> {
        (**self).get(table, key)
    }

    fn range(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        direction: Direction,
        limit: RangeLimit,
    ) -> Result<(Vec<Row>, bool), Fatal> {
        (**self).range(table, from, to, direction, limit)
    }
}

impl<V: StateView + ?Sized> StateView for Arc<V> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Fatal> {
        (**self).get(table, key)
    }

    fn range(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        direction: Direction,
        limit: RangeLimit,
    ) -> Result<(Vec<Row>, bool), Fatal> {
        (**self).range(table, from, to, direction, limit)
    }
}

/// A change of one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Sets a row.
    Put {
        /// Where.
        table: Table,
        /// Its key.
        key: Vec<u8>,
        /// Its value.
        value: Vec<u8>,
    },
    /// Removes a row.
    Delete {
        /// Where.
        table: Table,
        /// Its key.
        key: Vec<u8>,
    },
    /// Removes every row whose key begins with `prefix`.
    DeletePrefix {
        /// Where.
        table: Table,
        /// The prefix; not empty.
        prefix: Vec<u8>,
    },
}

/// One call into a recipe.
#[derive(Clone, Copy, Debug)]
pub struct Invocation<'a> {
    /// The space it runs in; instances are kept per space until the entry ends.
    pub space: SpaceId,
    /// The module.
    pub module: ModuleHash,
    /// What to run.
    pub entry_point: EntryPoint,
    /// The context that the recipe sees.
    pub context: &'a Context,
    /// Encoded arguments, at most `limits::ARGS_BYTES`.
    pub args: &'a [u8],
    /// Its budget, more than 0: what a call's whole fuel leaves after its arguments are paid, or
    /// what is left of it for a handler or a sent operation. The host is lent with as much, see
    /// [`HostCalls::fuel`].
    pub fuel: u64,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Completion {
    /// The encoded result.
    Done(Vec<u8>),
    /// The recipe refused: the code of its error, and the encoded error.
    Refused {
        /// The code.
        code: u32,
        /// postcard of the error.
        error: Vec<u8>,
    },
    /// The host ended it.
    Faulted(Fault),
    /// The encoded result of an operation that may answer later: unlike that of
    /// [`Completion::Done`] it can be given back.
    Now(Vec<u8>),
    /// The operation answers later.
    Later {
        /// How many tickets it holds.
        tickets: u16,
    },
    /// A hook has done a part of its work, and has more to do.
    More,
}

impl Completion {
    /// Bytes of the result or the error.
    pub(crate) fn answer_bytes(&self) -> u64 {
        match self {
            Self::Done(result) | Self::Now(result) | Self::Refused { code: _, error: result } => {
                result.len() as u64
            }
            Self::Faulted(_) | Self::Later { tickets: _ } | Self::More => 0,
        }
    }
}

/// What admission learns from a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// Hash of the original bytes.
    pub hash: ModuleHash,
    /// Its schema.
    pub schema: Schema,
    /// The encoded schema, as it lies in the module's section: the directory keeps it beside the
    /// module.
    pub schema_bytes: Vec<u8>,
}

/// Runs recipes. `H` is lent by value for each call and given back, so that no implementation needs
/// a pointer into its caller.
pub trait Vm<H: HostCalls> {
    /// Checks a module. Pure: every member gets the same answer for the same bytes.
    ///
    /// # Errors
    /// Why it is not admitted.
    fn admit(&self, module: &[u8]) -> Result<Admitted, AdmissionError>;

    /// Makes an admitted module callable; compiles it now if it was not compiled before.
    ///
    /// # Errors
    /// [`Fatal`] if this member cannot compile what others admitted.
    fn load(&mut self, hash: ModuleHash, module: &[u8]) -> Result<(), Fatal>;

    /// Whether `load` was done for `hash`.
    fn is_loaded(&self, hash: ModuleHash) -> bool;

    /// The installed modules, after they changed: what is cached for other modules may be dropped.
    /// One that is missed is loaded again.
    fn retain(&mut self, _installed: &BTreeSet<ModuleHash>) {}

    /// Begins an entry, which is applied in `environment`, or in the one of the entry before. No
    /// instance of an earlier entry may serve it, and a module that was loaded in another
    /// environment is not loaded in this one.
    ///
    /// # Errors
    /// [`Fatal`] if this member has no engine for that environment.
    fn begin_entry(&mut self, environment: Option<Environment>) -> Result<(), Fatal>;

    /// Runs one call of a loaded module, in the space's instance of this entry.
    ///
    /// # Errors
    /// [`Fatal`] for what only this host can suffer; whatever every member would suffer is a
    /// [`Completion::Faulted`].
    fn invoke(&mut self, invocation: Invocation<'_>, host: H) -> Result<(H, Completion), Fatal>;

    /// Drops the instance of `space`, because writes that it made were discarded.
    fn discard(&mut self, space: SpaceId);

    /// Fuel that the last `invoke` used, by what it computed and by its host calls, at most what it
    /// was given. It decides what is left for what a call sets off, so it is the same on every
    /// member, however the call ended.
    fn fuel_used(&self) -> u64;
}

/// Runs queries. Every [`Vm`] does; an engine for queries alone implements this alone.
pub trait QueryVm<H: HostCalls> {
    /// Runs one query in a fresh instance, and gives `host` back. `module` reads the bytes of its
    /// module; it is called only if the module is not loaded.
    ///
    /// # Errors
    /// [`Fatal`] for what only this host can suffer.
    fn query(
        self,
        invocation: Invocation<'_>,
        host: H,
        module: impl FnOnce(&H) -> Result<Vec<u8>, Fatal>,
    ) -> Result<(H, Completion), Fatal>;
}

impl<H: HostCalls, V: Vm<H>> QueryVm<H> for &mut V {
    fn query(
        self,
        invocation: Invocation<'_>,
        host: H,
        module: impl FnOnce(&H) -> Result<Vec<u8>, Fatal>,
    ) -> Result<(H, Completion), Fatal> {
        if !self.is_loaded(invocation.module) {
            self.load(invocation.module, &module(&host)?)?;
        }
        self.begin_entry(None)?;
        self.invoke(invocation, host)
    }
}
