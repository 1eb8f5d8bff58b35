//! What runs recipes: compiled code, which all worlds of a process share, because it is the same in
//! each of them and takes seconds to make.
use std::sync::Arc;
use std::time::Duration;

use synod_abi::{AdmissionError, HostCalls, ModuleHash, SpaceId};
use synod_machine::{Admitted, Completion, Environment, Fatal, Invocation, Vm};
use synod_vm::compile::InProcess;
use synod_vm::{Editions, QueryEngine, WasmVm};

use crate::modules::Modules;

/// How long a query may run, in the time of this host: a simulated one never does.
const QUERY_TIMEOUT: Duration = Duration::from_secs(3_600);

/// Engines and what they have compiled.
#[derive(Clone)]
pub struct Engines {
    editions: Editions,
    queries: Arc<QueryEngine>,
    modules: Arc<Modules>,
}

impl Engines {
    /// Those of this build.
    ///
    /// # Panics
    /// This host cannot run them.
    pub fn new() -> Self {
        let folder = std::env::temp_dir().join("synod-sim-modules");
        let editions = Editions::with_cache(&folder, Arc::new(InProcess)).expect("the engines start");
        let queries = QueryEngine::new(editions.newest().clone(), QUERY_TIMEOUT);
        let queries = Arc::new(queries.expect("queries can run"));
        Self { queries, editions, modules: Arc::new(Modules::build()) }
    }

    /// What an entry means to them.
    pub fn environment(&self) -> Environment {
        let engine = *self.editions.fingerprints().last().expect("a build has an edition");
        Environment { semantics: Environment::SEMANTICS, engine }
    }

    /// A machine's port for recipes.
    ///
    /// # Panics
    /// This host cannot run them.
    pub fn vm<H: HostCalls + Send + 'static>(&self) -> SimVm<H> {
        SimVm(WasmVm::new(self.editions.clone()).expect("the host calls can be linked"))
    }

    /// Modules that are not in the bundle.
    pub(crate) fn modules(&self) -> Arc<Modules> {
        self.modules.clone()
    }

    /// What compiles.
    pub(crate) fn editions(&self) -> Editions {
        self.editions.clone()
    }

    /// What runs queries.
    pub(crate) fn queries(&self) -> Arc<QueryEngine> {
        self.queries.clone()
    }
}

impl Default for Engines {
    fn default() -> Self {
        Self::new()
    }
}

/// Runs recipes, and keeps the code of modules that one member does not have: others do.
pub struct SimVm<H: HostCalls + Send + 'static>(WasmVm<H>);

impl<H: HostCalls + Send + 'static> Vm<H> for SimVm<H> {
    fn admit(&self, module: &[u8]) -> Result<Admitted, AdmissionError> {
        self.0.admit(module)
    }

    fn load(&mut self, hash: ModuleHash, module: &[u8]) -> Result<(), Fatal> {
        self.0.load(hash, module)
    }

    fn is_loaded(&self, hash: ModuleHash) -> bool {
        self.0.is_loaded(hash)
    }

    fn begin_entry(&mut self, environment: Option<Environment>) -> Result<(), Fatal> {
        self.0.begin_entry(environment)
    }

    fn invoke(&mut self, invocation: Invocation<'_>, host: H) -> Result<(H, Completion), Fatal> {
        self.0.invoke(invocation, host)
    }

    fn discard(&mut self, space: SpaceId) {
        self.0.discard(space);
    }

    fn fuel_used(&self) -> u64 {
        self.0.fuel_used()
    }
}
