//! Runs recipes for tests: those linked into the test directly, compiled modules on an engine where
//! there is one.
//!
//! The module of a linked recipe is its encoded schema, so that installing it takes the same way as
//! any module. It names no engine: that is `wasm`, a feature.
use std::collections::BTreeMap;
use std::sync::Arc;

use synod_abi::schema::Schema;
use synod_abi::{
    AdmissionError, Context, EntryPoint, Fault, HostCalls, ModuleHash, REPLY_BAD_ARGUMENTS, REPLY_ERROR,
    REPLY_LATER, REPLY_MORE, REPLY_NOW, REPLY_RESULT, SpaceId, limits,
};
use synod_machine::{
    Admitted, Completion, Draft, Environment, Fatal, Invocation, MemoryState, Vm, module_hash,
};
use synod_sdk::native::NativeRecipe;

use crate::reads::{Watch, Watched};

const WASM_MAGIC: &[u8] = b"\0asm";

type Dispatch = fn(EntryPoint, &Context, &[u8], &mut dyn HostCalls) -> Result<Vec<u8>, Fault>;

/// Runs compiled modules.
pub(crate) type EngineVm = Box<dyn Vm<Draft<MemoryState>> + Send>;

/// What compiled modules run on.
pub(crate) trait Engine: Send + Sync {
    /// What it stands for in the execution environment.
    fn fingerprint(&self) -> [u8; 32];

    /// A new runner.
    fn vm(&self) -> EngineVm;
}

/// The recipes that tests are linked with, and the engine for compiled ones: what hosts and replays
/// share.
#[derive(Clone, Default)]
pub(crate) struct Runners {
    native: BTreeMap<ModuleHash, Dispatch>,
    engine: Option<Arc<dyn Engine>>,
}

impl Runners {
    /// With an engine for compiled modules.
    #[cfg(feature = "wasm")]
    pub(crate) fn on(engine: impl Engine + 'static) -> Self {
        Self { native: BTreeMap::new(), engine: Some(Arc::new(engine)) }
    }

    /// Makes `R` known, and returns its module.
    pub(crate) fn link<R: NativeRecipe>(&mut self) -> &'static [u8] {
        let module = R::schema_bytes();
        self.native.insert(module_hash(module), R::dispatch);
        module
    }

    /// What this stands for in the execution environment.
    pub(crate) fn fingerprint(&self) -> [u8; 32] {
        self.engine.as_ref().map_or([0; 32], |engine| engine.fingerprint())
    }

    pub(crate) fn vm(&self) -> TestVm {
        TestVm {
            native: self.native.clone(),
            engine: self.engine.as_ref().map(|engine| engine.vm()),
            fuel_used: 0,
            watch: Watch::default(),
        }
    }
}

/// Runs both kinds.
pub(crate) struct TestVm {
    native: BTreeMap<ModuleHash, Dispatch>,
    engine: Option<EngineVm>,
    fuel_used: u64,
    watch: Watch,
}

impl TestVm {
    /// What was read since the last time.
    pub(crate) fn take_watch(&mut self) -> Watch {
        std::mem::take(&mut self.watch)
    }

    /// Makes a recipe known that was linked later.
    pub(crate) fn relink(&mut self, runners: &Runners) {
        self.native.clone_from(&runners.native);
    }

    fn engine(&mut self) -> Result<&mut EngineVm, Fatal> {
        self.engine.as_mut().ok_or_else(|| {
            Fatal("a recipe is installed that is neither linked into the test nor compiled".into())
        })
    }
}

impl Vm<Draft<MemoryState>> for TestVm {
    fn admit(&self, module: &[u8]) -> Result<Admitted, AdmissionError> {
        let hash = module_hash(module);
        if self.native.contains_key(&hash) {
            let schema = Schema::decode(module).map_err(AdmissionError::BadSchema)?;
            return Ok(Admitted { hash, schema, schema_bytes: module.to_vec() });
        }
        match &self.engine {
            Some(engine) => engine.admit(module),
            None if module.starts_with(WASM_MAGIC) => {
                panic!(
                    "a compiled module was installed in a TestHost of linked recipes; make it with \
                        TestHost::wasm, of the feature `wasm`"
                )
            }
            None => Err(AdmissionError::NotWasm),
        }
    }

    fn load(&mut self, hash: ModuleHash, module: &[u8]) -> Result<(), Fatal> {
        if self.native.contains_key(&hash) { Ok(()) } else { self.engine()?.load(hash, module) }
    }

    fn is_loaded(&self, hash: ModuleHash) -> bool {
        self.native.contains_key(&hash) || self.engine.as_ref().is_some_and(|engine| engine.is_loaded(hash))
    }

    fn begin_entry(&mut self, environment: Option<Environment>) -> Result<(), Fatal> {
        self.engine.iter_mut().try_for_each(|engine| engine.begin_entry(environment))
    }

    fn invoke(
        &mut self,
        call: Invocation<'_>,
        mut host: Draft<MemoryState>,
    ) -> Result<(Draft<MemoryState>, Completion), Fatal> {
        let Some(dispatch) = self.native.get(&call.module) else {
            let engine = self.engine()?;
            let done = engine.invoke(call, host)?;
            self.fuel_used = engine.fuel_used();
            return Ok(done);
        };
        let mut watched = Watched { host: &mut host, space: call.space, watch: &mut self.watch };
        let reply = dispatch(call.entry_point, call.context, call.args, &mut watched);
        self.fuel_used = call.fuel.saturating_sub(*host.fuel());
        Ok((host, reply.map_or_else(Completion::Faulted, |reply| completion(call.entry_point, reply))))
    }

    fn discard(&mut self, space: SpaceId) {
        self.engine.iter_mut().for_each(|engine| engine.discard(space));
    }

    fn fuel_used(&self) -> u64 {
        self.fuel_used
    }
}

/// What the bytes of a reply mean: only operations wait, and hooks have nothing to say but that
/// there is more.
fn completion(entry_point: EntryPoint, mut reply: Vec<u8>) -> Completion {
    if reply.len() > limits::REPLY_BYTES {
        return Completion::Faulted(Fault::BadReply);
    }
    let (waits, answers) = match entry_point {
        EntryPoint::Operation(_) => (true, true),
        EntryPoint::Query(_) => (false, true),
        EntryPoint::SessionEnd | EntryPoint::Timer | EntryPoint::Cancel | EntryPoint::Event => (false, false),
    };
    let goes_on = matches!(entry_point, EntryPoint::SessionEnd | EntryPoint::Timer | EntryPoint::Cancel);
    match (reply.first().copied(), reply.get(1..5)) {
        (Some(REPLY_RESULT), _) if answers || reply.len() == 1 => Completion::Done(reply.split_off(1)),
        (Some(REPLY_NOW), _) if waits => Completion::Now(reply.split_off(1)),
        (Some(REPLY_LATER), None) if waits && reply.len() == 1 => Completion::Later { tickets: 1 },
        (Some(REPLY_LATER), None) if waits && reply.len() == 3 => {
            Completion::Later { tickets: u16::from_le_bytes([reply[1], reply[2]]) }
        }
        (Some(REPLY_MORE), None) if goes_on && reply.len() == 1 => Completion::More,
        (Some(REPLY_ERROR), Some(&[a, b, c, d])) if answers => {
            Completion::Refused { code: u32::from_le_bytes([a, b, c, d]), error: reply.split_off(5) }
        }
        (Some(REPLY_BAD_ARGUMENTS), None) if reply.len() == 1 => Completion::Faulted(Fault::BadArguments),
        _ => Completion::Faulted(Fault::BadReply),
    }
}
