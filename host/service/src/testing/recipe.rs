//! A recipe in native code, and a `Vm` that runs it. A module is its encoded schema.
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use synod_abi::schema::{EntryPointDef, ErrorCode, ErrorsDef, Schema, SchemaDef, Status};
use synod_abi::{
    AdmissionError, Blob, EntryPoint, EnumShape, Fault, FieldShape, HostCalls, ModuleHash, OperationId, Shape, SpaceId, VariantShape,
    decode_from, encode, limits,
};
use synod_machine::{Admitted, Completion, Fatal, Invocation, Vm};

use crate::progress::lock;

const fn field(name: &'static str, shape: &'static Shape) -> FieldShape {
    FieldShape { name, docs: "", shape }
}

const ERRORS: ErrorsDef = ErrorsDef {
    shape: &EnumShape {
        name: "CounterError",
        docs: "",
        variants: &[
            VariantShape { name: "TooMuch", docs: "Add at most `most` at once.", fields: &[field("most", &Shape::U64)] },
            VariantShape { name: "Closed", docs: "", fields: &[] },
        ],
    },
    codes: &[ErrorCode { code: 7, status: Status::ResourceExhausted }, ErrorCode { code: 9, status: Status::FailedPrecondition }],
};

const ADD: EntryPointDef = EntryPointDef {
    name: "add",
    docs: "Adds, and returns the sum.",
    args: &[field("key", &Shape::String), field("n", &Shape::U64)],
    result: &Shape::U64,
    errors: Some(&ERRORS),
};
const FILL: EntryPointDef =
    EntryPointDef { name: "fill", docs: "Writes as much as a call may.", args: &[], result: &Shape::Unit, errors: None };
const ADD_2: EntryPointDef =
    EntryPointDef { args: &[field("key", &Shape::String), field("n", &Shape::U64), field("note", &Shape::Option(&Shape::String))], ..ADD };
const GET: EntryPointDef =
    EntryPointDef { name: "get", docs: "", args: &[field("key", &Shape::String)], result: &Shape::U64, errors: None };

const V1: SchemaDef = SchemaDef { name: "counter", version: 1, docs: "", operations: &[ADD, FILL], queries: &[GET], fields: &[] };
const V2: SchemaDef = SchemaDef { version: 2, operations: &[ADD_2, FILL], ..V1 };

pub(crate) const MOST: u64 = 1_000;
pub(crate) const FUEL: u64 = 2_000;
pub(crate) const ADD_SIGNATURE: u64 = ADD.signature::<{ ADD.signature_len() }>();
pub(crate) const ADD_2_SIGNATURE: u64 = ADD_2.signature::<{ ADD_2.signature_len() }>();
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
pub(crate) struct TestVm(Arc<Mutex<BTreeSet<ModuleHash>>>);

impl TestVm {
    pub(crate) fn loaded(&self) -> Vec<ModuleHash> {
        lock(&self.0).iter().copied().collect()
    }
}

impl<H: HostCalls> Vm<H> for TestVm {
    fn admit(&self, module: &[u8]) -> Result<Admitted, AdmissionError> {
        admit(module)
    }
    fn load(&mut self, hash: ModuleHash, _: &[u8]) -> Result<(), Fatal> {
        lock(&self.0).insert(hash);
        Ok(())
    }
    fn is_loaded(&self, hash: ModuleHash) -> bool {
        lock(&self.0).contains(&hash)
    }
    fn retain(&mut self, installed: &BTreeSet<ModuleHash>) {
        lock(&self.0).retain(|hash| installed.contains(hash));
    }
    fn begin_entry(&mut self) {}
    fn invoke(&mut self, invocation: Invocation<'_>, mut host: H) -> Result<(H, Completion), Fatal> {
        let completion = run(invocation.entry_point, invocation.args, &mut host).unwrap_or_else(Completion::Faulted);
        Ok((host, completion))
    }
    fn discard(&mut self, _: SpaceId) {}
    fn fuel_used(&self) -> u64 {
        FUEL
    }
}

fn run(entry_point: EntryPoint, mut args: &[u8], host: &mut impl HostCalls) -> Result<Completion, Fault> {
    const ADD: EntryPoint = EntryPoint::Operation(OperationId::of("add"));
    const FILL: EntryPoint = EntryPoint::Operation(OperationId::of("fill"));
    const GET: EntryPoint = EntryPoint::Query(OperationId::of("get"));
    match entry_point {
        FILL => {
            let value = vec![0; limits::VALUE_BYTES - limits::KEY_BYTES];
            for row in 0..limits::CALL_WRITE_BYTES / limits::VALUE_BYTES {
                host.put(format!("fill-{row}").as_bytes(), &value)?;
            }
            Ok(Completion::Done(Vec::new()))
        }
        ADD | GET => {
            let key: String = decode_from(&mut args).map_err(|_| Fault::BadArguments)?;
            let mut buffer = [0; 8];
            let there = host.get(key.as_bytes(), &mut buffer)? != u32::MAX;
            let sum = if there { u64::from_le_bytes(buffer) } else { 0 };
            if entry_point == GET {
                return Ok(Completion::Done(encode(&sum)));
            }
            let n: u64 = decode_from(&mut args).map_err(|_| Fault::BadArguments)?;
            if n > MOST {
                let error = encode(&(0_u32, MOST));
                return Ok(Completion::Refused { code: 7, error });
            }
            host.put(key.as_bytes(), &(sum + n).to_le_bytes())?;
            Ok(Completion::Done(encode(&(sum + n))))
        }
        _ => Err(Fault::BadArguments),
    }
}

pub(crate) fn add_args(key: &str, n: u64) -> Blob {
    Blob(encode(&(key, n)))
}
