//! Turns `--key api --n 1` into the JSON object of an operation's arguments, by its schema.
//!
//! A flag is an argument's name; `-` and `_` are the same. The argument's type decides how its
//! value is written: numbers, strings and bytes literally, `--flag` alone for true, a repeated flag
//! for a list, JSON for everything with parts. Names and ranges are checked here, where the message
//! can name the flag; the member checks again.
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value};
use synod_abi::schema::{EntryPointSchema, Field, Type};

use super::schema::{signature, summary, type_name};

/// Why flags are not the arguments of an operation or query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Misfit {
    /// What is wrong.
    pub(crate) message: String,
    /// The arguments that it takes.
    pub(crate) expected: String,
}

/// The arguments in `flags` as a JSON object.
pub(crate) fn object(point: &EntryPointSchema, flags: &[String]) -> Result<Map<String, Value>, Misfit> {
    let wrong = |message: String| Misfit { message, expected: listing(point) };
    let mut object = Map::new();
    let mut words = flags.iter().peekable();
    while let Some(word) = words.next() {
        let Some(flag) = word.strip_prefix("--") else {
            return Err(wrong(format!(
                "`{word}` is not a flag: arguments of `{}` are written --name value, or all as one JSON \
                    object",
                point.name
            )));
        };
        let (name, inline) = match flag.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (flag, None),
        };
        let field =
            find(point, name).ok_or_else(|| wrong(format!("`{}` has no argument --{name}", point.name)))?;
        let text = match inline {
            Some(text) => text,
            None if is_bool(&field.shape) && words.peek().is_none_or(|next| next.starts_with("--")) => {
                "true".to_owned()
            }
            None => words
                .next()
                .cloned()
                .ok_or_else(|| wrong(format!("--{name} needs a value: {}", describe(&field.shape))))?,
        };
        let bad = |why: String| wrong(format!("--{name} {text}: {why}"));
        match (object.get_mut(&field.name), element(&field.shape)) {
            (Some(Value::Array(list)), Some(item)) => list.push(value(item, &text).map_err(bad)?),
            (Some(_), _) => return Err(wrong(format!("--{name} is given twice"))),
            (None, Some(item)) if !text.trim_start().starts_with('[') => {
                let first = value(item, &text).map_err(bad)?;
                object.insert(field.name.clone(), Value::Array(vec![first]));
            }
            (None, _) => {
                let value = value(&field.shape, &text).map_err(bad)?;
                object.insert(field.name.clone(), value);
            }
        }
    }
    let missing: Vec<_> = point
        .args
        .iter()
        .filter(|field| !object.contains_key(&field.name) && !matches!(field.shape, Type::Option(_)))
        .map(|field| format!("--{}", field.name.replace('_', "-")))
        .collect();
    if missing.is_empty() {
        Ok(object)
    } else {
        Err(wrong(format!("`{}` also needs {}", point.name, missing.join(", "))))
    }
}

/// Whether the word after the flag `--name` is its value. That of a boolean may be left out, and
/// then another flag follows.
pub(crate) fn takes_a_value(point: &EntryPointSchema, name: &str) -> bool {
    find(point, name).is_none_or(|field| !is_bool(&field.shape))
}

/// Whether help is asked for: by a flag, not by what is a value.
pub(crate) fn asks_for_help(point: &EntryPointSchema, flags: &[String]) -> bool {
    let mut words = flags.iter();
    while let Some(word) = words.next() {
        match word.strip_prefix("--") {
            _ if word == "-h" || word == "--help" => return true,
            Some(name) if !name.contains('=') && takes_a_value(point, name) => drop(words.next()),
            _ => {}
        }
    }
    false
}

fn find<'a>(point: &'a EntryPointSchema, flag: &str) -> Option<&'a Field> {
    let exact = point.args.iter().find(|field| field.name == flag);
    exact.or_else(|| point.args.iter().find(|field| field.name.replace('_', "-") == flag.replace('_', "-")))
}

fn inner(shape: &Type) -> &Type {
    match shape {
        Type::Option(item) => item,
        other => other,
    }
}

fn is_bool(shape: &Type) -> bool {
    matches!(inner(shape), Type::Bool)
}

fn element(shape: &Type) -> Option<&Type> {
    match inner(shape) {
        Type::List(item) => Some(item),
        _ => None,
    }
}

/// What the arguments are, for the next step of an error.
fn listing(point: &EntryPointSchema) -> String {
    let mut text = signature(point);
    for field in &point.args {
        let _infallible = write!(text, "\n    --{} {}", field.name.replace('_', "-"), describe(&field.shape));
        if !field.docs.is_empty() {
            let _infallible = write!(text, "  {}", summary(&field.docs));
        }
    }
    text
}

/// What a value of `shape` looks like on the command line.
fn describe(shape: &Type) -> String {
    match shape {
        Type::Option(item) => format!("{} (optional)", describe(item)),
        Type::Bool => "true or false".to_owned(),
        Type::Bytes => "text, base64:…, or @FILE".to_owned(),
        Type::SessionId => "32 hexadecimal digits".to_owned(),
        Type::Char => "one character".to_owned(),
        Type::String => "text".to_owned(),
        Type::List(item) => format!("{}, repeated; or a JSON list", describe(item)),
        Type::Enum(of) if of.variants.iter().all(|variant| variant.fields.is_empty()) => {
            of.variants.iter().map(|variant| variant.name.as_str()).collect::<Vec<_>>().join(" | ")
        }
        Type::Map(..) | Type::Tuple(_) | Type::Struct(_) | Type::Enum(_) => {
            format!("JSON of {}", type_name(shape))
        }
        Type::Unit => "null".to_owned(),
        number => match range(number) {
            Some((least, most)) => format!("an integer from {least} to {most}"),
            None => type_name(number),
        },
    }
}

/// Least and largest value of an integer type, as text.
fn range(shape: &Type) -> Option<(String, String)> {
    macro_rules! of {
        ($type:ty) => {
            Some((<$type>::MIN.to_string(), <$type>::MAX.to_string()))
        };
    }
    match shape {
        Type::U8 => of!(u8),
        Type::U16 => of!(u16),
        Type::U32 => of!(u32),
        Type::U64 | Type::Token | Type::Time | Type::Revision => of!(u64),
        Type::U128 => of!(u128),
        Type::I8 => of!(i8),
        Type::I16 => of!(i16),
        Type::I32 => of!(i32),
        Type::I64 => of!(i64),
        Type::I128 => of!(i128),
        _ => None,
    }
}

fn value(shape: &Type, text: &str) -> Result<Value, String> {
    let expected = || format!("expected {}", describe(shape));
    match shape {
        Type::Option(item) => value(item, text),
        Type::String => Ok(Value::String(text.to_owned())),
        Type::Char if text.chars().count() == 1 => Ok(Value::String(text.to_owned())),
        Type::SessionId if text.len() == 32 && text.chars().all(|c| c.is_ascii_hexdigit()) => {
            Ok(Value::String(text.to_owned()))
        }
        Type::Char | Type::SessionId => Err(expected()),
        Type::Bool => text.parse().map(Value::Bool).map_err(|_| expected()),
        Type::Bytes => bytes(text).map(|bytes| Value::String(BASE64.encode(bytes))),
        Type::Enum(of)
            if of.variants.iter().any(|variant| variant.name == text && variant.fields.is_empty()) =>
        {
            Ok(Value::String(text.to_owned()))
        }
        Type::Enum(_) | Type::Struct(_) | Type::Tuple(_) | Type::Map(..) | Type::List(_) | Type::Unit => {
            serde_json::from_str(text)
                .map_err(|error| format!("{}, and this is not JSON: {error}", expected()))
        }
        number => integer(number, text).ok_or_else(expected),
    }
}

/// An integer in range: a JSON number where every reader keeps it, otherwise a decimal string.
fn integer(shape: &Type, text: &str) -> Option<Value> {
    macro_rules! parse {
        ($type:ty) => {
            text.parse::<$type>().ok().map(|n| n.to_string())
        };
    }
    let (digits, wide) = match shape {
        Type::U8 => (parse!(u8), false),
        Type::U16 => (parse!(u16), false),
        Type::U32 => (parse!(u32), false),
        Type::I8 => (parse!(i8), false),
        Type::I16 => (parse!(i16), false),
        Type::I32 => (parse!(i32), false),
        Type::U64 | Type::Token | Type::Time | Type::Revision => (parse!(u64), true),
        Type::I64 => (parse!(i64), true),
        Type::U128 => (parse!(u128), true),
        Type::I128 => (parse!(i128), true),
        _ => (None, false),
    };
    let digits = digits?;
    if wide { Some(Value::String(digits)) } else { serde_json::from_str(&digits).ok() }
}

/// Bytes as they are written on the command line: text, `base64:…`, `@FILE`, or `text:…` for a text
/// that looks like one of these.
pub(crate) fn bytes(text: &str) -> Result<Vec<u8>, String> {
    if let Some(encoded) = text.strip_prefix("base64:") {
        return BASE64.decode(encoded).map_err(|error| format!("this is not base64: {error}"));
    }
    match text.strip_prefix('@') {
        Some(path) => std::fs::read(path).map_err(|error| format!("cannot read {path}: {error}")),
        None => Ok(text.strip_prefix("text:").unwrap_or(text).as_bytes().to_vec()),
    }
}

#[cfg(test)]
mod tests;
