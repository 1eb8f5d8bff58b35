//! The schema of a recipe: its operations, queries, errors and state, with documentation, written at
//! compile time into the custom section [`SECTION`] of the module and read by the machine (upgrades),
//! the service (JSON) and the CLI (help).
//!
//! Two forms of one thing: the `*Def` constants that the macros make, and the owned tree that [`Schema::decode`]
//! reads. The format is our own: a recursive postcard type would let a hostile module overflow the
//! reader's stack, and postcard cannot encode in a `const`.
//!
//! Format: strings are u16 length and UTF-8; lists are u16 count and items; numbers little-endian; shapes are a tag byte and
//! their parts.
use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::{EnumShape, FieldShape, OperationId, Shape, StructShape, VariantShape, fnv1a_64, limits};

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
}

/// Counts when it has no buffer, writes when it has one: length and bytes come from the same code.
struct Sink<'a> {
    buffer: Option<&'a mut [u8]>,
    at: usize,
    docs: bool,
}

impl Sink<'_> {
    const fn byte(&mut self, byte: u8) {
        if let Some(buffer) = &mut self.buffer {
            buffer[self.at] = byte;
        }
        self.at += 1;
    }

    const fn raw(&mut self, bytes: &[u8]) {
        let mut i = 0;
        while i < bytes.len() {
            self.byte(bytes[i]);
            i += 1;
        }
    }

    const fn count(&mut self, count: usize) {
        assert!(count <= u16::MAX as usize, "a schema's strings and lists have at most 65,535 bytes or items");
        self.raw(&(count as u16).to_le_bytes());
    }

    const fn text(&mut self, text: &str) {
        self.count(text.len());
        self.raw(text.as_bytes());
    }

    const fn docs(&mut self, docs: &str) {
        self.text(if self.docs { docs } else { "" });
    }

    const fn shape(&mut self, shape: &Shape) {
        match shape {
            Shape::Unit => self.byte(0),
            Shape::Bool => self.byte(1),
            Shape::U8 => self.byte(2),
            Shape::U16 => self.byte(3),
            Shape::U32 => self.byte(4),
            Shape::U64 => self.byte(5),
            Shape::U128 => self.byte(6),
            Shape::I8 => self.byte(7),
            Shape::I16 => self.byte(8),
            Shape::I32 => self.byte(9),
            Shape::I64 => self.byte(10),
            Shape::I128 => self.byte(11),
            Shape::Char => self.byte(12),
            Shape::String => self.byte(13),
            Shape::Bytes => self.byte(14),
            Shape::Token => self.byte(15),
            Shape::Time => self.byte(16),
            Shape::Revision => self.byte(17),
            Shape::SessionId => self.byte(18),
            Shape::Option(item) => {
                self.byte(19);
                self.shape(item);
            }
            Shape::List(item) => {
                self.byte(20);
                self.shape(item);
            }
            Shape::Map(key, value) => {
                self.byte(21);
                self.shape(key);
                self.shape(value);
            }
            Shape::Tuple(items) => {
                self.byte(22);
                self.count(items.len());
                let mut i = 0;
                while i < items.len() {
                    self.shape(items[i]);
                    i += 1;
                }
            }
            Shape::Struct(shape) => {
                self.byte(23);
                self.structure(shape);
            }
            Shape::Enum(shape) => {
                self.byte(24);
                self.enumeration(shape);
            }
        }
    }

    const fn fields(&mut self, fields: &[FieldShape]) {
        self.count(fields.len());
        let mut i = 0;
        while i < fields.len() {
            self.text(fields[i].name);
            self.docs(fields[i].docs);
            self.shape(fields[i].shape);
            i += 1;
        }
    }

    const fn structure(&mut self, shape: &StructShape) {
        self.text(shape.name);
        self.docs(shape.docs);
        self.fields(shape.fields);
    }

    const fn enumeration(&mut self, shape: &EnumShape) {
        self.text(shape.name);
        self.docs(shape.docs);
        self.count(shape.variants.len());
        let mut i = 0;
        while i < shape.variants.len() {
            let VariantShape { name, docs, fields } = shape.variants[i];
            self.text(name);
            self.docs(docs);
            self.fields(fields);
            i += 1;
        }
    }

    const fn entry_point(&mut self, def: &EntryPointDef) {
        self.text(def.name);
        self.docs(def.docs);
        self.fields(def.args);
        self.shape(def.result);
        match def.errors {
            None => self.byte(0),
            Some(errors) => {
                assert!(errors.codes.len() == errors.shape.variants.len(), "an error enum has one code per variant");
                self.byte(1);
                self.enumeration(errors.shape);
                let mut i = 0;
                while i < errors.codes.len() {
                    self.raw(&errors.codes[i].code.to_le_bytes());
                    self.byte(errors.codes[i].status as u8);
                    i += 1;
                }
            }
        }
    }

    const fn entry_points(&mut self, defs: &[EntryPointDef]) {
        self.count(defs.len());
        let mut i = 0;
        while i < defs.len() {
            self.entry_point(&defs[i]);
            i += 1;
        }
    }

    const fn schema(&mut self, def: &SchemaDef) {
        self.byte(FORMAT);
        self.text(def.name);
        self.raw(&def.version.to_le_bytes());
        self.docs(def.docs);
        self.entry_points(def.operations);
        self.entry_points(def.queries);
        self.count(def.fields.len());
        let mut i = 0;
        while i < def.fields.len() {
            let field = &def.fields[i];
            self.text(field.name);
            self.docs(field.docs);
            self.raw(&field.prefix.to_le_bytes());
            self.byte(field.kind as u8);
            self.shape(field.key);
            self.shape(field.value);
            i += 1;
        }
    }
}

impl SchemaDef {
    /// Length of the encoded schema, in bytes.
    pub const fn encoded_len(&self) -> usize {
        let mut sink = Sink { buffer: None, at: 0, docs: true };
        sink.schema(self);
        sink.at
    }

    /// The encoded schema; `N` is [`SchemaDef::encoded_len`].
    pub const fn encode<const N: usize>(&self) -> [u8; N] {
        assert!(N <= limits::SCHEMA_BYTES, "the schema is too large: shorten its documentation");
        let mut bytes = [0; N];
        let mut sink = Sink { buffer: Some(&mut bytes), at: 0, docs: true };
        sink.schema(self);
        assert!(sink.at == N, "N is the encoded length");
        bytes
    }
}

impl EntryPointDef {
    /// Fingerprint of name, arguments, result and errors, without documentation: a client sends it, so that
    /// bytes are never decoded as another type.
    pub const fn signature<const N: usize>(&self) -> u64 {
        let mut bytes = [0; N];
        let mut sink = Sink { buffer: Some(&mut bytes), at: 0, docs: false };
        sink.entry_point(self);
        fnv1a_64(&bytes)
    }

    /// The `N` of [`EntryPointDef::signature`].
    pub const fn signature_len(&self) -> usize {
        let mut sink = Sink { buffer: None, at: 0, docs: false };
        sink.entry_point(self);
        sink.at
    }
}

/// What a type looks like on the wire: the owned form of [`Shape`].
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
    /// See [`EntryPointDef::signature`].
    pub signature: u64,
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
            Self::UnknownFormat => write!(f, "its format is not {FORMAT}; it was built with another version of synod-sdk"),
            Self::Malformed => f.write_str("it is malformed"),
            Self::TooDeep => write!(f, "a type is nested more than {} deep", limits::SHAPE_DEPTH),
            Self::BadName => f.write_str("the recipe's name is not valid"),
            Self::BadVersion => f.write_str("the recipe's version is 0"),
            Self::Duplicate => f.write_str("two entry points, state fields or error codes are the same, or an error code is 0"),
            Self::TooMany => f.write_str("it has too many entry points or state fields"),
        }
    }
}

impl core::error::Error for SchemaError {}

struct Reader<'a>(&'a [u8]);

type Read<T> = Result<T, SchemaError>;

impl Reader<'_> {
    fn take(&mut self, n: usize) -> Read<&[u8]> {
        let (head, rest) = self.0.split_at_checked(n).ok_or(SchemaError::Malformed)?;
        self.0 = rest;
        Ok(head)
    }

    fn byte(&mut self) -> Read<u8> {
        Ok(self.take(1)?[0])
    }

    fn number(&mut self) -> Read<u32> {
        let bytes = self.take(4)?;
        Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    fn count(&mut self) -> Read<usize> {
        let bytes = self.take(2)?;
        Ok(u16::from_le_bytes([bytes[0], bytes[1]]) as usize)
    }

    fn text(&mut self) -> Read<String> {
        let n = self.count()?;
        core::str::from_utf8(self.take(n)?).map(ToString::to_string).map_err(|_| SchemaError::Malformed)
    }

    fn list<T>(&mut self, most: usize, mut item: impl FnMut(&mut Self) -> Read<T>) -> Read<Vec<T>> {
        let n = self.count()?;
        if n > most {
            return Err(SchemaError::TooMany);
        }
        (0..n).map(|_| item(self)).collect()
    }

    fn shape(&mut self, depth: usize) -> Read<Type> {
        let depth = depth.checked_sub(1).ok_or(SchemaError::TooDeep)?;
        Ok(match self.byte()? {
            0 => Type::Unit,
            1 => Type::Bool,
            2 => Type::U8,
            3 => Type::U16,
            4 => Type::U32,
            5 => Type::U64,
            6 => Type::U128,
            7 => Type::I8,
            8 => Type::I16,
            9 => Type::I32,
            10 => Type::I64,
            11 => Type::I128,
            12 => Type::Char,
            13 => Type::String,
            14 => Type::Bytes,
            15 => Type::Token,
            16 => Type::Time,
            17 => Type::Revision,
            18 => Type::SessionId,
            19 => Type::Option(Box::new(self.shape(depth)?)),
            20 => Type::List(Box::new(self.shape(depth)?)),
            21 => Type::Map(Box::new(self.shape(depth)?), Box::new(self.shape(depth)?)),
            22 => Type::Tuple(self.list(usize::MAX, |r| r.shape(depth))?),
            23 => Type::Struct(Struct { name: self.text()?, docs: self.text()?, fields: self.fields(depth)? }),
            24 => Type::Enum(self.enumeration(depth)?),
            _ => return Err(SchemaError::Malformed),
        })
    }

    fn fields(&mut self, depth: usize) -> Read<Vec<Field>> {
        self.list(usize::MAX, |r| Ok(Field { name: r.text()?, docs: r.text()?, shape: r.shape(depth)? }))
    }

    fn enumeration(&mut self, depth: usize) -> Read<Enum> {
        Ok(Enum {
            name: self.text()?,
            docs: self.text()?,
            variants: self.list(usize::MAX, |r| Ok(Variant { name: r.text()?, docs: r.text()?, fields: r.fields(depth)? }))?,
        })
    }

    fn errors(&mut self) -> Read<Option<Errors>> {
        match self.byte()? {
            0 => Ok(None),
            1 => {
                let shape = self.enumeration(limits::SHAPE_DEPTH)?;
                let codes = shape
                    .variants
                    .iter()
                    .map(|_| Ok((self.number()?, *Status::ALL.get(self.byte()? as usize).ok_or(SchemaError::Malformed)?)))
                    .collect::<Read<Vec<_>>>()?;
                distinct(codes.iter().map(|(code, _)| code))?;
                if codes.iter().any(|(code, _)| *code == 0) {
                    return Err(SchemaError::Duplicate);
                }
                Ok(Some(Errors { shape, codes }))
            }
            _ => Err(SchemaError::Malformed),
        }
    }

    fn entry_points(&mut self) -> Read<Vec<EntryPointSchema>> {
        let points = self.list(limits::RECIPE_ENTRY_POINTS, |r| {
            let mut point = EntryPointSchema {
                name: r.text()?,
                docs: r.text()?,
                args: r.fields(limits::SHAPE_DEPTH)?,
                result: r.shape(limits::SHAPE_DEPTH)?,
                errors: r.errors()?,
                signature: 0,
            };
            point.signature = fnv1a_64(&signature_bytes(&point));
            Ok(point)
        })?;
        let mut ids: Vec<_> = points.iter().map(EntryPointSchema::id).collect();
        ids.sort_unstable();
        distinct(ids.iter())?;
        Ok(points)
    }
}

fn distinct<T: Ord>(items: impl Iterator<Item = T>) -> Read<()> {
    let mut items: Vec<T> = items.collect();
    items.sort_unstable();
    if items.windows(2).any(|pair| pair[0] == pair[1]) { Err(SchemaError::Duplicate) } else { Ok(()) }
}

impl Schema {
    /// Reads an encoded schema.
    ///
    /// # Errors
    /// [`SchemaError`]; never panics, whatever the bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, SchemaError> {
        if bytes.len() > limits::SCHEMA_BYTES {
            return Err(SchemaError::TooLarge);
        }
        let mut reader = Reader(bytes);
        if reader.byte()? != FORMAT {
            return Err(SchemaError::UnknownFormat);
        }
        let name = crate::RecipeName::new(&reader.text()?).map_err(|_| SchemaError::BadName)?;
        let version = reader.number()?;
        if version == 0 {
            return Err(SchemaError::BadVersion);
        }
        let docs = reader.text()?;
        let operations = reader.entry_points()?;
        let queries = reader.entry_points()?;
        let fields = reader.list(limits::RECIPE_FIELDS, |r| {
            Ok(StateField {
                name: r.text()?,
                docs: r.text()?,
                prefix: r.number()?,
                kind: match r.byte()? {
                    0 => StateKind::Cell,
                    1 => StateKind::Map,
                    2 => StateKind::Queue,
                    3 => StateKind::Counter,
                    _ => return Err(SchemaError::Malformed),
                },
                key: r.shape(limits::SHAPE_DEPTH)?,
                value: r.shape(limits::SHAPE_DEPTH)?,
            })
        })?;
        distinct(fields.iter().map(|field| field.prefix))?;
        distinct(operations.iter().chain(&queries).map(|point| &point.name))?;
        if !reader.0.is_empty() {
            return Err(SchemaError::Malformed);
        }
        Ok(Self { recipe: crate::RecipeRef { name, version }, docs, operations, queries, fields })
    }

    /// The operation called `name`.
    pub fn operation(&self, name: &str) -> Option<&EntryPointSchema> {
        self.operations.iter().find(|point| point.name == name)
    }

    /// The query called `name`.
    pub fn query(&self, name: &str) -> Option<&EntryPointSchema> {
        self.queries.iter().find(|point| point.name == name)
    }
}

/// The bytes that [`EntryPointDef::signature`] hashes, from the owned form.
fn signature_bytes(point: &EntryPointSchema) -> Vec<u8> {
    fn count(out: &mut Vec<u8>, n: usize) {
        out.extend_from_slice(&(n as u16).to_le_bytes());
    }
    fn text(out: &mut Vec<u8>, text: &str) {
        count(out, text.len());
        out.extend_from_slice(text.as_bytes());
    }
    fn fields(out: &mut Vec<u8>, fields: &[Field]) {
        count(out, fields.len());
        for field in fields {
            text(out, &field.name);
            text(out, "");
            shape(out, &field.shape);
        }
    }
    fn enumeration(out: &mut Vec<u8>, of: &Enum) {
        text(out, &of.name);
        text(out, "");
        count(out, of.variants.len());
        for variant in &of.variants {
            text(out, &variant.name);
            text(out, "");
            fields(out, &variant.fields);
        }
    }
    fn shape(out: &mut Vec<u8>, of: &Type) {
        let tag = match of {
            Type::Unit => 0,
            Type::Bool => 1,
            Type::U8 => 2,
            Type::U16 => 3,
            Type::U32 => 4,
            Type::U64 => 5,
            Type::U128 => 6,
            Type::I8 => 7,
            Type::I16 => 8,
            Type::I32 => 9,
            Type::I64 => 10,
            Type::I128 => 11,
            Type::Char => 12,
            Type::String => 13,
            Type::Bytes => 14,
            Type::Token => 15,
            Type::Time => 16,
            Type::Revision => 17,
            Type::SessionId => 18,
            Type::Option(_) => 19,
            Type::List(_) => 20,
            Type::Map(..) => 21,
            Type::Tuple(_) => 22,
            Type::Struct(_) => 23,
            Type::Enum(_) => 24,
        };
        out.push(tag);
        match of {
            Type::Option(item) | Type::List(item) => shape(out, item),
            Type::Map(key, value) => {
                shape(out, key);
                shape(out, value);
            }
            Type::Tuple(items) => {
                count(out, items.len());
                items.iter().for_each(|item| shape(out, item));
            }
            Type::Struct(of) => {
                text(out, &of.name);
                text(out, "");
                fields(out, &of.fields);
            }
            Type::Enum(of) => enumeration(out, of),
            _ => {}
        }
    }
    let mut out = Vec::new();
    text(&mut out, &point.name);
    text(&mut out, "");
    fields(&mut out, &point.args);
    shape(&mut out, &point.result);
    match &point.errors {
        None => out.push(0),
        Some(errors) => {
            out.push(1);
            enumeration(&mut out, &errors.shape);
            for (code, status) in &errors.codes {
                out.extend_from_slice(&code.to_le_bytes());
                out.push(*status as u8);
            }
        }
    }
    out
}
