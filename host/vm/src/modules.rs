//! Compiled modules of a member, by hash: shared by the apply thread, the queries, and whoever
//! compiles ahead.
//!
//! Compiling takes long, so it happens on a thread of its own, one module at a time and within a
//! time limit, before a module is proposed, and the apply thread finds the result. Each module is
//! compiled twice, for the engine that replicas agree about and for that of queries. A failure to
//! compile is this member's and never a verdict on the module: the verdict is admission's.
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use synod_abi::{HostCalls, ModuleHash};
use synod_machine::module_hash;
use wasmtime::{Engine, InstancePre, Linker, Module};

use crate::cache::Cache;
use crate::engine::{self, Kind};
use crate::linker::{Call, linker, panic_text};
use crate::query::Erased;
use crate::{PrepareError, VmError, admission, instrument, stack};

/// Longest time that compiling a module may take before it is proposed. An honest one of 30 KB
/// takes 60 ms; the limit is for those that are made to keep a compiler busy for minutes.
pub const COMPILE_TIMEOUT_MS: u64 = 30_000;

/// Modules that are kept compiled although no cluster state has them yet: the latest that were
/// prepared.
pub const PREPARED_MODULES: usize = 16;

/// A module, compiled for both engines.
pub(crate) struct Compiled {
    pub(crate) apply: Module,
    pub(crate) query: InstancePre<Call<Erased>>,
}

/// Why a compiled module is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum KeptAs {
    /// It was prepared, as the n-th one, and may be installed soon.
    Prepared(u64),
    /// The cluster has it.
    Installed,
}

struct Kept {
    kept_as: KeptAs,
    compiled: Arc<Compiled>,
}

#[derive(Default)]
struct Registry {
    kept: BTreeMap<ModuleHash, Kept>,
    prepared: u64,
}

/// The compiled modules of a member. Cheap to share behind an [`Arc`].
pub struct Modules {
    apply: Engine,
    query: Engine,
    query_linker: Linker<Call<Erased>>,
    fingerprint: [u8; 32],
    cache: Option<Cache>,
    registry: RwLock<Registry>,
    forgotten: AtomicU64,
    busy: Mutex<bool>,
    idle: Condvar,
}

impl Modules {
    /// Without a cache on disk: for tests and tools.
    ///
    /// # Errors
    /// [`VmError::Engine`] if the engines do not start on this host.
    pub fn in_memory() -> Result<Arc<Self>, VmError> {
        Self::new(None)
    }

    /// With compiled code kept in `directory` between starts. A directory that cannot be used is
    /// reported in the log and done without: it saves time, nothing else.
    ///
    /// # Errors
    /// [`VmError::Engine`] if the engines do not start on this host.
    pub fn with_cache(directory: &Path) -> Result<Arc<Self>, VmError> {
        Self::new(Some(directory))
    }

    fn new(directory: Option<&Path>) -> Result<Arc<Self>, VmError> {
        let (apply, query) = (engine::engine(Kind::Apply)?, engine::engine(Kind::Query)?);
        let fingerprint = engine::fingerprint(&apply);
        let cache = directory.and_then(|directory| match Cache::open(directory, fingerprint) {
            Ok(cache) => Some(cache),
            Err(error) => {
                tracing::warn!(directory = %directory.display(), %error, "compiled modules are not kept on \
                    disk");
                None
            }
        });
        let query_linker = linker(&query)?;
        let (registry, forgotten) = (RwLock::default(), AtomicU64::new(0));
        let (busy, idle) = (Mutex::default(), Condvar::new());
        Ok(Arc::new(Self { apply, query, query_linker, fingerprint, cache, registry, forgotten, busy, idle }))
    }

    /// What this build means by running a recipe: for `Environment::engine`.
    pub fn engine_fingerprint(&self) -> [u8; 32] {
        self.fingerprint
    }

    /// Makes a module callable, by apply and by queries; nothing happens if it is. To be called
    /// before a module is proposed, so that one which takes longer than [`COMPILE_TIMEOUT_MS`] to
    /// compile never enters the log. Of those that are not installed after all, the last
    /// [`PREPARED_MODULES`] are kept.
    ///
    /// # Errors
    /// [`PrepareError::WrongHash`] and [`PrepareError::NotAdmitted`] are about the bytes,
    /// [`PrepareError::TooSlow`] is about how long they take to compile; the others are about this
    /// member.
    pub fn prepare(self: &Arc<Self>, hash: ModuleHash, module: &[u8]) -> Result<(), PrepareError> {
        self.prepare_until(hash, module, Some(Instant::now() + Duration::from_millis(COMPILE_TIMEOUT_MS)))
            .map(drop)
    }

    /// As [`Modules::prepare`], for a module that the cluster has taken already: however long it
    /// takes.
    ///
    /// # Errors
    /// [`PrepareError`]; never [`PrepareError::TooSlow`].
    pub fn prepare_committed(self: &Arc<Self>, hash: ModuleHash, module: &[u8]) -> Result<(), PrepareError> {
        self.committed(hash, module).map(drop)
    }

    /// As [`Modules::prepare_committed`]; what is returned stays usable when it is forgotten
    /// meanwhile.
    pub(crate) fn committed(
        self: &Arc<Self>,
        hash: ModuleHash,
        module: &[u8],
    ) -> Result<Arc<Compiled>, PrepareError> {
        self.prepare_until(hash, module, None)
    }

    fn prepare_until(
        self: &Arc<Self>,
        hash: ModuleHash,
        module: &[u8],
        deadline: Option<Instant>,
    ) -> Result<Arc<Compiled>, PrepareError> {
        if let Some(compiled) = self.get(hash) {
            return Ok(compiled);
        }
        let actual = module_hash(module);
        if actual != hash {
            return Err(PrepareError::WrongHash { expected: hash, actual });
        }
        admission::admit(module).map_err(PrepareError::NotAdmitted)?;
        let permit = self.permit(deadline).ok_or(PrepareError::Busy)?;
        if let Some(compiled) = self.get(hash) {
            return Ok(compiled);
        }
        let (done, result) = mpsc::sync_channel(1);
        let (modules, bytes) = (self.clone(), module.to_vec());
        // A thread of its own, which can be given up; it is on a large stack, because a compiler
        // recurses with what it compiles.
        let compile = move || {
            let compiled = catch_unwind(AssertUnwindSafe(|| modules.compile_both(hash, &bytes)));
            let compiled = compiled
                .unwrap_or_else(|panic| Err(format!("the compiler panicked: {}", panic_text(&*panic))));
            let _ = done.send((compiled, permit));
        };
        let failed = |cause: String| PrepareError::Compile { hash, cause };
        stack::spawn("synod-compile", compile)
            .map_err(|error| failed(format!("no thread to compile on: {error}")))?;
        let received = match deadline {
            Some(deadline) => result.recv_timeout(deadline.saturating_duration_since(Instant::now())),
            None => result.recv().map_err(RecvTimeoutError::from),
        };
        // The permit is held until others can see the result.
        let (compiled, _permit) = received.map_err(|error| match error {
            RecvTimeoutError::Timeout => PrepareError::TooSlow { hash, limit_ms: COMPILE_TIMEOUT_MS },
            RecvTimeoutError::Disconnected => failed("its thread ended".to_string()),
        })?;
        let compiled = compiled.map_err(failed)?;
        let ready = Arc::new(Compiled { apply: compiled.apply, query: compiled.query });
        self.keep(hash, ready.clone(), deadline.is_none());
        // After it is kept, because files of what is not kept are removed.
        if let Some(cache) = &self.cache {
            compiled.fresh.iter().for_each(|(kind, module)| cache.store(*kind, hash, module));
        }
        Ok(ready)
    }

    /// Keeps a module, and drops the oldest of those that were prepared if they are too many.
    fn keep(&self, hash: ModuleHash, compiled: Arc<Compiled>, installed: bool) {
        let mut registry = self.registry.write().unwrap_or_else(PoisonError::into_inner);
        registry.prepared += 1;
        let kept_as = if installed { KeptAs::Installed } else { KeptAs::Prepared(registry.prepared) };
        registry.kept.insert(hash, Kept { kept_as, compiled });
        let prepared = |(hash, kept): (&ModuleHash, &Kept)| match kept.kept_as {
            KeptAs::Prepared(turn) => Some((turn, *hash)),
            KeptAs::Installed => None,
        };
        let prepared: BTreeMap<u64, ModuleHash> = registry.kept.iter().filter_map(prepared).collect();
        let excess = prepared.len().saturating_sub(PREPARED_MODULES);
        for oldest in prepared.values().take(excess) {
            registry.kept.remove(oldest);
            self.forgotten.fetch_add(1, Ordering::Release);
        }
        drop(registry);
        if let Some(cache) = &self.cache {
            prepared.values().take(excess).for_each(|hash| cache.remove(*hash));
        }
    }

    /// Whether a module is callable.
    pub fn is_prepared(&self, hash: ModuleHash) -> bool {
        self.get(hash).is_some()
    }

    /// Drops every module that was installed and is not in `installed`, from memory and disk. Those
    /// that were prepared and may be installed yet stay; calls that run go on.
    pub fn retain(&self, installed: &BTreeSet<ModuleHash>) {
        let files = self.cache.as_ref().map(Cache::files).unwrap_or_default();
        let mut registry = self.registry.write().unwrap_or_else(PoisonError::into_inner);
        registry.kept.retain(|hash, kept| {
            if installed.contains(hash) {
                kept.kept_as = KeptAs::Installed;
            }
            installed.contains(hash) || kept.kept_as != KeptAs::Installed
        });
        self.forgotten.fetch_add(1, Ordering::Release);
        let wanted: BTreeSet<String> =
            installed.iter().chain(registry.kept.keys()).map(ModuleHash::to_string).collect();
        drop(registry);
        for (hash, path) in files.iter().filter(|(hash, _)| !wanted.contains(hash)) {
            tracing::debug!(hash, "a module is no longer installed; its compiled code goes");
            let _ = std::fs::remove_file(path);
        }
    }

    /// How often a module was dropped: what was made of them is looked through when it changes.
    pub(crate) fn forgotten(&self) -> u64 {
        self.forgotten.load(Ordering::Acquire)
    }

    pub(crate) fn get(&self, hash: ModuleHash) -> Option<Arc<Compiled>> {
        self.registry
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .kept
            .get(&hash)
            .map(|kept| kept.compiled.clone())
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

    /// Waits until nothing is compiled, and keeps others from it.
    fn permit(self: &Arc<Self>, deadline: Option<Instant>) -> Option<Permit> {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        while *busy {
            busy = match deadline {
                None => self.idle.wait(busy).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.checked_duration_since(Instant::now())?;
                    self.idle.wait_timeout(busy, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        *busy = true;
        Some(Permit(self.clone()))
    }

    fn compile_both(&self, hash: ModuleHash, module: &[u8]) -> Result<Done, String> {
        let instrumented = instrument::instrument(module).map_err(|fatal| fatal.0)?;
        let mut fresh = Vec::new();
        let mut compile = |kind: Kind, engine: &Engine| -> Result<Module, String> {
            if let Some(module) = self.cache.as_ref().and_then(|cache| cache.load(kind, engine, hash)) {
                return Ok(module);
            }
            let started = Instant::now();
            let module = Module::new(engine, &instrumented).map_err(|error| format!("{error:?}"))?;
            let took_ms = started.elapsed().as_millis() as u64;
            tracing::debug!(%hash, engine = kind.name(), took_ms, "compiled a module");
            fresh.push((kind, module.clone()));
            Ok(module)
        };
        let apply = compile(Kind::Apply, &self.apply)?;
        let query = compile(Kind::Query, &self.query)?;
        let query = self.query_linker.instantiate_pre(&query).map_err(|error| format!("{error:?}"))?;
        Ok(Done { apply, query, fresh })
    }
}

/// What a compilation made; `fresh` is what was not on disk.
struct Done {
    apply: Module,
    query: InstancePre<Call<Erased>>,
    fresh: Vec<(Kind, Module)>,
}

/// The right to compile; passes on when dropped.
struct Permit(Arc<Modules>);

impl Drop for Permit {
    fn drop(&mut self) {
        *self.0.busy.lock().unwrap_or_else(PoisonError::into_inner) = false;
        self.0.idle.notify_one();
    }
}

impl std::fmt::Debug for Modules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Modules").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
