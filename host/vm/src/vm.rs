//! The machine's port for running recipes: instances of one entry, each serving all calls to its
//! space.
//!
//! A call finds memory and globals as they are in a fresh instance, whatever ran before it, and
//! pays for what it has written to as if its instance were always kept. So neither outcome nor fuel
//! tell which calls share an entry. An instance never outlives its entry all the same, nor a trap
//! or writes that were taken back.
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use synod_abi::{AdmissionError, Fault, HostCalls, ModuleHash, SpaceId, costs, limits};
use synod_machine::{Admitted, Completion, Environment, Fatal, Invocation, Vm};
use synod_planted::{Bug, is_planted};
use wasmtime::{InstancePre, Linker, Store};

use crate::engine::Kind;
use crate::instance::Live;
use crate::linker::Call;
use crate::modules::Compiled;
use crate::pristine::{LINE_SHIFT, Pristine};
use crate::{Editions, Modules, VmError, admission, stack};

/// What is kept of a module.
struct Linked<H: 'static> {
    pre: InstancePre<Call<H>>,
    compiled: Arc<Compiled>,
    pristine: Pristine,
}

/// Most lines of memory that an instance may have written to and yet be kept: what it touched stays
/// resident, and to put back more is no faster than to begin afresh.
const KEPT_LINES: usize = (512 * 1_024) >> LINE_SHIFT;

struct Slot<H: 'static> {
    module: ModuleHash,
    used: u64,
    live: Live<H>,
}

/// Runs the operations of committed entries. One per apply thread, which [`crate::spawn`] should
/// have started.
pub struct WasmVm<H: 'static> {
    editions: Editions,
    /// Those of the present entry's edition.
    modules: Arc<Modules>,
    linker: Linker<Call<H>>,
    linked: BTreeMap<ModuleHash, Linked<H>>,
    forgotten: u64,
    slots: BTreeMap<SpaceId, Slot<H>>,
    uses: u64,
    fuel_used: u64,
}

impl<H: HostCalls + Send + 'static> WasmVm<H> {
    /// A runner of modules in any of `editions`: in the oldest, until an entry says another.
    ///
    /// # Errors
    /// [`VmError::Engine`] if the host calls cannot be linked.
    pub fn new(editions: impl Into<Editions>) -> Result<Self, VmError> {
        let editions = editions.into();
        let modules = editions.oldest().clone();
        let linker = modules.apply_linker()?;
        Ok(Self {
            editions,
            modules,
            linker,
            linked: BTreeMap::new(),
            forgotten: 0,
            slots: BTreeMap::new(),
            uses: 0,
            fuel_used: 0,
        })
    }

    /// Spaces that have an instance now.
    pub fn live_instances(&self) -> usize {
        self.slots.len()
    }

    /// Drops the modules whose code has left memory since it was last done.
    fn unlink_forgotten(&mut self) {
        let forgotten = self.modules.forgotten();
        if self.forgotten != forgotten {
            self.forgotten = forgotten;
            self.linked.retain(|hash, _| self.modules.is_prepared(*hash));
        }
    }

    /// Goes on to the edition of `environment`.
    fn enter(&mut self, environment: &Environment) -> Result<(), Fatal> {
        let modules = self.editions.enter(&environment.engine).ok_or_else(|| {
            Fatal(format!("this binary has no engine for the execution environment {environment}"))
        })?;
        self.linker = modules.apply_linker().map_err(|error| Fatal(error.to_string()))?;
        self.forgotten = modules.forgotten();
        self.modules = modules;
        self.linked.clear();
        Ok(())
    }

    /// Makes room for one more instance.
    fn evict(&mut self) {
        if self.slots.len() >= limits::ENTRY_INSTANCES {
            let oldest = self.slots.iter().min_by_key(|(_, slot)| slot.used).map(|(space, _)| *space);
            oldest.map(|space| self.slots.remove(&space));
        }
    }

    fn run(&mut self, invocation: Invocation<'_>, host: H) -> Result<(H, Completion), Fatal> {
        let Invocation { space, module, entry_point, context, args, fuel } = invocation;
        self.uses += 1;
        self.fuel_used = 0;
        let kept = self.slots.remove(&space).filter(|slot| slot.module == module);
        if kept.is_none() {
            self.evict();
        }
        let Linked { pre, compiled, pristine } = self
            .linked
            .get(&module)
            .ok_or_else(|| Fatal(format!("module {module} is called before it was loaded")))?;
        let mut slot = match kept {
            Some(mut slot) => {
                if !is_planted(Bug::InstanceRemembers) {
                    slot.live.forget(pristine);
                }
                slot
            }
            None => {
                compiled.touch();
                let mut store = Store::new(self.modules.apply_engine(), Call::idle(Kind::Apply));
                fuel_of(&mut store, limits::CALL_FUEL)?;
                match Live::new(pre, store)? {
                    Ok(live) => Slot { module, used: 0, live },
                    Err(fault) => return Ok((host, Completion::Faulted(fault))),
                }
            }
        };
        slot.used = self.uses;
        fuel_of(&mut slot.live.store, fuel)?;
        let (host, ended) = slot.live.call(entry_point, context, args, host)?;
        let counted = fuel.saturating_sub(slot.live.store.get_fuel().map_err(no_fuel)?);
        self.fuel_used = if ended.fuel_is_known { counted } else { counted.max(limits::TRAP_FUEL.min(fuel)) };
        if !ended.reusable {
            return Ok((host, ended.completion));
        }
        let written_lines = slot.live.written_lines();
        self.fuel_used += written_lines as u64 * costs::RESTORED_LINE;
        if written_lines <= KEPT_LINES {
            self.slots.insert(space, slot);
        }
        if self.fuel_used > fuel {
            self.fuel_used = fuel;
            return Ok((host, Completion::Faulted(Fault::OutOfFuel)));
        }
        Ok((host, ended.completion))
    }
}

fn fuel_of<H>(store: &mut Store<Call<H>>, fuel: u64) -> Result<(), Fatal> {
    store.set_fuel(fuel).map_err(no_fuel)
}

fn no_fuel(error: wasmtime::Error) -> Fatal {
    Fatal(format!("the engine has no fuel: {error:?}"))
}

impl<H: HostCalls + Send + 'static> Vm<H> for WasmVm<H> {
    fn admit(&self, module: &[u8]) -> Result<Admitted, AdmissionError> {
        admission::admit(module)
    }

    fn load(&mut self, hash: ModuleHash, module: &[u8]) -> Result<(), Fatal> {
        let compiled = self.modules.committed(hash, module).map_err(|error| Fatal(error.to_string()))?;
        let pre = self.linker.instantiate_pre(&compiled.apply);
        let pre = pre.map_err(|error| Fatal(format!("module {hash} cannot be linked: {error:?}")))?;
        self.unlink_forgotten();
        self.linked.insert(hash, Linked { pre, compiled, pristine: Pristine::of(module)? });
        Ok(())
    }

    /// What is prepared but not linked may be forgotten by the time it is called.
    fn is_loaded(&self, hash: ModuleHash) -> bool {
        self.linked.contains_key(&hash)
    }

    fn retain(&mut self, installed: &BTreeSet<ModuleHash>) {
        self.slots.clear();
        self.editions.retain(installed);
        self.unlink_forgotten();
    }

    fn begin_entry(&mut self, environment: Option<Environment>) -> Result<(), Fatal> {
        if !is_planted(Bug::InstanceRemembers) {
            self.slots.clear();
        }
        match environment {
            Some(environment) if environment.engine != self.modules.engine_fingerprint() => {
                self.enter(&environment)?;
            }
            Some(_) | None => self.unlink_forgotten(),
        }
        Ok(())
    }

    fn invoke(&mut self, invocation: Invocation<'_>, host: H) -> Result<(H, Completion), Fatal> {
        match stack::on_large(|| self.run(invocation, host)) {
            Ok(outcome) => outcome,
            Err(error) => Err(Fatal(format!("no thread to run a recipe on: {error}"))),
        }
    }

    fn discard(&mut self, space: SpaceId) {
        self.slots.remove(&space);
    }

    /// To the unit, unless the processor trapped: then at least [`limits::TRAP_FUEL`], or all that
    /// the call had.
    fn fuel_used(&self) -> u64 {
        self.fuel_used
    }
}

impl<H> std::fmt::Debug for WasmVm<H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WasmVm").field("live_instances", &self.slots.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
