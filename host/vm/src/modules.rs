//! Compiled modules of a member, by hash: shared by the apply thread, the queries, and whoever compiles ahead.
//!
//! Compiling takes long, so it happens on the thread that calls [`Modules::prepare`], one module at a time, and the
//! apply thread finds the result. Each module is compiled twice, for the engine that replicas agree about and for that of
//! queries. A failure to compile is this member's and never a verdict on the module: the verdict is admission's.
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use synod_abi::{HostCalls, ModuleHash};
use wasmtime::{Engine, InstancePre, Linker, Module};

use crate::cache::Cache;
use crate::engine::{self, Kind};
use crate::linker::{Call, linker, panic_text};
use crate::query::Erased;
use crate::{PrepareError, VmError, admission, instrument, stack};

/// A module, compiled for both engines.
pub(crate) struct Compiled {
    pub(crate) apply: Module,
    pub(crate) query: InstancePre<Call<Erased>>,
}

/// The compiled modules of a member. Cheap to share behind an [`Arc`].
pub struct Modules {
    apply: Engine,
    query: Engine,
    query_linker: Linker<Call<Erased>>,
    fingerprint: [u8; 32],
    cache: Option<Cache>,
    compiled: RwLock<BTreeMap<ModuleHash, Arc<Compiled>>>,
    compiling: Mutex<()>,
}

impl Modules {
    /// Without a cache on disk: for tests and tools.
    ///
    /// # Errors
    /// [`VmError::Engine`] if the engines do not start on this host.
    pub fn in_memory() -> Result<Arc<Self>, VmError> {
        Self::new(None)
    }

    /// With compiled code kept in `directory` between starts. A directory that cannot be used is reported in the log and done
    /// without: it saves time, nothing else.
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
                tracing::warn!(directory = %directory.display(), %error, "compiled modules are not kept on disk");
                None
            }
        });
        let query_linker = linker(&query)?;
        let (compiled, compiling) = (RwLock::default(), Mutex::default());
        Ok(Arc::new(Self { apply, query, query_linker, fingerprint, cache, compiled, compiling }))
    }

    /// What this build means by running a recipe: for `Environment::engine`.
    pub fn engine_fingerprint(&self) -> [u8; 32] {
        self.fingerprint
    }

    /// Makes a module callable, by apply and by queries; nothing happens if it is. Takes as long as compiling takes.
    ///
    /// # Errors
    /// [`PrepareError::WrongHash`] and [`PrepareError::NotAdmitted`] are about the bytes; [`PrepareError::Compile`] is about this
    /// member.
    pub fn prepare(&self, hash: ModuleHash, module: &[u8]) -> Result<(), PrepareError> {
        if self.is_prepared(hash) {
            return Ok(());
        }
        let _one_at_a_time = self.lock();
        if self.is_prepared(hash) {
            return Ok(());
        }
        let actual = admission::hash(module);
        if actual != hash {
            return Err(PrepareError::WrongHash { expected: hash, actual });
        }
        admission::admit(module).map_err(PrepareError::NotAdmitted)?;
        let compiled = self.compile_both(hash, module).map_err(|cause| PrepareError::Compile { hash, cause })?;
        self.compiled.write().unwrap_or_else(PoisonError::into_inner).insert(hash, Arc::new(compiled));
        Ok(())
    }

    /// Whether a module is callable.
    pub fn is_prepared(&self, hash: ModuleHash) -> bool {
        self.get(hash).is_some()
    }

    /// Drops a module that is no longer installed, from memory and disk. Calls that run go on.
    pub fn forget(&self, hash: ModuleHash) {
        let _not_while_compiling = self.lock();
        self.compiled.write().unwrap_or_else(PoisonError::into_inner).remove(&hash);
        if let Some(cache) = &self.cache {
            cache.remove(hash);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.compiled.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    pub(crate) fn get(&self, hash: ModuleHash) -> Option<Arc<Compiled>> {
        self.compiled.read().unwrap_or_else(PoisonError::into_inner).get(&hash).cloned()
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

    fn lock(&self) -> MutexGuard<'_, ()> {
        self.compiling.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn compile_both(&self, hash: ModuleHash, module: &[u8]) -> Result<Compiled, String> {
        let instrumented = instrument::instrument(module).map_err(|fatal| fatal.0)?;
        let apply = self.compile(Kind::Apply, &self.apply, hash, &instrumented)?;
        let query = self.compile(Kind::Query, &self.query, hash, &instrumented)?;
        let query = self.query_linker.instantiate_pre(&query).map_err(|error| format!("{error:?}"))?;
        Ok(Compiled { apply, query })
    }

    fn compile(&self, kind: Kind, engine: &Engine, hash: ModuleHash, instrumented: &[u8]) -> Result<Module, String> {
        if let Some(module) = self.cache.as_ref().and_then(|cache| cache.load(kind, engine, hash)) {
            return Ok(module);
        }
        let started = std::time::Instant::now();
        // On a large stack, because a compiler recurses with the nesting of what it compiles.
        let compiled = stack::on_large(|| catch_unwind(AssertUnwindSafe(|| Module::new(engine, instrumented))))
            .map_err(|error| format!("no thread to compile on: {error}"))?;
        let module = match compiled {
            Ok(Ok(module)) => module,
            Ok(Err(error)) => return Err(format!("{error:?}")),
            Err(panic) => return Err(format!("the compiler panicked: {}", panic_text(&*panic))),
        };
        tracing::debug!(%hash, engine = kind.name(), took_ms = started.elapsed().as_millis() as u64, "compiled a module");
        if let Some(cache) = &self.cache {
            cache.store(kind, hash, &module);
        }
        Ok(module)
    }
}

impl std::fmt::Debug for Modules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Modules").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
