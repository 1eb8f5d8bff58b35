//! Which modules a member keeps, and whose code is in memory: that of the least recently used is
//! dropped when all of it is too much, and loaded again from disk.
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use synod_abi::ModuleHash;
use wasmtime::{InstancePre, Module};

use crate::linker::Call;
use crate::query::Erased;

/// Modules that are kept compiled although no cluster state has them yet: the latest that were
/// prepared.
pub const PREPARED_MODULES: usize = 16;

/// Counts uses of code, so that the least recently used is known.
#[derive(Debug, Default)]
pub(super) struct Uses(AtomicU64);

impl Uses {
    fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

/// A module, compiled for both engines.
pub(crate) struct Compiled {
    pub(crate) apply: Module,
    pub(crate) query: InstancePre<Call<Erased>>,
    /// Of its code, for both.
    bytes: u64,
    used: AtomicU64,
    uses: Arc<Uses>,
}

impl Compiled {
    /// Notes that it is used now.
    pub(crate) fn touch(&self) {
        self.used.store(self.uses.next(), Ordering::Relaxed);
    }
}

/// Why a module is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum KeptAs {
    /// It was prepared, as the n-th one, and may be installed soon.
    Prepared(u64),
    /// The cluster has it.
    Installed,
}

struct Kept {
    kept_as: KeptAs,
    /// Unless it was dropped for want of memory.
    code: Option<Arc<Compiled>>,
}

/// The modules of a member, by hash.
pub(super) struct Registry {
    kept: BTreeMap<ModuleHash, Kept>,
    prepared: u64,
    memory: u64,
    uses: Arc<Uses>,
}

/// What a change of the registry pushed out.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Dropped {
    /// Modules that are no longer kept.
    pub(super) forgotten: Vec<ModuleHash>,
    /// Whether the code of any module left memory.
    pub(super) code: bool,
}

impl Registry {
    /// An empty one that keeps at most `memory` bytes of code, or one module's if that is more.
    pub(super) fn new(memory: u64) -> Self {
        Self { kept: BTreeMap::new(), prepared: 0, memory, uses: Arc::default() }
    }

    /// The module, ready to be kept.
    pub(super) fn compiled(
        &self,
        apply: Module,
        query: InstancePre<Call<Erased>>,
        bytes: u64,
    ) -> Arc<Compiled> {
        let used = AtomicU64::new(self.uses.next());
        Arc::new(Compiled { apply, query, bytes, used, uses: self.uses.clone() })
    }

    /// The code of a module, if it is in memory; it is used now.
    pub(super) fn get(&self, hash: ModuleHash) -> Option<Arc<Compiled>> {
        let compiled = self.kept.get(&hash)?.code.clone()?;
        compiled.touch();
        Some(compiled)
    }

    /// Whether the code of a module is in memory.
    pub(super) fn has_code(&self, hash: ModuleHash) -> bool {
        self.kept.get(&hash).is_some_and(|kept| kept.code.is_some())
    }

    /// Keeps a module. The oldest of those that were prepared are forgotten if they are too many,
    /// and code is dropped from memory if it is too much.
    pub(super) fn keep(&mut self, hash: ModuleHash, compiled: Arc<Compiled>, installed: bool) -> Dropped {
        self.prepared += 1;
        let known = self.kept.get(&hash).map(|kept| kept.kept_as);
        let kept_as = match known {
            Some(KeptAs::Installed) => KeptAs::Installed,
            _ if installed => KeptAs::Installed,
            _ => KeptAs::Prepared(self.prepared),
        };
        self.kept.insert(hash, Kept { kept_as, code: Some(compiled) });
        let prepared: BTreeMap<u64, ModuleHash> = self.kept.iter().filter_map(prepared_turn).collect();
        let excess = prepared.len().saturating_sub(PREPARED_MODULES);
        let forgotten: Vec<ModuleHash> = prepared.into_values().take(excess).collect();
        forgotten.iter().for_each(|hash| drop(self.kept.remove(hash)));
        let code = self.shrink(hash) || !forgotten.is_empty();
        Dropped { forgotten, code }
    }

    /// Forgets what was installed and is not in `installed`. Returns what is kept.
    pub(super) fn retain(&mut self, installed: &BTreeSet<ModuleHash>) -> BTreeSet<ModuleHash> {
        self.kept.retain(|hash, kept| {
            if installed.contains(hash) {
                kept.kept_as = KeptAs::Installed;
            }
            installed.contains(hash) || kept.kept_as != KeptAs::Installed
        });
        self.kept.keys().copied().collect()
    }

    /// Drops all code.
    pub(super) fn unload(&mut self) {
        self.kept.values_mut().for_each(|kept| kept.code = None);
    }

    /// Drops code, the least recently used first and never that of `newest`, until the rest is not
    /// too much. Returns whether any was dropped.
    fn shrink(&mut self, newest: ModuleHash) -> bool {
        let in_memory = |(hash, kept): (&ModuleHash, &Kept)| {
            let compiled = kept.code.as_ref()?;
            Some((compiled.used.load(Ordering::Relaxed), *hash, compiled.bytes))
        };
        let mut in_memory: Vec<_> = self.kept.iter().filter_map(in_memory).collect();
        in_memory.sort_unstable();
        let mut bytes: u64 = in_memory.iter().map(|(_, _, bytes)| bytes).sum();
        let mut dropped = false;
        for (_, hash, size) in in_memory.into_iter().filter(|(_, hash, _)| *hash != newest) {
            if bytes <= self.memory {
                break;
            }
            if let Some(kept) = self.kept.get_mut(&hash) {
                tracing::debug!(%hash, "the code of a module leaves memory");
                kept.code = None;
            }
            bytes -= size;
            dropped = true;
        }
        dropped
    }

    /// Modules that are kept.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }
}

fn prepared_turn((hash, kept): (&ModuleHash, &Kept)) -> Option<(u64, ModuleHash)> {
    match kept.kept_as {
        KeptAs::Prepared(turn) => Some((turn, *hash)),
        KeptAs::Installed => None,
    }
}
