//! For tests: a machine over rows in memory, and a [`Vm`] whose one recipe does what its arguments say, step by step.
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use synod_abi::schema::{EntryPointDef, Schema, SchemaDef, StateFieldDef, StateKind};
use synod_abi::{
    AdmissionError, Blob, ClusterId, Direction, EntryPoint, Fault, FieldShape, HostCalls, ModuleHash, OperationId, RangeRequest,
    RecipeName, RecipeRef, Rows, Shape, SpaceId, SpaceName, Time, encode,
};

use crate::*;

/// What the recipe is told to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Step {
    Get(Blob),
    Put(Blob, Blob),
    Delete(Blob),
    /// Writes so many of the largest values.
    Fill(u8),
    Range {
        from: Blob,
        to: Blob,
        direction: Direction,
        rows: u32,
    },
    Token,
    Seed,
    Log(String),
    /// Counts in the instance's memory and answers the count.
    Remember,
    Refuse(u32),
    Fault(Fault),
}

pub(crate) const ENVIRONMENT: Environment = Environment { semantics: Environment::SEMANTICS, engine: [7; 32] };
const STEPS: FieldShape = FieldShape { name: "steps", docs: "", shape: &Shape::Bytes };
const MORE: FieldShape = FieldShape { name: "more", docs: "", shape: &Shape::Option(&Shape::U32) };
const RUN: EntryPointDef = EntryPointDef { name: "run", docs: "", args: &[STEPS], result: &Shape::Bytes, errors: None };
const RUN_MORE: EntryPointDef = EntryPointDef { args: &[STEPS, MORE], ..RUN };
const LOOK: EntryPointDef = EntryPointDef { name: "look", ..RUN };
const FIELD: StateFieldDef =
    StateFieldDef { name: "all", docs: "", prefix: 1, kind: StateKind::Map, key: &Shape::Bytes, value: &Shape::Bytes };
const V1: SchemaDef = SchemaDef { name: "script", version: 1, docs: "", operations: &[RUN], queries: &[LOOK], fields: &[FIELD] };
const V2: SchemaDef = SchemaDef { version: 2, operations: &[RUN_MORE], ..V1 };
/// Version 3 loses its query.
const V3: SchemaDef = SchemaDef { version: 3, queries: &[], ..V2 };
/// Version 1 again, with other bytes.
const V1_DOCS: SchemaDef = SchemaDef { docs: "other", ..V1 };
const V1_BREAKING: SchemaDef = SchemaDef { queries: &[], ..V1 };
const OTHER: SchemaDef = SchemaDef { name: "other", ..V1 };

macro_rules! modules {
    ($($name:ident = $def:ident;)*) => {
        $(pub(crate) const $name: &[u8] = { const BYTES: [u8; $def.encoded_len()] = $def.encode(); &BYTES };)*
    };
}

modules! {
    SCRIPT_1 = V1;
    SCRIPT_2 = V2;
    SCRIPT_3 = V3;
    SCRIPT_1_DOCS = V1_DOCS;
    SCRIPT_1_BREAKING = V1_BREAKING;
    OTHER_1 = OTHER;
}

/// Runs scripts. A module is an encoded schema.
#[derive(Debug, Default)]
pub(crate) struct ScriptVm {
    pub(crate) loaded: BTreeSet<ModuleHash>,
    pub(crate) discarded: Vec<SpaceId>,
    memory: BTreeMap<SpaceId, u32>,
}

impl ScriptVm {
    fn run(&mut self, invocation: Invocation<'_>, host: &mut impl HostCalls) -> Result<Completion, Fault> {
        let steps: Vec<Step> = synod_abi::decode(invocation.args).map_err(|_| Fault::BadArguments)?;
        let mut seen: Vec<Vec<u8>> = Vec::new();
        let mut buffer = vec![0; synod_abi::limits::RANGE_CHUNK_BYTES];
        for step in steps {
            match step {
                Step::Get(key) => match host.get(&key, &mut buffer)? {
                    u32::MAX => seen.push(b"absent".to_vec()),
                    len => seen.push(buffer[..len as usize].to_vec()),
                },
                Step::Put(key, value) => host.put(&key, &value)?,
                Step::Delete(key) => host.delete(&key)?,
                Step::Fill(rows) => (0..rows).try_for_each(|n| host.put(&[n], &vec![n; synod_abi::limits::VALUE_BYTES]))?,
                Step::Range { from, to, direction, rows } => {
                    let request = RangeRequest { from: from.0, to: to.0, direction, rows }.to_bytes();
                    let answer = host.range(&request, &mut buffer)?;
                    let rows = Rows(&buffer[..answer as u32 as usize]).map(|(key, value)| [key, b"=", value].concat());
                    seen.extend(rows);
                    seen.push(if answer >> 32 == 1 { b"more".to_vec() } else { b"end".to_vec() });
                }
                Step::Token => seen.push(host.next_token()?.to_string().into_bytes()),
                Step::Seed => seen.push(invocation.context.seed.to_vec()),
                Step::Log(text) => host.log(3, text.as_bytes())?,
                Step::Remember => {
                    let count = self.memory.entry(invocation.space).or_default();
                    *count += 1;
                    seen.push(count.to_string().into_bytes());
                }
                Step::Refuse(code) => return Ok(Completion::Refused { code, error: vec![code as u8] }),
                Step::Fault(fault) => return Err(fault),
            }
        }
        Ok(Completion::Done(encode(&seen)))
    }
}

impl<H: HostCalls> Vm<H> for ScriptVm {
    fn admit(&self, module: &[u8]) -> Result<Admitted, AdmissionError> {
        let schema = Schema::decode(module).map_err(AdmissionError::BadSchema)?;
        Ok(Admitted { hash: module_hash(module), schema, schema_bytes: module.to_vec() })
    }

    fn load(&mut self, hash: ModuleHash, module: &[u8]) -> Result<(), Fatal> {
        assert_eq!(hash, module_hash(module));
        self.loaded.insert(hash);
        Ok(())
    }

    fn is_loaded(&self, hash: ModuleHash) -> bool {
        self.loaded.contains(&hash)
    }

    fn begin_entry(&mut self) {
        self.memory.clear();
    }

    fn invoke(&mut self, invocation: Invocation<'_>, mut host: H) -> Result<(H, Completion), Fatal> {
        assert!(self.loaded.contains(&invocation.module), "a module is loaded before it is called");
        assert_eq!(invocation.fuel, synod_abi::limits::CALL_FUEL, "each call has its whole fuel");
        assert!(matches!(invocation.entry_point, EntryPoint::Operation(_) | EntryPoint::Query(_)));
        let completion = self.run(invocation, &mut host).unwrap_or_else(Completion::Faulted);
        Ok((host, completion))
    }

    fn discard(&mut self, space: SpaceId) {
        self.memory.remove(&space);
        self.discarded.push(space);
    }

    fn fuel_used(&self) -> u64 {
        1
    }
}

/// One member.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) machine: Machine,
    pub(crate) state: MemoryState,
    pub(crate) vm: ScriptVm,
    pub(crate) index: u64,
}

impl Member {
    /// Nothing has happened.
    pub(crate) fn blank() -> Self {
        let state = MemoryState::default();
        Self { machine: Machine::load(&state, ENVIRONMENT).unwrap(), state, vm: ScriptVm::default(), index: 0 }
    }

    /// Formed, with the recipe `script@1` and its space `a`, which has id 1.
    pub(crate) fn formed() -> Self {
        let mut member = Self::blank();
        for action in forming() {
            member.one(action).unwrap();
        }
        member
    }

    /// Applies an entry, commits it, and checks that digests and rows agree.
    pub(crate) fn apply(&mut self, stamp: u64, actions: impl IntoIterator<Item = Action>) -> Applied {
        self.try_apply(stamp, actions).unwrap()
    }

    pub(crate) fn try_apply(&mut self, stamp: u64, actions: impl IntoIterator<Item = Action>) -> Result<Applied, Fatal> {
        self.index += 1;
        let entry = Entry { stamp: Time(stamp), commands: actions.into_iter().map(command).collect() };
        let applied = self.machine.apply(self.state.clone(), &mut self.vm, self.index, &encode(&entry))?;
        self.state.commit(&applied.writes);
        verify(&self.state).unwrap();
        let head = directory::head(&self.state)?.expect("every entry writes the head");
        assert_eq!((head.state_digest(), head.chain), (applied.state, applied.chain));
        Ok(applied)
    }

    pub(crate) fn one(&mut self, action: Action) -> Result<Reply, Rejection> {
        self.apply(0, [action]).outcomes.remove(0).outcome.result
    }

    pub(crate) fn run(&mut self, steps: &[Step]) -> Result<Vec<String>, Rejection> {
        self.one(call(1, steps)).map(|reply| seen(&reply))
    }

    /// As after a restart.
    pub(crate) fn restart(&mut self) {
        self.machine = Machine::load(&self.state, ENVIRONMENT).unwrap();
        self.vm = ScriptVm::default();
    }
}

pub(crate) fn forming() -> [Action; 4] {
    [
        Action::FormCluster { cluster: ClusterId([9; 16]) },
        Action::SetEnvironment { environment: ENVIRONMENT },
        install(SCRIPT_1),
        create("a"),
    ]
}

pub(crate) fn command(action: Action) -> Command {
    Command { origin: Origin::default(), caller: Caller::default(), action }
}

pub(crate) fn install(module: &[u8]) -> Action {
    Action::InstallRecipe { module: module.into(), replace: false }
}

pub(crate) fn create(name: &str) -> Action {
    Action::CreateSpace { name: space(name), recipe: RecipeName::new("script").unwrap(), version: None }
}

pub(crate) fn call(space: u32, steps: &[Step]) -> Action {
    Action::Call(Call { space: SpaceId(space), operation: OperationId::of("run"), args: encode(steps).into() })
}

pub(crate) fn space(name: &str) -> SpaceName {
    SpaceName::new(name).unwrap()
}

pub(crate) fn script(version: u32) -> RecipeRef {
    RecipeRef { name: RecipeName::new("script").unwrap(), version }
}

pub(crate) fn get(key: &str) -> Step {
    Step::Get(key.into())
}

pub(crate) fn put(key: &str, value: &str) -> Step {
    Step::Put(key.into(), value.into())
}

pub(crate) fn delete(key: &str) -> Step {
    Step::Delete(key.into())
}

pub(crate) fn range(from: &str, to: &str, direction: Direction, rows: u32) -> Step {
    Step::Range { from: from.into(), to: to.into(), direction, rows }
}

/// What a script saw, as text.
pub(crate) fn seen(reply: &Reply) -> Vec<String> {
    let Reply::Result(bytes) = reply else { panic!("{reply:?} is not the result of a call") };
    let seen: Vec<Vec<u8>> = synod_abi::decode(bytes).unwrap();
    seen.iter().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect()
}
