//! Runs recipes for the apply thread, and has the tripwire paused while code is loaded.
//!
//! Loading reads or compiles a module, which may take seconds: a member that is killed meanwhile
//! did not crash on the entry. All else goes to the engine as it is.
use std::collections::BTreeSet;
use std::sync::Arc;

use synod_abi::{AdmissionError, HostCalls, ModuleHash, SpaceId};
use synod_machine::{Admitted, Completion, Environment, Fatal, Invocation, Vm};

use super::tripwire::Tripwire;

/// See the module.
#[derive(Debug)]
pub(crate) struct Recipes<V> {
    vm: V,
    tripwire: Arc<Tripwire>,
}

impl<V> Recipes<V> {
    /// Runs them with `vm`.
    pub(crate) fn new(vm: V, tripwire: Arc<Tripwire>) -> Self {
        Self { vm, tripwire }
    }
}

impl<H: HostCalls, V: Vm<H>> Vm<H> for Recipes<V> {
    fn admit(&self, module: &[u8]) -> Result<Admitted, AdmissionError> {
        self.vm.admit(module)
    }

    fn load(&mut self, hash: ModuleHash, module: &[u8]) -> Result<(), Fatal> {
        self.tripwire.pause()?;
        self.vm.load(hash, module)?;
        self.tripwire.resume()
    }

    fn is_loaded(&self, hash: ModuleHash) -> bool {
        self.vm.is_loaded(hash)
    }

    fn retain(&mut self, installed: &BTreeSet<ModuleHash>) {
        self.vm.retain(installed);
    }

    fn begin_entry(&mut self, environment: Option<Environment>) -> Result<(), Fatal> {
        self.vm.begin_entry(environment)
    }

    fn invoke(&mut self, invocation: Invocation<'_>, host: H) -> Result<(H, Completion), Fatal> {
        self.vm.invoke(invocation, host)
    }

    fn discard(&mut self, space: SpaceId) {
        self.vm.discard(space);
    }

    fn fuel_used(&self) -> u64 {
        self.vm.fuel_used()
    }
}

#[cfg(test)]
mod tests;
