//! What a recipe answers, for people: bytes that are text as text, and times as UTC, by the type
//! that the recipe's schema gives. JSON for programs stays as it is.
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value};
use synod_abi::schema::{Enum, Field, Type};

use super::time::utc;

/// `value`, a `ty` as members write it in JSON, for people. What does not fit the type stays as it
/// is.
pub(crate) fn shown(ty: &Type, value: Value) -> Value {
    match (ty, value) {
        (Type::Bytes, Value::String(encoded)) => Value::String(bytes(encoded)),
        (Type::Time, Value::String(ms)) => Value::String(ms.parse().map_or(ms, utc)),
        (Type::Option(item), value) if !value.is_null() => shown(item, value),
        (Type::List(item), Value::Array(items)) => {
            items.into_iter().map(|value| shown(item, value)).collect()
        }
        (Type::Map(_, item), Value::Object(entries)) => {
            entries.into_iter().map(|(key, value)| (key, shown(item, value))).collect()
        }
        (Type::Map(key, item), Value::Array(pairs)) => {
            pairs.into_iter().map(|pair| tuple([&**key, &**item], pair)).collect()
        }
        (Type::Tuple(items), value) => tuple(items, value),
        (Type::Struct(of), Value::Object(object)) => Value::Object(fields(&of.fields, object)),
        (Type::Enum(of), Value::Object(object)) => Value::Object(variant(of, object)),
        (_, value) => value,
    }
}

fn tuple<'a>(types: impl IntoIterator<Item = &'a Type>, value: Value) -> Value {
    let Value::Array(values) = value else { return value };
    let mut types = types.into_iter();
    values.into_iter().map(|value| types.next().map_or(value.clone(), |ty| shown(ty, value))).collect()
}

fn fields(of: &[Field], object: Map<String, Value>) -> Map<String, Value> {
    let field = |(name, value): (String, Value)| match of.iter().find(|field| field.name == name) {
        Some(field) => (name, shown(&field.shape, value)),
        None => (name, value),
    };
    object.into_iter().map(field).collect()
}

fn variant(of: &Enum, object: Map<String, Value>) -> Map<String, Value> {
    let shown = |(name, value): (String, Value)| match (of.variants.iter().find(|it| it.name == name), value)
    {
        (Some(variant), Value::Object(object)) => (name, Value::Object(fields(&variant.fields, object))),
        (_, value) => (name, value),
    };
    object.into_iter().map(shown).collect()
}

/// Bytes as the command line takes them: text, or `base64:…` if they are none; `text:…` for a text
/// that looks otherwise.
fn bytes(encoded: String) -> String {
    let text = BASE64.decode(&encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let is_plain = |text: &String| !text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t'));
    match text.filter(is_plain) {
        None => format!("base64:{encoded}"),
        Some(text) if text.starts_with(['@']) || text.starts_with("base64:") || text.starts_with("text:") => {
            format!("text:{text}")
        }
        Some(text) => text,
    }
}

#[cfg(test)]
mod tests;
