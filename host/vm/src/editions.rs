//! The editions of the engines that this build has, each with its modules.
//!
//! A cluster runs in one of them, and goes on to a newer one when all members have it. Queries run
//! in the newest at once, because nothing of theirs is replicated. When the cluster goes on is not
//! decided here: entries say it.
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use synod_abi::ModuleHash;

use crate::cache::Cache;
use crate::compile::Compile;
use crate::engine::Edition;
use crate::modules::CODE_MEMORY_BYTES;
use crate::{Modules, PrepareError, VmError, Wanted};

/// The modules of a member in each edition, oldest first. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Editions {
    all: Arc<[Arc<Modules>]>,
    /// The one that the cluster was last seen in. Only saves work: nothing is prepared for older
    /// ones.
    reached: Arc<AtomicUsize>,
}

impl Editions {
    /// Compiled by `compiler`, and kept in `directory` between starts. A directory that cannot be
    /// used is reported in the log and done without: it saves time, nothing else.
    ///
    /// # Errors
    /// [`VmError::Engine`] if the engines do not start on this host.
    pub fn with_cache(directory: &Path, compiler: Arc<dyn Compile>) -> Result<Self, VmError> {
        let all = Edition::ALL
            .iter()
            .map(|edition| Modules::new(*edition, Some(directory), compiler.clone(), CODE_MEMORY_BYTES))
            .collect::<Result<Vec<_>, _>>()?;
        let editions = Self::from_iter(all);
        if let Err(error) = Cache::tidy(directory, &editions.fingerprints()) {
            tracing::warn!(directory = %directory.display(), %error, "compiled modules of old editions stay");
        }
        Ok(editions)
    }

    /// What each edition means by running a recipe, oldest first: for `Environment::engine`.
    pub fn fingerprints(&self) -> Vec<[u8; 32]> {
        self.all.iter().map(|modules| modules.engine_fingerprint()).collect()
    }

    /// The oldest.
    pub(crate) fn oldest(&self) -> &Arc<Modules> {
        self.all.first().expect("a build has an edition")
    }

    /// The newest.
    pub fn newest(&self) -> &Arc<Modules> {
        self.all.last().expect("a build has an edition")
    }

    /// The one with this fingerprint.
    pub fn of(&self, fingerprint: &[u8; 32]) -> Option<&Arc<Modules>> {
        self.all.iter().find(|modules| modules.engine_fingerprint() == *fingerprint)
    }

    /// As [`Modules::prepare`], in every edition that the cluster may yet need.
    ///
    /// # Errors
    /// As there.
    pub fn prepare(&self, hash: ModuleHash, module: &[u8], wanted: &Wanted) -> Result<(), PrepareError> {
        let reached = self.reached.load(Ordering::Acquire);
        self.all[reached..].iter().try_for_each(|modules| modules.prepare(hash, module, wanted))
    }

    /// As [`Modules::retain`], in every edition.
    pub(crate) fn retain(&self, installed: &BTreeSet<ModuleHash>) {
        self.all.iter().for_each(|modules| modules.retain(installed));
    }

    /// Notes that the cluster is in this edition, and returns its modules. The code of older ones
    /// leaves memory.
    pub(crate) fn enter(&self, fingerprint: &[u8; 32]) -> Option<Arc<Modules>> {
        let at = self.all.iter().position(|modules| modules.engine_fingerprint() == *fingerprint)?;
        self.reached.store(at, Ordering::Release);
        self.all[..at].iter().for_each(|modules| modules.unload());
        Some(self.all[at].clone())
    }
}

/// Oldest first, at least one.
impl FromIterator<Arc<Modules>> for Editions {
    fn from_iter<I: IntoIterator<Item = Arc<Modules>>>(all: I) -> Self {
        Self { all: all.into_iter().collect(), reached: Arc::default() }
    }
}

/// One alone.
impl From<Arc<Modules>> for Editions {
    fn from(modules: Arc<Modules>) -> Self {
        Self::from_iter([modules])
    }
}

#[cfg(test)]
mod tests;
