//! Types in words, for the messages of [`JsonError`](super::JsonError): what was expected, and the
//! names to choose from. Lists are cut after [`LISTED_NAMES`], so a message stays short.
use synod_abi::schema::{Enum, Field, Type, Variant};

/// Most names that an error lists.
const LISTED_NAMES: usize = 16;

/// The end of a sentence that begins with "there" or "its fields": `are a, b`.
pub(super) fn names(fields: &[Field]) -> String {
    if fields.is_empty() {
        return "are none".to_owned();
    }
    let mut list: Vec<&str> = fields.iter().take(LISTED_NAMES).map(|field| field.name.as_str()).collect();
    if fields.len() > LISTED_NAMES {
        list.push("…");
    }
    format!("{} {}", if fields.len() == 1 { "is" } else { "are" }, list.join(", "))
}

/// A variant as JSON, without its values.
pub(super) fn variant_form(variant: &Variant) -> String {
    if variant.fields.is_empty() {
        return format!("{:?}", variant.name);
    }
    let fields: Vec<String> =
        variant.fields.iter().take(LISTED_NAMES).map(|field| format!("{:?}: …", field.name)).collect();
    format!("{{{:?}: {{{}}}}}", variant.name, fields.join(", "))
}

/// The variants of an enum, each as JSON.
pub(super) fn variants(of: &Enum) -> String {
    let mut list: Vec<String> = of.variants.iter().take(LISTED_NAMES).map(variant_form).collect();
    if of.variants.len() > LISTED_NAMES {
        list.push("…".to_owned());
    }
    list.join(" or ")
}

/// What a value of a type looks like in JSON, in words.
pub(super) fn description(ty: &Type) -> String {
    let wide = |least: String, most: String| {
        format!("an integer from {least} to {most}, as a number or a decimal string")
    };
    match ty {
        Type::Unit => "null".to_owned(),
        Type::Bool => "true or false".to_owned(),
        Type::U8 => format!("an integer from 0 to {}", u8::MAX),
        Type::U16 => format!("an integer from 0 to {}", u16::MAX),
        Type::U32 => format!("an integer from 0 to {}", u32::MAX),
        Type::U64 | Type::Token | Type::Time | Type::Revision => wide("0".to_owned(), u64::MAX.to_string()),
        Type::U128 => wide("0".to_owned(), u128::MAX.to_string()),
        Type::I8 => format!("an integer from {} to {}", i8::MIN, i8::MAX),
        Type::I16 => format!("an integer from {} to {}", i16::MIN, i16::MAX),
        Type::I32 => format!("an integer from {} to {}", i32::MIN, i32::MAX),
        Type::I64 => wide(i64::MIN.to_string(), i64::MAX.to_string()),
        Type::I128 => wide(i128::MIN.to_string(), i128::MAX.to_string()),
        Type::Char => "a string of one character".to_owned(),
        Type::String => "a string".to_owned(),
        Type::Bytes => "bytes in base64".to_owned(),
        Type::SessionId => "a session: 32 hexadecimal digits".to_owned(),
        Type::Option(item) => format!("null or {}", description(item)),
        Type::List(_) => "a list".to_owned(),
        Type::Map(key, _) if **key == Type::String => "an object".to_owned(),
        Type::Map(..) => "a list of pairs: [[key, value], …]".to_owned(),
        Type::Tuple(items) => format!("a list of {} items", items.len()),
        Type::Struct(of) => format!("an object; its fields {}", names(&of.fields)),
        Type::Enum(of) => variants(of),
    }
}
