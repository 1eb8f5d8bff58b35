//! From bytes to the owned tree. The bytes come from a stranger: depth, counts and sizes are
//! limited, and none make it panic.
use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::{
    EMITS, Emits, EntryPointSchema, Enum, Errors, FORMAT, Field, HAS_ERRORS, Hooks, ON_CANCEL, ON_EVENT,
    ON_SESSION_END, ON_TIMER, Schema, SchemaError, StateField, StateKind, Status, Struct, Type, Variant,
    WAITS,
};
use crate::{fnv1a_64, limits};

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
            23 => {
                Type::Struct(Struct { name: self.text()?, docs: self.text()?, fields: self.fields(depth)? })
            }
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
            variants: self.list(usize::MAX, |r| {
                Ok(Variant { name: r.text()?, docs: r.text()?, fields: r.fields(depth)? })
            })?,
        })
    }

    fn errors(&mut self, flags: u8) -> Read<Option<Errors>> {
        match flags {
            0 => Ok(None),
            HAS_ERRORS => {
                let shape = self.enumeration(limits::SHAPE_DEPTH)?;
                let codes = shape
                    .variants
                    .iter()
                    .map(|_| {
                        Ok((
                            self.number()?,
                            *Status::ALL.get(self.byte()? as usize).ok_or(SchemaError::Malformed)?,
                        ))
                    })
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

    fn hooks(&mut self) -> Read<(Hooks, Option<Emits>)> {
        if self.0.is_empty() {
            return Ok((Hooks::default(), None));
        }
        let flags = self.byte()?;
        if flags == 0 || flags & !(ON_SESSION_END | ON_TIMER | ON_CANCEL | ON_EVENT | EMITS) != 0 {
            return Err(SchemaError::Malformed);
        }
        let timer = if flags & ON_TIMER != 0 { Some(self.shape(limits::SHAPE_DEPTH)?) } else { None };
        let emits = if flags & EMITS != 0 { Some(self.shape(limits::SHAPE_DEPTH)?) } else { None };
        let emits = emits.map(|shape| Emits { signature: fnv1a_64(&shape_bytes(&shape)), shape });
        let (session_end, cancel, event) =
            (flags & ON_SESSION_END != 0, flags & ON_CANCEL != 0, flags & ON_EVENT != 0);
        Ok((Hooks { session_end, cancel, timer, event }, emits))
    }

    fn entry_points(&mut self) -> Read<Vec<EntryPointSchema>> {
        let points = self.list(limits::RECIPE_ENTRY_POINTS, |r| {
            let mut point = EntryPointSchema {
                name: r.text()?,
                docs: r.text()?,
                args: r.fields(limits::SHAPE_DEPTH)?,
                result: r.shape(limits::SHAPE_DEPTH)?,
                errors: None,
                waits: false,
                signature: 0,
            };
            let flags = r.byte()?;
            point.waits = flags & WAITS != 0;
            point.errors = r.errors(flags & !WAITS)?;
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
                    4 => StateKind::Line,
                    5 => StateKind::Claims,
                    _ => return Err(SchemaError::Malformed),
                },
                key: r.shape(limits::SHAPE_DEPTH)?,
                value: r.shape(limits::SHAPE_DEPTH)?,
            })
        })?;
        distinct(fields.iter().map(|field| field.prefix))?;
        distinct(operations.iter().chain(&queries).map(|point| &point.name))?;
        let (hooks, emits) = reader.hooks()?;
        if !reader.0.is_empty() || queries.iter().any(|query| query.waits) {
            return Err(SchemaError::Malformed);
        }
        Ok(Self {
            recipe: crate::RecipeRef { name, version },
            docs,
            operations,
            queries,
            fields,
            hooks,
            emits,
        })
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

/// The bytes that [`EntryPointDef::signature`](super::EntryPointDef::signature) hashes, from the
/// owned form.
fn signature_bytes(point: &EntryPointSchema) -> Vec<u8> {
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

/// The bytes that [`Shape::signature`](crate::Shape::signature) hashes, from the owned form.
fn shape_bytes(of: &Type) -> Vec<u8> {
    let mut out = Vec::new();
    shape(&mut out, of);
    out
}

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
