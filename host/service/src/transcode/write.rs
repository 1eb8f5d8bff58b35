//! postcard to JSON text.
//!
//! The text is written directly: a tree of a million small values would cost thirty times their
//! bytes.
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use synod_abi::limits;
use synod_abi::schema::{Enum, Field, Type};

use super::{JSON_BYTES, WriteError};

/// The JSON of `bytes`, which hold one `ty` and nothing else.
///
/// # Errors
/// [`WriteError`] if they don't, or the text gets too long.
pub fn to_json(ty: &Type, bytes: &[u8]) -> Result<String, WriteError> {
    finish(bytes, |writer| writer.any(ty, 0))
}

pub(super) fn enum_to_json(of: &Enum, bytes: &[u8]) -> Result<String, WriteError> {
    finish(bytes, |writer| writer.variant(of, 0))
}

fn finish(
    bytes: &[u8],
    write: impl FnOnce(&mut Writer<'_>) -> Result<(), WriteError>,
) -> Result<String, WriteError> {
    let mut writer = Writer { rest: bytes, out: Vec::with_capacity(bytes.len() * 2) };
    write(&mut writer)?;
    if !writer.rest.is_empty() {
        return Err(WriteError::Malformed);
    }
    String::from_utf8(writer.out).map_err(|_| WriteError::Malformed)
}

struct Writer<'a> {
    rest: &'a [u8],
    out: Vec<u8>,
}

impl<'a> Writer<'a> {
    fn any(&mut self, ty: &Type, depth: usize) -> Result<(), WriteError> {
        if depth > limits::SHAPE_DEPTH {
            return Err(WriteError::Malformed);
        }
        match ty {
            Type::Option(item) => match self.byte()? {
                0 => self.raw("null"),
                1 => self.any(item, depth + 1)?,
                _ => return Err(WriteError::Malformed),
            },
            Type::List(item) => {
                let count = self.count()?;
                self.raw("[");
                for at in 0..count {
                    self.comma(at);
                    self.any(item, depth + 1)?;
                }
                self.raw("]");
            }
            Type::Map(key, item) => self.map(key, item, depth)?,
            Type::Tuple(items) => {
                self.raw("[");
                for (at, item) in items.iter().enumerate() {
                    self.comma(at);
                    self.any(item, depth + 1)?;
                }
                self.raw("]");
            }
            Type::Struct(of) => self.fields(&of.fields, depth)?,
            Type::Enum(of) => self.variant(of, depth)?,
            Type::Unit => self.raw("null"),
            Type::Bool => match self.byte()? {
                0 => self.raw("false"),
                1 => self.raw("true"),
                _ => return Err(WriteError::Malformed),
            },
            Type::Char | Type::String | Type::Bytes | Type::SessionId => self.string(ty)?,
            Type::U8 | Type::U16 | Type::U32 | Type::U64 | Type::U128 => self.integer(ty)?,
            Type::I8 | Type::I16 | Type::I32 | Type::I64 | Type::I128 => self.integer(ty)?,
            Type::Token | Type::Time | Type::Revision => self.integer(ty)?,
        }
        if self.out.len() > JSON_BYTES { Err(WriteError::TooLarge) } else { Ok(()) }
    }

    /// Integers of 64 bits and more are strings, as proto3 has them.
    fn integer(&mut self, ty: &Type) -> Result<(), WriteError> {
        let number = match ty {
            Type::U8 => self.byte()?.to_string(),
            Type::U16 => self.varint(16)?.to_string(),
            Type::U32 => self.varint(32)?.to_string(),
            Type::U64 | Type::Token | Type::Time | Type::Revision => format!("\"{}\"", self.varint(64)?),
            Type::U128 => format!("\"{}\"", self.varint(128)?),
            Type::I8 => (self.byte()? as i8).to_string(),
            Type::I16 => self.zigzag(16)?.to_string(),
            Type::I32 => self.zigzag(32)?.to_string(),
            Type::I64 => format!("\"{}\"", self.zigzag(64)?),
            Type::I128 => format!("\"{}\"", self.zigzag(128)?),
            _ => return Err(WriteError::Malformed),
        };
        self.raw(&number);
        Ok(())
    }

    /// What is a string in JSON, except integers.
    fn string(&mut self, ty: &Type) -> Result<(), WriteError> {
        match ty {
            Type::Bytes => {
                let bytes = self.bytes()?;
                self.raw(&format!("\"{}\"", STANDARD.encode(bytes)));
                Ok(())
            }
            Type::SessionId => {
                let mut id = [0; 16];
                id.copy_from_slice(self.take(16)?);
                self.raw(&format!("\"{:032x}\"", u128::from_be_bytes(id)));
                Ok(())
            }
            _ => {
                let text = self.text()?;
                let mut chars = text.chars();
                if *ty == Type::Char && (chars.next().is_none() || chars.next().is_some()) {
                    return Err(WriteError::Malformed);
                }
                self.quoted(text)
            }
        }
    }

    fn map(&mut self, key: &Type, item: &Type, depth: usize) -> Result<(), WriteError> {
        let count = self.count()?;
        let object = *key == Type::String;
        self.raw(if object { "{" } else { "[" });
        for at in 0..count {
            self.comma(at);
            self.raw(if object { "" } else { "[" });
            self.any(key, depth + 1)?;
            self.raw(if object { ":" } else { "," });
            self.any(item, depth + 1)?;
            self.raw(if object { "" } else { "]" });
        }
        self.raw(if object { "}" } else { "]" });
        Ok(())
    }

    fn fields(&mut self, fields: &[Field], depth: usize) -> Result<(), WriteError> {
        self.raw("{");
        for (at, field) in fields.iter().enumerate() {
            self.comma(at);
            self.quoted(&field.name)?;
            self.raw(":");
            self.any(&field.shape, depth + 1)?;
        }
        self.raw("}");
        Ok(())
    }

    fn variant(&mut self, of: &Enum, depth: usize) -> Result<(), WriteError> {
        let number = usize::try_from(self.varint(32)?).map_err(|_| WriteError::Malformed)?;
        let variant = of.variants.get(number).ok_or(WriteError::Malformed)?;
        if variant.fields.is_empty() {
            return self.quoted(&variant.name);
        }
        self.raw("{");
        self.quoted(&variant.name)?;
        self.raw(":");
        self.fields(&variant.fields, depth)?;
        self.raw("}");
        Ok(())
    }

    fn raw(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    fn comma(&mut self, at: usize) {
        if at > 0 {
            self.out.push(b',');
        }
    }

    fn quoted(&mut self, text: &str) -> Result<(), WriteError> {
        serde_json::to_writer(&mut self.out, text).map_err(|_| WriteError::Malformed)
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8], WriteError> {
        let (head, rest) = self.rest.split_at_checked(n).ok_or(WriteError::Malformed)?;
        self.rest = rest;
        Ok(head)
    }

    fn byte(&mut self) -> Result<u8, WriteError> {
        Ok(self.take(1)?[0])
    }

    fn bytes(&mut self) -> Result<&'a [u8], WriteError> {
        let n = usize::try_from(self.varint(64)?).map_err(|_| WriteError::Malformed)?;
        self.take(n)
    }

    fn text(&mut self) -> Result<&'a str, WriteError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| WriteError::Malformed)
    }

    /// The length of a list. Items take at least a byte each, so more than there are bytes is a
    /// lie.
    fn count(&mut self) -> Result<usize, WriteError> {
        let count = usize::try_from(self.varint(64)?).map_err(|_| WriteError::Malformed)?;
        if count > self.rest.len() { Err(WriteError::Malformed) } else { Ok(count) }
    }

    fn varint(&mut self, bits: u32) -> Result<u128, WriteError> {
        let mut number = 0_u128;
        let mut shift = 0;
        loop {
            let byte = self.byte()?;
            let part = u128::from(byte & 0x7f);
            if shift >= bits || (bits - shift < 7 && part >> (bits - shift) != 0) {
                return Err(WriteError::Malformed);
            }
            number |= part << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
            shift += 7;
        }
    }

    fn zigzag(&mut self, bits: u32) -> Result<i128, WriteError> {
        let number = self.varint(bits)?;
        Ok((number >> 1) as i128 ^ -((number & 1) as i128))
    }
}
