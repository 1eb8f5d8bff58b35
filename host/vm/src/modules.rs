//! Compiled modules of a member for one edition of the engines, by hash: shared by the apply
//! thread, the queries, and whoever compiles ahead.
//!
//! Compiling takes long and is done by a [`Compile`], bounded before a module is proposed and
//! however long it takes after; the apply thread finds the result, or takes it from disk. Each
//! module is compiled twice, for the engine that replicas agree about and for that of queries. A
//! failure to compile is this member's and never a verdict on the module: the verdict is
//! admission's.
mod line;
mod registry;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use synod_abi::{HostCalls, ModuleHash};
use synod_machine::module_hash;
use wasmtime::{Engine, Linker, Module};

use self::line::Line;
use self::registry::{Dropped, Registry};
use crate::cache::Cache;
use crate::compile::{Code, Compile, CompileError, InProcess, Terms};
use crate::engine::{self, Edition, Kind};
use crate::linker::{Call, linker};
use crate::query::Erased;
use crate::{PrepareError, VmError, Wanted, admission};

pub(crate) use self::registry::Compiled;
pub use self::registry::PREPARED_MODULES;

/// Most bytes of compiled code in memory. What was not used for longest is dropped, and loaded from
/// disk when it is called again.
pub const CODE_MEMORY_BYTES: u64 = 256 * 1_024 * 1_024;
/// Pause before the first repetition, when the compiler of a committed module was ended.
const RETRY_FIRST: Duration = Duration::from_millis(100);
/// Longest pause between repetitions.
const RETRY_LONGEST: Duration = Duration::from_secs(10);

/// The compiled modules of a member. Cheap to share behind an [`Arc`].
pub struct Modules {
    apply: Engine,
    query: Engine,
    query_linker: Linker<Call<Erased>>,
    fingerprint: [u8; 32],
    compiler: Arc<dyn Compile>,
    cache: Option<Cache>,
    registry: RwLock<Registry>,
    forgotten: AtomicU64,
    line: Line,
}

impl Modules {
    /// Of the newest edition, compiled in this process, without a cache on disk: for tests and
    /// tools.
    ///
    /// # Errors
    /// [`VmError::Engine`] if the engines do not start on this host.
    pub fn in_memory() -> Result<Arc<Self>, VmError> {
        Self::new(Edition::NEWEST, None, Arc::new(InProcess), CODE_MEMORY_BYTES)
    }

    /// Compiled by `compiler`, and kept in `directory` between starts. A directory that cannot be
    /// used is reported in the log and done without: it saves time, nothing else.
    ///
    /// # Errors
    /// [`VmError::Engine`] if the engines do not start on this host.
    pub(crate) fn new(
        edition: Edition,
        directory: Option<&Path>,
        compiler: Arc<dyn Compile>,
        code_memory: u64,
    ) -> Result<Arc<Self>, VmError> {
        let apply = engine::engine(edition, Kind::Apply)?;
        let query = engine::engine(edition, Kind::Query)?;
        let fingerprint = engine::fingerprint(edition, &apply);
        let cache = directory.and_then(|directory| match Cache::open(directory, fingerprint) {
            Ok(cache) => Some(cache),
            Err(error) => {
                tracing::warn!(directory = %directory.display(), %error, "compiled modules are not kept on \
                    disk");
                None
            }
        });
        let query_linker = linker(&query)?;
        let registry = RwLock::new(Registry::new(code_memory));
        let forgotten = AtomicU64::new(0);
        let line = Line::default();
        Ok(Arc::new(Self {
            apply,
            query,
            query_linker,
            fingerprint,
            compiler,
            cache,
            registry,
            forgotten,
            line,
        }))
    }

    /// What its edition means by running a recipe: for `Environment::engine`.
    pub fn engine_fingerprint(&self) -> [u8; 32] {
        self.fingerprint
    }

    /// Makes a module callable, by apply and by queries; nothing happens if it is. To be called
    /// before a module is proposed, so that one which costs more than the limits of
    /// [`compile`](crate::compile) allow never enters the log. Of those that are not installed
    /// after all, the last [`PREPARED_MODULES`] are kept. Blocks, as long as it is `wanted`.
    ///
    /// # Errors
    /// [`PrepareError::WrongHash`] and [`PrepareError::NotAdmitted`] are about the bytes,
    /// [`PrepareError::TooCostly`] is about what they take to compile; the others are about this
    /// member, or the caller.
    pub fn prepare(&self, hash: ModuleHash, module: &[u8], wanted: &Wanted) -> Result<(), PrepareError> {
        self.obtain(hash, module, &Terms::Proposed(wanted.clone())).map(drop)
    }

    /// As [`Modules::prepare`], for a module that the cluster has taken already: however long it
    /// takes, and before all that is not.
    ///
    /// # Errors
    /// [`PrepareError`]; only about the bytes, or if the compiler refuses them.
    pub fn prepare_committed(&self, hash: ModuleHash, module: &[u8]) -> Result<(), PrepareError> {
        self.committed(hash, module).map(drop)
    }

    /// As [`Modules::prepare_committed`]; what is returned stays usable when it is forgotten
    /// meanwhile.
    pub(crate) fn committed(&self, hash: ModuleHash, module: &[u8]) -> Result<Arc<Compiled>, PrepareError> {
        self.obtain(hash, module, &Terms::Committed)
    }

    fn obtain(&self, hash: ModuleHash, module: &[u8], terms: &Terms) -> Result<Arc<Compiled>, PrepareError> {
        if let Some(compiled) = self.get(hash) {
            return Ok(compiled);
        }
        let actual = module_hash(module);
        if actual != hash {
            return Err(PrepareError::WrongHash { expected: hash, actual });
        }
        admission::admit(module).map_err(PrepareError::NotAdmitted)?;
        let first = self.line.claim(hash, terms)?;
        if let Some(compiled) = self.found(hash, terms) {
            return Ok(compiled);
        }
        // A module must not be claimed while it waits in the line: it may become committed.
        drop(first);
        let _place = self.line.place(terms)?;
        let _claim = self.line.claim(hash, terms)?;
        if let Some(compiled) = self.get(hash) {
            return Ok(compiled);
        }
        let started = Instant::now();
        let code = self.compile(hash, &Arc::from(module), terms)?;
        let took_ms = started.elapsed().as_millis() as u64;
        tracing::debug!(%hash, took_ms, "compiled a module");
        let load = |engine: &Engine, code: &[u8]| {
            // SAFETY: the code was just made by the compiler of this build, for this engine.
            let module = unsafe { Module::deserialize(engine, code) };
            module.map_err(|error| PrepareError::Compile { hash, cause: format!("{error:?}") })
        };
        let apply = load(&self.apply, &code.apply)?;
        let query = load(&self.query, &code.query)?;
        let compiled = self.keep(hash, apply, query, (code.apply.len() + code.query.len()) as u64, terms)?;
        // After it is kept, because files of what is not kept are removed.
        if let Some(cache) = &self.cache {
            cache.store(Kind::Apply, &self.apply, hash, &code.apply);
            cache.store(Kind::Query, &self.query, hash, &code.query);
        }
        Ok(compiled)
    }

    /// A module that is compiled already: in memory, or on disk.
    fn found(&self, hash: ModuleHash, terms: &Terms) -> Option<Arc<Compiled>> {
        if let Some(compiled) = self.get(hash) {
            return Some(compiled);
        }
        let cache = self.cache.as_ref()?;
        let (apply, apply_bytes) = cache.load(Kind::Apply, &self.apply, hash)?;
        let (query, query_bytes) = cache.load(Kind::Query, &self.query, hash)?;
        self.keep(hash, apply, query, apply_bytes + query_bytes, terms).ok()
    }

    /// Has a module compiled. A committed one is tried again until its compiler answers.
    fn compile(&self, hash: ModuleHash, module: &Arc<[u8]>, terms: &Terms) -> Result<Code, PrepareError> {
        let mut pause = RETRY_FIRST;
        loop {
            match (self.compiler.compile(&self.fingerprint, module, terms), terms) {
                (Ok(code), _) => return Ok(code),
                (Err(CompileError::Died(cause)), Terms::Committed) => {
                    tracing::error!(%hash, cause, pause_ms = pause.as_millis() as u64, "a module of the \
                        cluster could not be compiled; what needs it waits, and it is tried again");
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(RETRY_LONGEST);
                }
                (Err(error), _) => return Err(error.of(hash)),
            }
        }
    }

    fn keep(
        &self,
        hash: ModuleHash,
        apply: Module,
        query: Module,
        bytes: u64,
        terms: &Terms,
    ) -> Result<Arc<Compiled>, PrepareError> {
        let query = self.query_linker.instantiate_pre(&query);
        let query = query.map_err(|error| PrepareError::Compile { hash, cause: format!("{error:?}") })?;
        let mut registry = self.registry.write().unwrap_or_else(PoisonError::into_inner);
        let compiled = registry.compiled(apply, query, bytes);
        let installed = matches!(terms, Terms::Committed);
        let Dropped { forgotten, code } = registry.keep(hash, compiled.clone(), installed);
        drop(registry);
        if code {
            self.forgotten.fetch_add(1, Ordering::Release);
        }
        if let Some(cache) = &self.cache {
            forgotten.iter().for_each(|hash| cache.remove(*hash));
        }
        Ok(compiled)
    }

    /// Whether the code of a module is in memory.
    pub fn is_prepared(&self, hash: ModuleHash) -> bool {
        self.registry.read().unwrap_or_else(PoisonError::into_inner).has_code(hash)
    }

    /// Drops every module that was installed and is not in `installed`, from memory and disk. Those
    /// that were prepared and may be installed yet stay; calls that run go on.
    pub fn retain(&self, installed: &BTreeSet<ModuleHash>) {
        let files = self.cache.as_ref().map(Cache::files).unwrap_or_default();
        let kept = self.registry.write().unwrap_or_else(PoisonError::into_inner).retain(installed);
        self.forgotten.fetch_add(1, Ordering::Release);
        let wanted: BTreeSet<String> = installed.iter().chain(&kept).map(ModuleHash::to_string).collect();
        for (hash, path) in files.iter().filter(|(hash, _)| !wanted.contains(hash)) {
            tracing::debug!(hash, "a module is no longer installed; its compiled code goes");
            let _ = std::fs::remove_file(path);
        }
    }

    /// Drops all code from memory: the cluster has left this edition. What is needed all the same
    /// is loaded from disk, or compiled again.
    pub(crate) fn unload(&self) {
        self.registry.write().unwrap_or_else(PoisonError::into_inner).unload();
        self.forgotten.fetch_add(1, Ordering::Release);
    }

    /// How often a module or its code was dropped: what was made of them is looked through when it
    /// changes.
    pub(crate) fn forgotten(&self) -> u64 {
        self.forgotten.load(Ordering::Acquire)
    }

    /// The code of a module, if it is in memory.
    pub(crate) fn get(&self, hash: ModuleHash) -> Option<Arc<Compiled>> {
        self.registry.read().unwrap_or_else(PoisonError::into_inner).get(hash)
    }

    pub(crate) fn apply_engine(&self) -> &Engine {
        &self.apply
    }

    pub(crate) fn query_engine(&self) -> &Engine {
        &self.query
    }

    pub(crate) fn apply_linker<H: HostCalls + 'static>(&self) -> Result<Linker<Call<H>>, VmError> {
        linker(&self.apply)
    }
}

impl std::fmt::Debug for Modules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Modules").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
