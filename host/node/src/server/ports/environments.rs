//! The execution environments that this binary supports, and how far this member is ready to go on
//! to those that are newer than the cluster's.
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use synod_abi::ModuleHash;
use synod_machine::{Environment, Fatal, directory};
use synod_service::ports::Store;
use synod_vm::{Editions, PrepareError};

use super::rows::Rows;

/// What this binary means by an entry: one or several environments, oldest first.
pub(crate) struct Environments {
    editions: Editions,
    supported: Vec<Environment>,
    /// How many of them this member is ready for: the first needs nothing.
    ready: AtomicUsize,
    /// The modules that are compiled for each.
    compiled: Mutex<BTreeSet<(Environment, ModuleHash)>>,
}

/// Why a member is not ready for an environment.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotReady {
    /// The state cannot be read.
    #[error(transparent)]
    Fatal(#[from] Fatal),
    /// A module of the cluster is not compiled.
    #[error(transparent)]
    Compile(#[from] PrepareError),
    /// The host has no thread to compile on.
    #[error("no thread to compile on: {0}")]
    Thread(#[from] std::io::Error),
}

impl Environments {
    /// Those of this binary: the machine's semantics with each edition of the engines.
    pub(crate) fn new(editions: Editions) -> Self {
        let of = |engine| Environment { semantics: Environment::SEMANTICS, engine };
        let supported = editions.fingerprints().into_iter().map(of).collect();
        Self { editions, supported, ready: AtomicUsize::new(1), compiled: Mutex::default() }
    }

    /// Oldest first; at least one.
    pub(crate) fn supported(&self) -> &[Environment] {
        &self.supported
    }

    /// Those that this member, whose state is of `present`, could apply entries in without
    /// compiling first, oldest first.
    pub(crate) fn ready(&self, present: Option<Environment>) -> &[Environment] {
        let passed = self.supported.len() - present.map_or(self.supported.len(), |it| self.newer(it).len());
        &self.supported[..self.ready.load(Ordering::Acquire).max(passed)]
    }

    /// Those that are newer than `present`, oldest first.
    pub(crate) fn newer(&self, present: Environment) -> &[Environment] {
        let at = self.supported.iter().position(|environment| *environment == present);
        at.map_or(&[], |at| &self.supported[at + 1..])
    }

    /// Makes this member ready for the environments that are newer than `present`: compiles what
    /// the state in `rows` has installed, once. Blocks.
    ///
    /// # Errors
    /// [`NotReady`].
    pub(crate) fn prepare(&self, present: Environment, rows: &Rows) -> Result<(), NotReady> {
        let newer = self.newer(present);
        let installed = directory::installed(&rows.view()?)?;
        let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        compiled.retain(|(_, hash)| installed.contains(hash));
        for environment in newer {
            let modules = self.editions.of(&environment.engine).expect("each environment has its edition");
            for hash in &installed {
                if compiled.contains(&(*environment, *hash)) {
                    continue;
                }
                // Unless it was removed meanwhile.
                if let Some(module) = directory::module(&rows.view()?, *hash)? {
                    modules.prepare_committed(*hash, &module)?;
                    compiled.insert((*environment, *hash));
                }
            }
            let at = self.supported.iter().position(|supported| supported == environment);
            self.ready.fetch_max(at.expect("newer ones are supported") + 1, Ordering::AcqRel);
        }
        Ok(())
    }
}
