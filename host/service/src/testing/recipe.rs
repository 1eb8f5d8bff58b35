//! A recipe in native code, and a `Vm` that runs it. A module is its encoded schema.
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use synod_abi::schema::{EntryPointDef, ErrorCode, ErrorsDef, HooksDef, Schema, SchemaDef, Status};
use synod_abi::{
    AdmissionError, Blob, Context, EntryPoint, EnumShape, Event, Fault, FieldShape, HostCalls, ModuleHash,
    OperationId, REPLY_RESULT, Shape, SpaceId, StructShape, TimerId, VariantShape, decode, decode_from,
    encode, limits,
};
use synod_machine::{Admitted, Completion, Environment, Fatal, Invocation, Vm};

use crate::progress::lock;

const fn field(name: &'static str, shape: &'static Shape) -> FieldShape {
    FieldShape { name, docs: "", shape }
}

const ERRORS: ErrorsDef = ErrorsDef {
    shape: &EnumShape {
        name: "CounterError",
        docs: "",
        variants: &[
            VariantShape {
                name: "TooMuch",
                docs: "Add at most `most` at once.",
                fields: &[field("most", &Shape::U64)],
            },
            VariantShape { name: "Closed", docs: "", fields: &[] },
        ],
    },
    codes: &[
        ErrorCode { code: 7, status: Status::ResourceExhausted },
        ErrorCode { code: 9, status: Status::FailedPrecondition },
    ],
};

const ADD: EntryPointDef = EntryPointDef {
    name: "add",
    docs: "Adds, and returns the sum.",
    args: &[field("key", &Shape::String), field("n", &Shape::U64)],
    result: &Shape::U64,
    errors: Some(&ERRORS),
    waits: false,
};
const FILL: EntryPointDef = EntryPointDef {
    name: "fill",
    docs: "Writes as much as a call may.",
    args: &[],
    result: &Shape::Unit,
    errors: None,
    waits: false,
};
const WAIT: EntryPointDef = EntryPointDef {
    name: "wait",
    docs: "Waits for a gift.",
    args: &[field("key", &Shape::String)],
    errors: None,
    waits: true,
    ..ADD
};
/// Waits too, but does not say so.
const SNEAK: EntryPointDef = EntryPointDef { name: "sneak", waits: false, ..WAIT };
const GIVE: EntryPointDef =
    EntryPointDef { name: "give", docs: "Answers who waits first; how many that was.", errors: None, ..ADD };
const ALARM: EntryPointDef =
    EntryPointDef { name: "alarm", docs: "Sets a timer for the time `n`.", errors: None, ..ADD };
const ADD_2: EntryPointDef = EntryPointDef {
    args: &[
        field("key", &Shape::String),
        field("n", &Shape::U64),
        field("note", &Shape::Option(&Shape::String)),
    ],
    ..ADD
};
const GET: EntryPointDef = EntryPointDef {
    name: "get",
    docs: "",
    args: &[field("key", &Shape::String)],
    result: &Shape::U64,
    errors: None,
    waits: false,
};
const EMIT: EntryPointDef = EntryPointDef {
    name: "emit",
    docs: "Emits an event about each topic, padded to so many bytes.",
    args: &[field("topics", &Shape::List(&Shape::String)), field("bytes", &Shape::U64)],
    result: &Shape::Unit,
    errors: None,
    waits: false,
};
const SEND: EntryPointDef = EntryPointDef {
    name: "send",
    docs: "Has another space add.",
    args: &[field("space", &Shape::String), field("key", &Shape::String), field("n", &Shape::U64)],
    ..EMIT
};
const NOTE: Shape = Shape::Struct(&StructShape {
    name: "Note",
    docs: "",
    fields: &[field("number", &Shape::U32), field("pad", &Shape::Bytes)],
});
const HOOKS: HooksDef =
    HooksDef { session_end: true, cancel: true, timer: Some(&Shape::String), event: true };

const V1: SchemaDef = SchemaDef {
    name: "counter",
    version: 1,
    docs: "",
    operations: &[ADD, FILL, WAIT, SNEAK, GIVE, ALARM, EMIT, SEND],
    queries: &[GET],
    fields: &[],
    hooks: HOOKS,
    emits: Some(&NOTE),
};
const V2: SchemaDef =
    SchemaDef { version: 2, operations: &[ADD_2, FILL, WAIT, SNEAK, GIVE, ALARM, EMIT, SEND], ..V1 };

pub(crate) const MOST: u64 = 1_000;
pub(crate) const FUEL: u64 = 2_000;
pub(crate) const ADD_SIGNATURE: u64 = ADD.signature::<{ ADD.signature_len() }>();
pub(crate) const ADD_2_SIGNATURE: u64 = ADD_2.signature::<{ ADD_2.signature_len() }>();
pub(crate) const EMIT_SIGNATURE: u64 = EMIT.signature::<{ EMIT.signature_len() }>();
pub(crate) const GET_SIGNATURE: u64 = GET.signature::<{ GET.signature_len() }>();

pub(crate) fn module(version: u32) -> Vec<u8> {
    const BYTES_1: [u8; V1.encoded_len()] = V1.encode();
    const BYTES_2: [u8; V2.encoded_len()] = V2.encode();
    if version == 1 { BYTES_1.to_vec() } else { BYTES_2.to_vec() }
}

pub(crate) fn admit(module: &[u8]) -> Result<Admitted, AdmissionError> {
    let schema = Schema::decode(module).map_err(AdmissionError::BadSchema)?;
    let mut hash = [0; 32];
    hash[..8].copy_from_slice(&synod_abi::fnv1a_64(module).to_le_bytes());
    Ok(Admitted { hash: ModuleHash(hash), schema, schema_bytes: module.to_vec() })
}

/// What it has loaded. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct TestVm {
    loaded: Arc<Mutex<BTreeSet<ModuleHash>>>,
    fuel_used: u64,
}

impl TestVm {
    pub(crate) fn loaded(&self) -> Vec<ModuleHash> {
        lock(&self.loaded).iter().copied().collect()
    }
}

impl<H: HostCalls> Vm<H> for TestVm {
    fn admit(&self, module: &[u8]) -> Result<Admitted, AdmissionError> {
        admit(module)
    }
    fn load(&mut self, hash: ModuleHash, _: &[u8]) -> Result<(), Fatal> {
        lock(&self.loaded).insert(hash);
        Ok(())
    }
    fn is_loaded(&self, hash: ModuleHash) -> bool {
        lock(&self.loaded).contains(&hash)
    }
    fn retain(&mut self, installed: &BTreeSet<ModuleHash>) {
        lock(&self.loaded).retain(|hash| installed.contains(hash));
    }
    fn begin_entry(&mut self, _: Option<Environment>) -> Result<(), Fatal> {
        Ok(())
    }
    fn invoke(&mut self, invocation: Invocation<'_>, mut host: H) -> Result<(H, Completion), Fatal> {
        let completion = run(invocation.entry_point, invocation.context, invocation.args, &mut host)
            .unwrap_or_else(Completion::Faulted);
        self.fuel_used = invocation.fuel.saturating_sub(*host.fuel()) + FUEL;
        Ok((host, completion))
    }
    fn discard(&mut self, _: SpaceId) {}
    fn fuel_used(&self) -> u64 {
        self.fuel_used
    }
}

const ADD_ID: OperationId = OperationId::of("add");

fn run(
    entry_point: EntryPoint,
    context: &Context,
    args: &[u8],
    host: &mut impl HostCalls,
) -> Result<Completion, Fault> {
    const FILL: OperationId = OperationId::of("fill");
    const WAIT: OperationId = OperationId::of("wait");
    const SNEAK: OperationId = OperationId::of("sneak");
    const GIVE: OperationId = OperationId::of("give");
    const ALARM: OperationId = OperationId::of("alarm");
    const EMIT: OperationId = OperationId::of("emit");
    const SEND: OperationId = OperationId::of("send");
    const GET: EntryPoint = EntryPoint::Query(OperationId::of("get"));
    let mut args = args;
    let args = &mut args;
    match entry_point {
        EntryPoint::Operation(ADD_ID) => add_up(args, host),
        EntryPoint::Operation(FILL) => fill(host),
        EntryPoint::Operation(WAIT | SNEAK) => wait(context, args, host),
        EntryPoint::Operation(GIVE) => give(args, host),
        EntryPoint::Operation(ALARM) => {
            let key: String = argument(args)?;
            let after_ms: u64 = argument(args)?;
            Ok(Completion::Done(encode(&host.set_timer(after_ms, &encode(&key))?)))
        }
        EntryPoint::Operation(EMIT) => emit(args, host),
        EntryPoint::Operation(SEND) => {
            let space: String = argument(args)?;
            let key: String = argument(args)?;
            let n: u64 = argument(args)?;
            host.send(space.as_bytes(), ADD_ID.0, &add_args(&key, n).0)?;
            done()
        }
        GET => {
            let key: String = argument(args)?;
            Ok(Completion::Done(encode(&number(host, &key)?)))
        }
        hook => run_hook(hook, context, args, host),
    }
}

fn run_hook(
    hook: EntryPoint,
    context: &Context,
    args: &mut &[u8],
    host: &mut impl HostCalls,
) -> Result<Completion, Fault> {
    match hook {
        EntryPoint::SessionEnd => {
            add(host, ENDED, 1)?;
        }
        EntryPoint::Cancel => {
            add(host, CANCELLED, 1)?;
        }
        EntryPoint::Timer => {
            let _timer: TimerId = argument(args)?;
            let key: String = argument(args)?;
            let mut fired: Vec<(String, u64)> = list(host, FIRED)?;
            fired.push((key, context.now.0));
            host.put(FIRED.as_bytes(), &encode(&fired))?;
        }
        EntryPoint::Event => {
            let event: Event = argument(args)?;
            if event.topic.starts_with(BAD) {
                return Err(Fault::Trap);
            }
            add(host, HEARD, 1)?;
            host.emit(format!("heard/{}", event.topic).as_bytes(), &event.payload.0)?;
        }
        _ => return Err(Fault::BadArguments),
    }
    done()
}

fn done() -> Result<Completion, Fault> {
    Ok(Completion::Done(Vec::new()))
}

fn add_up(args: &mut &[u8], host: &mut impl HostCalls) -> Result<Completion, Fault> {
    let key: String = argument(args)?;
    let n: u64 = argument(args)?;
    if n > MOST {
        return Ok(Completion::Refused { code: 7, error: encode(&(0_u32, MOST)) });
    }
    Ok(Completion::Done(encode(&add(host, &key, n)?)))
}

/// Writes as much as a call may.
fn fill(host: &mut impl HostCalls) -> Result<Completion, Fault> {
    let value = vec![0; limits::VALUE_BYTES - limits::KEY_BYTES];
    for row in 0..limits::CALL_WRITE_BYTES / limits::VALUE_BYTES {
        host.put(format!("fill-{row}").as_bytes(), &value)?;
    }
    done()
}

fn wait(context: &Context, args: &mut &[u8], host: &mut impl HostCalls) -> Result<Completion, Fault> {
    let key: String = argument(args)?;
    let mut waiting: Vec<u64> = list(host, &waiting_key(&key))?;
    waiting.push(context.revision.0);
    host.put(waiting_key(&key).as_bytes(), &encode(&waiting))?;
    Ok(Completion::Later { tickets: 1 })
}

/// Completes the call that waits longest for `key`, if one does.
fn give(args: &mut &[u8], host: &mut impl HostCalls) -> Result<Completion, Fault> {
    let key: String = argument(args)?;
    let n: u64 = argument(args)?;
    let mut waiting: Vec<u64> = list(host, &waiting_key(&key))?;
    let mut given = 0_u64;
    let reply = [&[REPLY_RESULT], encode(&n).as_slice()].concat();
    while given == 0 && !waiting.is_empty() {
        given = host.complete(waiting.remove(0), &reply)?.into();
    }
    host.put(waiting_key(&key).as_bytes(), &encode(&waiting))?;
    Ok(Completion::Done(encode(&given)))
}

fn emit(args: &mut &[u8], host: &mut impl HostCalls) -> Result<Completion, Fault> {
    let topics: Vec<String> = argument(args)?;
    let bytes: u64 = argument(args)?;
    for (number, topic) in (0_u32..).zip(topics) {
        host.emit(topic.as_bytes(), &encode(&(number, Blob(vec![7; bytes as usize]))))?;
    }
    done()
}

/// Row that counts the sessions that ended.
pub(crate) const ENDED: &str = "ended";
/// Row that counts the calls that were given up.
pub(crate) const CANCELLED: &str = "cancelled";
/// Row of the timers that fired, with the time of it.
pub(crate) const FIRED: &str = "fired";

/// Row that counts the events that were heard of.
pub(crate) const HEARD: &str = "heard";
/// Topics that begin with this make the handler fail.
pub(crate) const BAD: &str = "bad/";

fn waiting_key(key: &str) -> String {
    format!("waiting-{key}")
}

fn argument<T: serde::de::DeserializeOwned>(args: &mut &[u8]) -> Result<T, Fault> {
    decode_from(args).map_err(|_| Fault::BadArguments)
}

fn list<T: serde::de::DeserializeOwned>(host: &mut impl HostCalls, key: &str) -> Result<Vec<T>, Fault> {
    let mut buffer = vec![0; limits::VALUE_BYTES];
    match host.get(key.as_bytes(), &mut buffer)? {
        u32::MAX => Ok(Vec::new()),
        len => decode(&buffer[..len as usize]).map_err(|_| Fault::CorruptState),
    }
}

fn number(host: &mut impl HostCalls, key: &str) -> Result<u64, Fault> {
    let mut buffer = [0; 8];
    let there = host.get(key.as_bytes(), &mut buffer)? != u32::MAX;
    Ok(if there { u64::from_le_bytes(buffer) } else { 0 })
}

fn add(host: &mut impl HostCalls, key: &str, n: u64) -> Result<u64, Fault> {
    let sum = number(host, key)? + n;
    host.put(key.as_bytes(), &sum.to_le_bytes())?;
    Ok(sum)
}

pub(crate) fn add_args(key: &str, n: u64) -> Blob {
    Blob(encode(&(key, n)))
}
