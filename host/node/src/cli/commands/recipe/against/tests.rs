//! Unit tests of `commands::recipe::against`.
use super::*;
use synod_abi::schema::{Enum, Hooks, Type, Variant};
use synod_abi::{RecipeName, RecipeRef};

fn point(name: &str, result: Type, waits: bool, signature: u64) -> EntryPointSchema {
    let (name, docs) = (name.to_owned(), String::new());
    EntryPointSchema { name, docs, args: Vec::new(), result, errors: None, waits, signature }
}

/// An enum of so many variants.
fn variants(count: u8) -> Type {
    let variant = |n: u8| Variant { name: format!("V{n}"), docs: String::new(), fields: Vec::new() };
    Type::Enum(Enum { name: "Far".into(), docs: String::new(), variants: (0..count).map(variant).collect() })
}

fn schema(version: u32, operation: EntryPointSchema, query: EntryPointSchema) -> Schema {
    Schema {
        recipe: RecipeRef { name: RecipeName::new("jobs").expect("it is a name"), version },
        docs: String::new(),
        operations: vec![operation],
        queries: vec![query],
        fields: Vec::new(),
        hooks: Hooks::default(),
        emits: None,
    }
}

fn one() -> Schema {
    schema(1, point("take", Type::U32, false, 7), point("far", variants(1), false, 8))
}

fn two() -> Schema {
    schema(2, point("take", Type::U32, true, 7), point("far", variants(2), false, 9))
}

#[test]
fn what_clients_notice_of_an_upgrade_is_listed() {
    let (old, new) = (one(), two());
    let notes = notes(&old, &new).expect("it may be upgraded");
    let names: Vec<_> = notes.iter().map(|note| note.name.as_str()).collect();
    assert_eq!(names, ["take", "far"]);
    let text = text(&old, &notes);
    assert!(text.starts_with("spaces of jobs@1 can be upgraded\n  note: `take` may wait now"), "{text}");
    assert_eq!(json(&old, &notes)["notes"][1]["name"], "far");
}

#[test]
fn an_upgrade_that_would_be_refused_is_refused() {
    let (old, new) = (one(), two());
    let refused = |old: &Schema, new: &Schema| notes(old, new).expect_err("it would be refused");
    assert_eq!(refused(&new, &new).exit, Exit::Rejected);
    assert!(refused(&new, &old).message.contains("jobs@1 is not newer than jobs@2"));
    let mut less = new.clone();
    less.queries.clear();
    assert!(refused(&old, &less).message.contains("`far` is gone"));
    less.recipe.name = RecipeName::new("other").expect("it is a name");
    assert_eq!(refused(&old, &less).exit, Exit::Usage);
}

#[test]
fn calls_that_no_installed_version_knows_are_found() {
    assert_eq!(refused_calls(&one(), &[two()]), ["far"], "its result has another type");
    assert!(refused_calls(&one(), &[two(), one()]).is_empty());
    assert_eq!(refused_calls(&one(), &[]), ["take", "far"]);
}
