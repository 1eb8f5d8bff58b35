//! The recipe of the machine's tests: its versions, and the steps that its arguments are made of.
use serde::{Deserialize, Serialize};
use synod_abi::schema::{EntryPointDef, HooksDef, SchemaDef, StateFieldDef, StateKind};
use synod_abi::{Blob, Direction, Fault, FieldShape, Shape};

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
    /// Counts in a row.
    Count(Blob),
    /// Tells revision, session and whether it may wait.
    Context,
    /// Answers later.
    Later,
    /// Answers now what can be given back.
    Now,
    /// Completes a call with one value that was seen.
    Complete(u64, Blob),
    /// Completes a call with an error.
    Reject(u64, u32),
    /// Completes a call with these bytes.
    CompleteRaw(u64, Blob),
    /// Puts the ticket in line, and answers later.
    Wait,
    /// Completes the first calls in line.
    Grant(u32),
    SetTimer(u64, Blob),
    CancelTimer(u64),
    /// Emits an event with this topic and payload.
    Emit(Blob, Blob),
    /// Sends steps to a space, for its operation of this name.
    Send(String, String, Blob),
    /// Uses fuel.
    Burn(u64),
    /// Says that the hook has more to do.
    More,
    /// Deletes so many of the rows whose keys begin with this, and says whether more are left.
    Sweep(Blob, u32),
    /// Does the step so often.
    Repeat(u32, Box<Step>),
    /// Answers later, by so many tickets.
    LaterBy(u16),
}

const STEPS: FieldShape = FieldShape { name: "steps", docs: "", shape: &Shape::Bytes };
const MORE: FieldShape = FieldShape { name: "more", docs: "", shape: &Shape::Option(&Shape::U32) };
const RUN: EntryPointDef =
    EntryPointDef { name: "run", docs: "", args: &[STEPS], result: &Shape::Bytes, errors: None, waits: true };
const RUN_MORE: EntryPointDef = EntryPointDef { args: &[STEPS, MORE], ..RUN };
const LOOK: EntryPointDef = EntryPointDef { name: "look", waits: false, ..RUN };
const HOOKS: HooksDef = HooksDef { session_end: true, cancel: true, timer: Some(&Shape::Bytes), event: true };
const FIELD: StateFieldDef = StateFieldDef {
    name: "all",
    docs: "",
    prefix: 1,
    kind: StateKind::Map,
    key: &Shape::Bytes,
    value: &Shape::Bytes,
};
const V1: SchemaDef = SchemaDef {
    name: "script",
    version: 1,
    docs: "",
    operations: &[RUN],
    queries: &[LOOK],
    fields: &[FIELD],
    hooks: HOOKS,
    emits: Some(&Shape::Bytes),
};
const V2: SchemaDef = SchemaDef { version: 2, operations: &[RUN_MORE], ..V1 };
const V2_DOCS: SchemaDef = SchemaDef { docs: "other", ..V2 };
/// Version 3 loses its query.
const V3: SchemaDef = SchemaDef { version: 3, queries: &[], ..V2 };
/// Version 1 again, with other bytes.
const V1_DOCS: SchemaDef = SchemaDef { docs: "other", ..V1 };
const V1_BREAKING: SchemaDef = SchemaDef { queries: &[], ..V1 };
/// Without hooks.
const OTHER: SchemaDef = SchemaDef { name: "other", hooks: HooksDef::NONE, ..V1 };
/// With hooks.
const OTHER_HOOKED: SchemaDef = SchemaDef { version: 2, hooks: HOOKS, ..OTHER };

macro_rules! modules {
    ($($name:ident = $def:ident;)*) => {
        $(pub(crate) const $name: &[u8] = { const BYTES: [u8; $def.encoded_len()] = $def.encode(); &BYTES };)*
    };
}

modules! {
    SCRIPT_1 = V1;
    SCRIPT_2 = V2;
    SCRIPT_2_DOCS = V2_DOCS;
    SCRIPT_3 = V3;
    SCRIPT_1_DOCS = V1_DOCS;
    SCRIPT_1_BREAKING = V1_BREAKING;
    OTHER_1 = OTHER;
    OTHER_2 = OTHER_HOOKED;
}
