//! Why a module is not admitted. The same on every member, so it holds numbers and names from the
//! module, never text of an engine.
use alloc::string::String;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::{Limit, limit};

/// Why a module was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AdmissionError {
    /// It does not begin with the Wasm magic number and version 1.
    NotWasm,
    /// It ends in the middle of a section.
    Truncated {
        /// Where, in bytes from the start.
        offset: u64,
    },
    /// It breaks the rules of WebAssembly, or uses a feature that is off.
    Invalid {
        /// Where, in bytes from the start.
        offset: u64,
    },
    /// Something is larger than its limit.
    Limit {
        /// What.
        what: Limited,
        /// Its size.
        actual: u64,
        /// The largest size admitted.
        limit: u64,
    },
    /// An import that the host does not have.
    UnknownImport {
        /// Its module.
        module: String,
        /// Its name.
        name: String,
    },
    /// An import or export has another type than the host's table says.
    WrongType {
        /// Its name.
        name: String,
    },
    /// An export that every recipe has is missing.
    MissingExport {
        /// Its name.
        name: String,
    },
    /// It has a start function, which would run outside of any call.
    StartFunction,
    /// It has a data or element segment that is not active.
    PassiveSegment,
    /// It has no section `synod_schema`, or more than one.
    MissingSchema,
    /// The schema does not decode, or contradicts itself.
    BadSchema(crate::schema::SchemaError),
}

/// What is limited in a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(
    missing_docs,
    reason = "each variant is the thing that its name says; the limits have the documentation"
)]
pub enum Limited {
    ModuleBytes,
    Functions,
    FunctionBytes,
    FunctionLocals,
    ModuleLocals,
    TypeParams,
    TypeResults,
    Types,
    Globals,
    DataSegments,
    ElementSegments,
    TableElements,
    BrTableTargets,
    Imports,
    Exports,
    BlockDepth,
    MemoryPages,
    Memories,
    Tables,
    SchemaBytes,
    OperandStack,
    FunctionBlocks,
    ModuleBlocks,
}

impl Limited {
    /// The limit.
    #[inline]
    pub const fn limit(self) -> Limit {
        match self {
            Self::ModuleBytes => limit!(MODULE_BYTES),
            Self::Functions => limit!(MODULE_FUNCTIONS),
            Self::FunctionBytes => limit!(FUNCTION_BYTES),
            Self::FunctionLocals => limit!(FUNCTION_LOCALS),
            Self::ModuleLocals => limit!(MODULE_LOCALS),
            Self::TypeParams => limit!(TYPE_PARAMS),
            Self::TypeResults => limit!(TYPE_RESULTS),
            Self::Types => limit!(MODULE_TYPES),
            Self::Globals => limit!(MODULE_GLOBALS),
            Self::DataSegments => limit!(MODULE_DATA_SEGMENTS),
            Self::ElementSegments => limit!(MODULE_ELEMENT_SEGMENTS),
            Self::TableElements => limit!(TABLE_ELEMENTS),
            Self::BrTableTargets => limit!(BR_TABLE_TARGETS),
            Self::Imports => limit!(MODULE_IMPORTS),
            Self::Exports => limit!(MODULE_EXPORTS),
            Self::BlockDepth => limit!(BLOCK_DEPTH),
            Self::MemoryPages => limit!(MEMORY_PAGES),
            Self::Memories => limit!(MODULE_MEMORIES),
            Self::Tables => limit!(MODULE_TABLES),
            Self::SchemaBytes => limit!(SCHEMA_BYTES),
            Self::OperandStack => limit!(OPERAND_STACK),
            Self::FunctionBlocks => limit!(FUNCTION_BLOCKS),
            Self::ModuleBlocks => limit!(MODULE_BLOCKS),
        }
    }
}

impl AdmissionError {
    /// The limit that the module exceeds, if that is why it is refused.
    pub const fn limit(&self) -> Option<Limit> {
        match self {
            Self::Limit { what, .. } => Some(what.limit()),
            Self::NotWasm
            | Self::Truncated { .. }
            | Self::Invalid { .. }
            | Self::UnknownImport { .. }
            | Self::WrongType { .. }
            | Self::MissingExport { .. }
            | Self::StartFunction
            | Self::PassiveSegment
            | Self::MissingSchema
            | Self::BadSchema(_) => None,
        }
    }
}

impl fmt::Display for AdmissionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotWasm => f.write_str("this is not a WebAssembly module"),
            Self::Truncated { offset } => write!(f, "the module ends early, at byte {offset}"),
            Self::Invalid { offset } => write!(
                f,
                "the module is malformed or uses a WebAssembly feature that is off (only LIME1 is on), at \
                    byte {offset}; `synod recipe check` explains"
            ),
            Self::Limit { what, actual, limit } => write!(f, "{what:?} is {actual}, the limit is {limit}"),
            Self::UnknownImport { module, name } => {
                write!(
                    f,
                    "the module imports {module}.{name}, which no recipe has; depend on synod-sdk alone and \
                        avoid clocks, randomness and I/O"
                )
            }
            Self::WrongType { name } => {
                write!(
                    f,
                    "`{name}` has another type than the host's table says; rebuild with a matching synod-sdk"
                )
            }
            Self::MissingExport { name } => {
                write!(
                    f,
                    "the module does not export `{name}`; is #[ops] missing, or the crate type not cdylib?"
                )
            }
            Self::StartFunction => f.write_str("the module has a start function"),
            Self::PassiveSegment => f.write_str("the module has a segment that is not active"),
            Self::MissingSchema => {
                f.write_str("the module has not exactly one `synod_schema` section; build it with synod-sdk")
            }
            Self::BadSchema(error) => write!(f, "the schema is not valid: {error}"),
        }
    }
}

impl core::error::Error for AdmissionError {}
