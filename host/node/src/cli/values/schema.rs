//! A recipe's schema as text for people: its operations and queries with their arguments, results
//! and errors, its hooks, and its types.
use std::fmt::Write as _;

use synod_abi::schema::{EntryPointSchema, Enum, Hooks, Schema, Type};

/// Note on an operation that may wait for another call.
pub(crate) const WAITS: &str = "May wait: call it in a session.";

/// `take(key: String, n: u32) -> Taken`.
pub(crate) fn signature(point: &EntryPointSchema) -> String {
    let args = point
        .args
        .iter()
        .map(|field| format!("{}: {}", field.name, type_name(&field.shape)))
        .collect::<Vec<_>>()
        .join(", ");
    match &point.result {
        Type::Unit => format!("{}({args})", point.name),
        result => format!("{}({args}) -> {}", point.name, type_name(result)),
    }
}

/// A type as Rust writes it.
pub(crate) fn type_name(shape: &Type) -> String {
    match shape {
        Type::Unit => "()".into(),
        Type::Bool => "bool".into(),
        Type::U8 => "u8".into(),
        Type::U16 => "u16".into(),
        Type::U32 => "u32".into(),
        Type::U64 => "u64".into(),
        Type::U128 => "u128".into(),
        Type::I8 => "i8".into(),
        Type::I16 => "i16".into(),
        Type::I32 => "i32".into(),
        Type::I64 => "i64".into(),
        Type::I128 => "i128".into(),
        Type::Char => "char".into(),
        Type::String => "String".into(),
        Type::Bytes => "Bytes".into(),
        Type::Token => "Token".into(),
        Type::Time => "Time".into(),
        Type::Revision => "Revision".into(),
        Type::SessionId => "SessionId".into(),
        Type::Option(item) => format!("Option<{}>", type_name(item)),
        Type::List(item) => format!("Vec<{}>", type_name(item)),
        Type::Map(key, value) => format!("Map<{}, {}>", type_name(key), type_name(value)),
        Type::Tuple(items) => format!("({})", items.iter().map(type_name).collect::<Vec<_>>().join(", ")),
        Type::Struct(of) => of.name.clone(),
        Type::Enum(of) => of.name.clone(),
    }
}

/// The whole schema as text.
pub(crate) fn text(schema: &Schema) -> String {
    let mut types = Vec::new();
    let mut out = format!("{}\n", schema.recipe);
    paragraph(&mut out, "  ", &schema.docs);
    for (title, points) in [("operations", &schema.operations), ("queries", &schema.queries)] {
        if points.is_empty() {
            continue;
        }
        let _infallible = writeln!(out, "\n{title}:");
        for point in points {
            let _infallible = writeln!(out, "  {}", signature(point));
            paragraph(&mut out, "      ", &point.docs);
            if point.waits {
                paragraph(&mut out, "      ", WAITS);
            }
            for field in point.args.iter().filter(|field| !field.docs.is_empty()) {
                paragraph(&mut out, "      ", &format!("{}: {}", field.name, field.docs.trim()));
            }
            point.args.iter().for_each(|field| collect(&field.shape, &mut types));
            collect(&point.result, &mut types);
            if let Some(errors) = &point.errors {
                let list = errors
                    .shape
                    .variants
                    .iter()
                    .zip(&errors.codes)
                    .map(|(variant, (code, _))| format!("{} ({code})", variant.name));
                let _infallible = writeln!(
                    out,
                    "      refuses with {}: {}",
                    errors.shape.name,
                    list.collect::<Vec<_>>().join(", ")
                );
                collect(&Type::Enum(errors.shape.clone()), &mut types);
            }
        }
    }
    if schema.hooks.any() {
        let Hooks { session_end, cancel, timer, event } = &schema.hooks;
        timer.iter().for_each(|payload| collect(payload, &mut types));
        let hooks = [
            session_end.then(|| "the end of a session".to_owned()),
            cancel.then(|| "calls that stop waiting".to_owned()),
            timer.as_ref().map(|payload| format!("timers ({})", type_name(payload))),
            event.then(|| "events of the spaces that it is bound to".to_owned()),
        ];
        let _infallible =
            writeln!(out, "\nhandles: {}", hooks.into_iter().flatten().collect::<Vec<_>>().join(", "));
    }
    if let Some(emits) = &schema.emits {
        collect(&emits.shape, &mut types);
        let _infallible = writeln!(out, "\nemits: {}", type_name(&emits.shape));
    }
    if !types.is_empty() {
        out.push_str("\ntypes:\n");
        types.iter().for_each(|shape| definition(&mut out, shape));
    }
    out
}

fn paragraph(out: &mut String, indent: &str, docs: &str) {
    for line in docs.trim().lines() {
        let _infallible = writeln!(out, "{indent}{}", line.trim());
    }
}

/// Adds the named types within `shape`, each once, in the order of their appearance.
fn collect(shape: &Type, types: &mut Vec<Type>) {
    match shape {
        Type::Option(item) | Type::List(item) => collect(item, types),
        Type::Map(key, value) => {
            collect(key, types);
            collect(value, types);
        }
        Type::Tuple(items) => items.iter().for_each(|item| collect(item, types)),
        Type::Struct(of) if !types.contains(shape) => {
            types.push(shape.clone());
            of.fields.iter().for_each(|field| collect(&field.shape, types));
        }
        Type::Enum(of) if !types.contains(shape) => {
            types.push(shape.clone());
            of.variants
                .iter()
                .flat_map(|variant| &variant.fields)
                .for_each(|field| collect(&field.shape, types));
        }
        _ => {}
    }
}

fn definition(out: &mut String, shape: &Type) {
    match shape {
        Type::Struct(of) => {
            let fields = of.fields.iter().map(|field| format!("{}: {}", field.name, type_name(&field.shape)));
            let _infallible = writeln!(out, "  {} {{ {} }}", of.name, fields.collect::<Vec<_>>().join(", "));
            paragraph(out, "      ", &of.docs);
        }
        Type::Enum(of) => enumeration(out, of),
        _ => {}
    }
}

fn enumeration(out: &mut String, of: &Enum) {
    let _infallible = writeln!(out, "  {}", of.name);
    for variant in &of.variants {
        let fields = variant
            .fields
            .iter()
            .map(|field| format!("{}: {}", field.name, type_name(&field.shape)))
            .collect::<Vec<_>>();
        let docs = summary(&variant.docs);
        let separator = if docs.is_empty() { "" } else { "  " };
        let _infallible = match fields.is_empty() {
            true => writeln!(out, "    | {}{separator}{docs}", variant.name),
            false => writeln!(out, "    | {} {{ {} }}{separator}{docs}", variant.name, fields.join(", ")),
        };
    }
}

/// The first sentence of a documentation, on one line.
pub(crate) fn summary(docs: &str) -> String {
    let paragraph =
        docs.trim().split("\n\n").next().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
    match paragraph.find(". ") {
        Some(end) => paragraph[..=end].to_owned(),
        None => paragraph,
    }
}

#[cfg(test)]
mod tests;
