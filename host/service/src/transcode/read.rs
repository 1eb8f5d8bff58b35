//! JSON to postcard, by a type of the schema.
//!
//! Bytes are appended as values are read, so a value costs no tree of its own. The limit on bytes
//! is checked after each value. It does not parse JSON text, see [`json`](super::json).
use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use synod_abi::limits;
use synod_abi::schema::{Enum, Field, Type};

use super::JsonError;
use super::describe::{description, names, variant_form, variants};
use super::json::Json;
use super::path::Path;

/// Encodes one value.
pub(super) struct Reader {
    out: Vec<u8>,
    limit_bytes: usize,
}

impl Reader {
    pub(super) fn new(limit_bytes: usize) -> Self {
        Self { out: Vec::new(), limit_bytes }
    }

    pub(super) fn value(mut self, ty: &Type, value: &Json) -> Result<Vec<u8>, JsonError> {
        self.any(ty, value, &Path::Root, 0)?;
        Ok(self.out)
    }

    pub(super) fn arguments(mut self, args: &[Field], value: &Json) -> Result<Vec<u8>, JsonError> {
        match value {
            Json::Object(fields) => self.fields(args, fields, &Path::Root, 0, "argument")?,
            Json::Null if args.is_empty() => {}
            other => {
                return Err(Path::Root.error(format!(
                    "expected an object of arguments, not {}; there {}",
                    other.kind(),
                    names(args)
                )));
            }
        }
        Ok(self.out)
    }

    fn any(&mut self, ty: &Type, value: &Json, path: &Path<'_>, depth: usize) -> Result<(), JsonError> {
        if depth > limits::SHAPE_DEPTH {
            return Err(path.error(format!("the type is nested more than {} deep", limits::SHAPE_DEPTH)));
        }
        match (ty, value) {
            (Type::Option(_), Json::Null) => self.out.push(0),
            (Type::Option(item), value) => {
                self.out.push(1);
                self.any(item, value, path, depth + 1)?;
            }
            (Type::List(item), Json::List(values)) => {
                self.varint(values.len() as u128);
                for (at, value) in values.iter().enumerate() {
                    self.any(item, value, &Path::Item(path, at), depth + 1)?;
                }
            }
            (Type::Map(key, item), Json::Object(fields)) if **key == Type::String => {
                self.object(item, fields, path, depth)?;
            }
            (Type::Map(key, item), Json::List(pairs)) if **key != Type::String => {
                self.pairs(key, item, pairs, path, depth)?;
            }
            (Type::Tuple(items), Json::List(values)) => self.tuple(items, values, path, depth)?,
            (Type::Struct(of), Json::Object(fields)) => {
                self.fields(&of.fields, fields, path, depth, "field")?;
            }
            (Type::Enum(of), Json::Text(_) | Json::Object(_)) => self.variant(of, value, path, depth)?,
            _ => self.scalar(ty, value, path)?,
        }
        if self.out.len() > self.limit_bytes {
            return Err(
                path.error(format!("the encoded value is longer than {} bytes; send less", self.limit_bytes))
            );
        }
        Ok(())
    }

    /// A value that contains no other; every mismatch of a type and a value ends here.
    fn scalar(&mut self, ty: &Type, value: &Json, path: &Path<'_>) -> Result<(), JsonError> {
        match (ty, value) {
            (Type::Unit, Json::Null) => {}
            (Type::Bool, Json::Bool(value)) => self.out.push(u8::from(*value)),
            (
                Type::U8
                | Type::U16
                | Type::U32
                | Type::U64
                | Type::U128
                | Type::Token
                | Type::Time
                | Type::Revision,
                Json::Unsigned(_) | Json::Negative(_) | Json::Fraction | Json::Text(_),
            ) => self.unsigned(ty, value, path)?,
            (
                Type::I8 | Type::I16 | Type::I32 | Type::I64 | Type::I128,
                Json::Unsigned(_) | Json::Negative(_) | Json::Fraction | Json::Text(_),
            ) => self.signed(ty, value, path)?,
            (Type::Char, Json::Text(text)) => {
                let mut chars = text.chars();
                if chars.next().is_none() || chars.next().is_some() {
                    return Err(path.error("expected a string of one character"));
                }
                self.bytes(text.as_bytes());
            }
            (Type::String, Json::Text(text)) => self.bytes(text.as_bytes()),
            (Type::Bytes, Json::Text(text)) => {
                let bytes = STANDARD.decode(text).or_else(|_| STANDARD_NO_PAD.decode(text));
                self.bytes(&bytes.map_err(|_| path.error("expected bytes in base64, such as \"aGk=\""))?);
            }
            (Type::SessionId, Json::Text(text)) => {
                let id =
                    session(text).ok_or_else(|| path.error("expected a session: 32 hexadecimal digits"))?;
                self.out.extend_from_slice(&id);
            }
            _ => return Err(path.error(format!("expected {}, not {}", description(ty), value.kind()))),
        }
        Ok(())
    }

    /// A map whose keys are strings.
    fn object(
        &mut self,
        item: &Type,
        fields: &[(String, Json)],
        path: &Path<'_>,
        depth: usize,
    ) -> Result<(), JsonError> {
        self.varint(fields.len() as u128);
        let mut seen = HashSet::with_capacity(fields.len());
        for (name, value) in fields {
            if !seen.insert(name.as_str()) {
                return Err(Path::Field(path, name).error("the key is given twice"));
            }
            self.bytes(name.as_bytes());
            self.any(item, value, &Path::Field(path, name), depth + 1)?;
        }
        Ok(())
    }

    /// A map with other keys.
    fn pairs(
        &mut self,
        key: &Type,
        item: &Type,
        pairs: &[Json],
        path: &Path<'_>,
        depth: usize,
    ) -> Result<(), JsonError> {
        self.varint(pairs.len() as u128);
        for (at, pair) in pairs.iter().enumerate() {
            let path = Path::Item(path, at);
            let Json::List(pair) = pair else {
                return Err(path.error("expected a pair: [key, value]"));
            };
            let [name, value] = pair.as_slice() else {
                return Err(path.error("expected a pair: [key, value]"));
            };
            self.any(key, name, &Path::Item(&path, 0), depth + 1)?;
            self.any(item, value, &Path::Item(&path, 1), depth + 1)?;
        }
        Ok(())
    }

    fn tuple(
        &mut self,
        items: &[Type],
        values: &[Json],
        path: &Path<'_>,
        depth: usize,
    ) -> Result<(), JsonError> {
        if items.len() != values.len() {
            let message = format!("expected a list of {} items, not of {}", items.len(), values.len());
            return Err(path.error(message));
        }
        for (at, (item, value)) in items.iter().zip(values).enumerate() {
            self.any(item, value, &Path::Item(path, at), depth + 1)?;
        }
        Ok(())
    }

    fn fields(
        &mut self,
        fields: &[Field],
        given: &[(String, Json)],
        path: &Path<'_>,
        depth: usize,
        word: &str,
    ) -> Result<(), JsonError> {
        let mut values: Vec<Option<&Json>> = vec![None; fields.len()];
        for (name, value) in given {
            let Some(at) = fields.iter().position(|field| field.name == *name) else {
                return Err(Path::Field(path, name).error(format!("unknown {word}; there {}", names(fields))));
            };
            if values[at].replace(value).is_some() {
                return Err(Path::Field(path, name).error(format!("the {word} is given twice")));
            }
        }
        for (field, value) in fields.iter().zip(values) {
            let path = Path::Field(path, &field.name);
            match (value, &field.shape) {
                (Some(value), shape) => self.any(shape, value, &path, depth + 1)?,
                (None, Type::Option(_)) => self.out.push(0),
                (None, shape) => {
                    return Err(path.error(format!("the {word} is missing: expected {}", description(shape))));
                }
            }
        }
        Ok(())
    }

    fn variant(&mut self, of: &Enum, value: &Json, path: &Path<'_>, depth: usize) -> Result<(), JsonError> {
        let (name, content) = match value {
            Json::Text(name) => (name, None),
            Json::Object(fields) => match fields.as_slice() {
                [(name, content)] => (name, Some(content)),
                _ => return Err(path.error(format!("expected {}", variants(of)))),
            },
            _ => return Err(path.error(format!("expected {}, not {}", variants(of), value.kind()))),
        };
        let Some(number) = of.variants.iter().position(|variant| variant.name == *name) else {
            return Err(path.error(format!("unknown variant {name:?}; expected {}", variants(of))));
        };
        let variant = &of.variants[number];
        self.varint(number as u128);
        match (content, variant.fields.as_slice()) {
            (None, []) => Ok(()),
            (None, _) => {
                Err(path.error(format!("the variant has content: expected {}", variant_form(variant))))
            }
            (Some(_), []) => {
                Err(path.error(format!("the variant has no content: expected {}", variant_form(variant))))
            }
            (Some(Json::Object(given)), fields) => {
                self.fields(fields, given, &Path::Field(path, name), depth, "field")
            }
            (Some(other), _) => Err(Path::Field(path, name).error(format!(
                "expected {}, not {}",
                variant_form(variant),
                other.kind()
            ))),
        }
    }

    fn unsigned(&mut self, ty: &Type, value: &Json, path: &Path<'_>) -> Result<(), JsonError> {
        let most = match ty {
            Type::U8 => u128::from(u8::MAX),
            Type::U16 => u128::from(u16::MAX),
            Type::U32 => u128::from(u32::MAX),
            Type::U128 => u128::MAX,
            _ => u128::from(u64::MAX),
        };
        let number = match value {
            Json::Unsigned(number) => Some(u128::from(*number)),
            Json::Text(text) if is_wide(ty) && is_decimal(text) => text.parse().ok(),
            _ => None,
        };
        match number.filter(|number| *number <= most) {
            Some(number) if *ty == Type::U8 => self.out.push(number as u8),
            Some(number) => self.varint(number),
            None => return Err(path.error(format!("expected {}", description(ty)))),
        }
        Ok(())
    }

    fn signed(&mut self, ty: &Type, value: &Json, path: &Path<'_>) -> Result<(), JsonError> {
        let (least, most) = match ty {
            Type::I8 => (i128::from(i8::MIN), i128::from(i8::MAX)),
            Type::I16 => (i128::from(i16::MIN), i128::from(i16::MAX)),
            Type::I32 => (i128::from(i32::MIN), i128::from(i32::MAX)),
            Type::I128 => (i128::MIN, i128::MAX),
            _ => (i128::from(i64::MIN), i128::from(i64::MAX)),
        };
        let number = match value {
            Json::Unsigned(number) => Some(i128::from(*number)),
            Json::Negative(number) => Some(i128::from(*number)),
            Json::Text(text) if is_wide(ty) && is_decimal(text.strip_prefix('-').unwrap_or(text)) => {
                text.parse().ok()
            }
            _ => None,
        };
        match number.filter(|number| (least..=most).contains(number)) {
            Some(number) if *ty == Type::I8 => self.out.push(number as i8 as u8),
            Some(number) => self.varint(((number << 1) ^ (number >> 127)) as u128),
            None => return Err(path.error(format!("expected {}", description(ty)))),
        }
        Ok(())
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.varint(bytes.len() as u128);
        self.out.extend_from_slice(bytes);
    }

    fn varint(&mut self, mut number: u128) {
        while number >= 0x80 {
            self.out.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.out.push(number as u8);
    }
}

fn is_wide(ty: &Type) -> bool {
    matches!(ty, Type::U64 | Type::U128 | Type::I64 | Type::I128 | Type::Token | Type::Time | Type::Revision)
}

fn is_decimal(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn session(text: &str) -> Option<[u8; 16]> {
    if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    u128::from_str_radix(text, 16).ok().map(u128::to_be_bytes)
}
