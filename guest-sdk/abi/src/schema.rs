//! The schema of a recipe: its operations, queries, errors and state, with documentation, written
//! at compile time into the custom section [`SECTION`] of the module and read by the machine
//! (upgrades), the service (JSON) and the CLI (help).
//!
//! Two forms of one thing: the `*Def` constants that the macros make, and the owned tree that
//! [`Schema::decode`] reads. The format is our own: a recursive postcard type would let a hostile
//! module overflow the reader's stack, and postcard cannot encode in a `const`.
//!
//! Format: strings are u16 length and UTF-8; lists are u16 count and items; numbers little-endian;
//! shapes are a tag byte and their parts. What came later is a flag that is absent without it, so
//! that older schemas keep their bytes: that an operation waits, in the byte before its errors, and
//! a byte of hooks at the end, with the shapes of timers' and events' payloads behind it.
mod decode;
mod encode;
mod owned;

use serde::{Deserialize, Serialize};

use crate::{EnumShape, FieldShape, Shape};

pub use owned::{
    Emits, EntryPointSchema, Enum, Errors, Field, Hooks, Schema, SchemaError, StateField, Struct, Type,
    Variant,
};

/// Name of the custom section.
pub const SECTION: &str = "synod_schema";
/// First byte of an encoded schema; a reader refuses others.
pub const FORMAT: u8 = 1;

/// gRPC status that a business error is shown as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "they are gRPC's")]
pub enum Status {
    #[default]
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    AlreadyExists,
    PermissionDenied,
    ResourceExhausted,
    Aborted,
    OutOfRange,
}

impl Status {
    const ALL: [Self; 8] = [
        Self::FailedPrecondition,
        Self::InvalidArgument,
        Self::NotFound,
        Self::AlreadyExists,
        Self::PermissionDenied,
        Self::ResourceExhausted,
        Self::Aborted,
        Self::OutOfRange,
    ];
}

/// Code and status of one variant of an error enum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorCode {
    /// The number in `#[error(code)]`; unique within the enum, never 0.
    pub code: u32,
    /// What gRPC shows.
    pub status: Status,
}

/// An error enum of a recipe, as a constant.
#[derive(Clone, Copy, Debug)]
pub struct ErrorsDef {
    /// Its shape.
    pub shape: &'static EnumShape,
    /// A code per variant, in their order.
    pub codes: &'static [ErrorCode],
}

/// An operation or query, as a constant.
#[derive(Clone, Copy, Debug)]
pub struct EntryPointDef {
    /// Its name.
    pub name: &'static str,
    /// Its documentation.
    pub docs: &'static str,
    /// Its arguments, in order.
    pub args: &'static [FieldShape],
    /// What it returns.
    pub result: &'static Shape,
    /// What it refuses with.
    pub errors: Option<&'static ErrorsDef>,
    /// Whether it may answer later, so that its caller needs a session. No part of the signature.
    pub waits: bool,
}

/// The hooks of a recipe, as a constant.
#[derive(Clone, Copy, Debug)]
pub struct HooksDef {
    /// Whether it hears of the end of a session that called it.
    pub session_end: bool,
    /// Whether it hears of parked calls that are given up.
    pub cancel: bool,
    /// Shape of its timers' payload, if it has a hook for them.
    pub timer: Option<&'static Shape>,
    /// Whether it reacts to events of spaces that its own is bound to.
    pub event: bool,
}

impl HooksDef {
    /// No hooks.
    pub const NONE: Self = Self { session_end: false, cancel: false, timer: None, event: false };
}

/// How a state field stores its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StateKind {
    /// One value.
    Cell,
    /// A value per key.
    Map,
    /// One FIFO per key.
    Queue,
    /// A number.
    Counter,
    /// Waiting calls in order, one line per key.
    Line,
    /// What each session holds and waits for.
    Claims,
}

/// A state field, as a constant.
#[derive(Clone, Copy, Debug)]
pub struct StateFieldDef {
    /// Its name.
    pub name: &'static str,
    /// Its documentation.
    pub docs: &'static str,
    /// The first four bytes of its rows' keys.
    pub prefix: u32,
    /// How it stores.
    pub kind: StateKind,
    /// Shape of its keys.
    pub key: &'static Shape,
    /// Shape of its values.
    pub value: &'static Shape,
}

/// A recipe, as a constant.
#[derive(Clone, Copy, Debug)]
pub struct SchemaDef {
    /// Its name.
    pub name: &'static str,
    /// Its version.
    pub version: u32,
    /// Its documentation.
    pub docs: &'static str,
    /// Its operations.
    pub operations: &'static [EntryPointDef],
    /// Its queries.
    pub queries: &'static [EntryPointDef],
    /// Its state.
    pub fields: &'static [StateFieldDef],
    /// Its hooks.
    pub hooks: HooksDef,
    /// What it emits: the shape of its events' payloads, if it emits any.
    pub emits: Option<&'static Shape>,
}

/// Flags in the byte before an entry point's errors.
const HAS_ERRORS: u8 = 1;
const WAITS: u8 = 2;
/// Flags in the byte of the hooks, which is absent if there are none.
const ON_SESSION_END: u8 = 1;
const ON_TIMER: u8 = 2;
const ON_CANCEL: u8 = 4;
const ON_EVENT: u8 = 8;
/// Not a hook, but in the same byte: the shape of what the recipe emits follows that of its timers.
const EMITS: u8 = 16;
