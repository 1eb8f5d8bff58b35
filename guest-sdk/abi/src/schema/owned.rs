//! The owned tree that a schema decodes to, and why one does not.
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use super::{FORMAT, StateKind, Status};
use crate::{OperationId, limits};

/// What a type looks like on the wire: the owned form of [`Shape`](crate::Shape).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "as in Shape")]
pub enum Type {
    Unit,
    Bool,
    U8,
    U16,
    U32,
    U64,
    U128,
    I8,
    I16,
    I32,
    I64,
    I128,
    Char,
    String,
    Bytes,
    Token,
    Time,
    Revision,
    SessionId,
    Option(Box<Type>),
    List(Box<Type>),
    Map(Box<Type>, Box<Type>),
    Tuple(Vec<Type>),
    Struct(Struct),
    Enum(Enum),
}

/// A struct with named fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "as in StructShape")]
pub struct Struct {
    pub name: String,
    pub docs: String,
    pub fields: Vec<Field>,
}

/// A named field or argument.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "as in FieldShape")]
pub struct Field {
    pub name: String,
    pub docs: String,
    pub shape: Type,
}

/// An enum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "as in EnumShape")]
pub struct Enum {
    pub name: String,
    pub docs: String,
    pub variants: Vec<Variant>,
}

/// A variant of an enum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "as in VariantShape")]
pub struct Variant {
    pub name: String,
    pub docs: String,
    pub fields: Vec<Field>,
}

/// The error enum of an entry point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Errors {
    /// Its variants.
    pub shape: Enum,
    /// Code and status per variant, in their order.
    pub codes: Vec<(u32, Status)>,
}

/// An operation or query.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EntryPointSchema {
    /// Its name.
    pub name: String,
    /// Its documentation.
    pub docs: String,
    /// Its arguments, in order; on the wire a tuple.
    pub args: Vec<Field>,
    /// What it returns.
    pub result: Type,
    /// What it refuses with.
    pub errors: Option<Errors>,
    /// Whether it may answer later.
    pub waits: bool,
    /// See [`EntryPointDef::signature`](super::EntryPointDef::signature).
    pub signature: u64,
}

/// The hooks of a recipe.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Hooks {
    /// Whether it hears of the end of a session that called it.
    pub session_end: bool,
    /// Whether it hears of parked calls that are given up.
    pub cancel: bool,
    /// Shape of its timers' payload, if it has a hook for them.
    pub timer: Option<Type>,
    /// Whether it reacts to events of spaces that its own is bound to.
    pub event: bool,
}

impl Hooks {
    /// Whether there is one.
    pub fn any(&self) -> bool {
        self.session_end || self.cancel || self.timer.is_some() || self.event
    }
}

impl EntryPointSchema {
    /// Its id.
    pub fn id(&self) -> OperationId {
        OperationId::of(&self.name)
    }
}

/// A state field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "as in StateFieldDef")]
pub struct StateField {
    pub name: String,
    pub docs: String,
    pub prefix: u32,
    pub kind: StateKind,
    pub key: Type,
    pub value: Type,
}

/// A recipe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Schema {
    /// Its name and version; the name is checked.
    pub recipe: crate::RecipeRef,
    /// Its documentation.
    pub docs: String,
    /// Its operations.
    pub operations: Vec<EntryPointSchema>,
    /// Its queries.
    pub queries: Vec<EntryPointSchema>,
    /// Its state.
    pub fields: Vec<StateField>,
    /// Its hooks.
    pub hooks: Hooks,
    /// What it emits, if it emits events.
    pub emits: Option<Emits>,
}

/// What a recipe emits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Emits {
    /// Shape of its events' payloads.
    pub shape: Type,
    /// Tells that shape from others, documentation aside: see
    /// [`Shape::signature`](crate::Shape::signature).
    pub signature: u64,
}

/// Why a schema is not valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SchemaError {
    /// Larger than [`limits::SCHEMA_BYTES`].
    TooLarge,
    /// The first byte is not [`FORMAT`].
    UnknownFormat,
    /// It ends early, goes on behind its end, or holds an unknown tag or text that is not UTF-8.
    Malformed,
    /// A shape is nested deeper than [`limits::SHAPE_DEPTH`].
    TooDeep,
    /// The recipe's name is not a name.
    BadName,
    /// The version is 0.
    BadVersion,
    /// Two entry points, fields, error codes or prefixes are the same, or one is 0.
    Duplicate,
    /// More than [`limits::RECIPE_ENTRY_POINTS`] or [`limits::RECIPE_FIELDS`].
    TooMany,
}

impl fmt::Display for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => write!(f, "it is larger than {} bytes", limits::SCHEMA_BYTES),
            Self::UnknownFormat => {
                write!(f, "its format is not {FORMAT}; it was built with another version of synod-sdk")
            }
            Self::Malformed => f.write_str("it is malformed"),
            Self::TooDeep => write!(f, "a type is nested more than {} deep", limits::SHAPE_DEPTH),
            Self::BadName => f.write_str("the recipe's name is not valid"),
            Self::BadVersion => f.write_str("the recipe's version is 0"),
            Self::Duplicate => f.write_str(
                "two entry points, state fields or error codes are the same, or an error code is 0",
            ),
            Self::TooMany => f.write_str("it has too many entry points or state fields"),
        }
    }
}

impl core::error::Error for SchemaError {}
