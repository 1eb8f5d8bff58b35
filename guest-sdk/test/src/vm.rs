//! Runs recipes for tests: those linked into the test directly, compiled modules on the engine that members use.
//!
//! The module of a linked recipe is its encoded schema, so that installing it takes the same way as any module.
use std::collections::BTreeMap;
use std::sync::Arc;

use synod_abi::schema::Schema;
use synod_abi::{
    AdmissionError, Context, EntryPoint, Fault, HostCalls, ModuleHash, REPLY_BAD_ARGUMENTS, REPLY_ERROR, REPLY_RESULT, SpaceId, limits,
};
use synod_machine::{Admitted, Completion, Fatal, Invocation, MemoryState, Vm, Workspace};
use synod_sdk::native::NativeRecipe;
use synod_vm::{Modules, WasmVm};

const WASM_MAGIC: &[u8] = b"\0asm";

type Dispatch = fn(EntryPoint, &Context, &[u8], &mut dyn HostCalls) -> Result<Vec<u8>, Fault>;

/// The recipes that tests are linked with, and the modules that were compiled: what hosts and replays share.
#[derive(Clone, Default)]
pub(crate) struct Runners {
    native: BTreeMap<ModuleHash, Dispatch>,
    modules: Option<Arc<Modules>>,
}

impl Runners {
    /// Makes `R` known, and returns its module.
    pub(crate) fn link<R: NativeRecipe>(&mut self) -> &'static [u8] {
        let module = R::schema_bytes();
        self.native.insert(synod_vm::hash(module), R::dispatch);
        module
    }

    /// Makes compiled modules runnable.
    pub(crate) fn enable_wasm(&mut self) {
        self.modules.get_or_insert_with(|| Modules::in_memory().unwrap_or_else(|error| panic!("the Wasm engine does not start: {error}")));
    }

    /// What this stands for in the execution environment.
    pub(crate) fn engine(&self) -> [u8; 32] {
        self.modules.as_ref().map_or([0; 32], |modules| modules.engine_fingerprint())
    }

    pub(crate) fn vm(&self) -> TestVm {
        let wasm = self
            .modules
            .clone()
            .map(|modules| WasmVm::new(modules).unwrap_or_else(|error| panic!("the Wasm engine does not link: {error}")));
        TestVm { native: self.native.clone(), wasm, fuel_used: 0 }
    }
}

/// Runs both kinds.
pub(crate) struct TestVm {
    native: BTreeMap<ModuleHash, Dispatch>,
    wasm: Option<WasmVm<Workspace<MemoryState>>>,
    fuel_used: u64,
}

impl TestVm {
    /// Makes a recipe known that was linked later.
    pub(crate) fn relink(&mut self, runners: &Runners) {
        self.native.clone_from(&runners.native);
    }

    fn wasm(&mut self) -> Result<&mut WasmVm<Workspace<MemoryState>>, Fatal> {
        self.wasm
            .as_mut()
            .ok_or_else(|| Fatal("a compiled module was installed in a TestHost of linked recipes; make it with TestHost::wasm".into()))
    }
}

impl Vm<Workspace<MemoryState>> for TestVm {
    fn admit(&self, module: &[u8]) -> Result<Admitted, AdmissionError> {
        let hash = synod_vm::hash(module);
        if module.starts_with(WASM_MAGIC) || !self.native.contains_key(&hash) {
            return synod_vm::admit(module);
        }
        let schema = Schema::decode(module).map_err(AdmissionError::BadSchema)?;
        Ok(Admitted { hash, schema, schema_bytes: module.to_vec() })
    }

    fn load(&mut self, hash: ModuleHash, module: &[u8]) -> Result<(), Fatal> {
        if self.native.contains_key(&hash) { Ok(()) } else { self.wasm()?.load(hash, module) }
    }

    fn is_loaded(&self, hash: ModuleHash) -> bool {
        self.native.contains_key(&hash) || self.wasm.as_ref().is_some_and(|wasm| wasm.is_loaded(hash))
    }

    fn begin_entry(&mut self) {
        self.wasm.iter_mut().for_each(Vm::begin_entry);
    }

    fn invoke(&mut self, call: Invocation<'_>, mut host: Workspace<MemoryState>) -> Result<(Workspace<MemoryState>, Completion), Fatal> {
        let Some(dispatch) = self.native.get(&call.module) else {
            let wasm = self.wasm()?;
            let done = wasm.invoke(call, host)?;
            self.fuel_used = wasm.fuel_used();
            return Ok(done);
        };
        self.fuel_used = 0;
        let reply = dispatch(call.entry_point, call.context, call.args, &mut host);
        Ok((host, reply.map_or_else(Completion::Faulted, completion)))
    }

    fn discard(&mut self, space: SpaceId) {
        self.wasm.iter_mut().for_each(|wasm| wasm.discard(space));
    }

    fn fuel_used(&self) -> u64 {
        self.fuel_used
    }
}

/// What the bytes of a reply mean.
fn completion(mut reply: Vec<u8>) -> Completion {
    if reply.len() > limits::REPLY_BYTES {
        return Completion::Faulted(Fault::BadReply);
    }
    match (reply.first().copied(), reply.get(1..5)) {
        (Some(REPLY_RESULT), _) => Completion::Done(reply.split_off(1)),
        (Some(REPLY_ERROR), Some(&[a, b, c, d])) => {
            Completion::Refused { code: u32::from_le_bytes([a, b, c, d]), error: reply.split_off(5) }
        }
        (Some(REPLY_BAD_ARGUMENTS), None) if reply.len() == 1 => Completion::Faulted(Fault::BadArguments),
        _ => Completion::Faulted(Fault::BadReply),
    }
}
