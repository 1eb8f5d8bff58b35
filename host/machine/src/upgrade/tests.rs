//! Each change that an upgrade may and may not make.
use synod_abi::schema::{
    EntryPointSchema, Enum, Errors, Field, Schema, StateField, StateKind, Status, Struct, Type, Variant,
};
use synod_abi::{RecipeName, RecipeRef};

use super::*;

fn field(name: &str, shape: Type) -> Field {
    Field { name: name.into(), docs: String::new(), shape }
}

fn variants(names: &[&str]) -> Enum {
    let variant = |name: &&str| Variant { name: name.to_string(), docs: String::new(), fields: vec![] };
    Enum { name: "E".into(), docs: String::new(), variants: names.iter().map(variant).collect() }
}

fn emits(names: &[&str]) -> Emits {
    Emits { shape: Type::Enum(variants(names)), signature: 0 }
}

fn schema() -> Schema {
    let value = Type::Struct(Struct {
        name: "S".into(),
        docs: String::new(),
        fields: vec![field("kind", Type::Enum(variants(&["A", "B"])))],
    });
    let errors = Errors { shape: variants(&["No"]), codes: vec![(1, Status::NotFound)] };
    let point = EntryPointSchema {
        name: "op".into(),
        docs: String::new(),
        args: vec![field("key", Type::String)],
        result: Type::Option(Box::new(value.clone())),
        errors: Some(errors),
        waits: false,
        signature: 0,
    };
    Schema {
        recipe: RecipeRef { name: RecipeName::new("r").unwrap(), version: 1 },
        docs: String::new(),
        operations: vec![point.clone()],
        queries: vec![EntryPointSchema { name: "look".into(), errors: None, ..point }],
        fields: vec![StateField {
            name: "rows".into(),
            docs: String::new(),
            prefix: 1,
            kind: StateKind::Map,
            key: Type::U32,
            value,
        }],
        hooks: Hooks {
            session_end: true,
            cancel: true,
            timer: Some(Type::Enum(variants(&["A"]))),
            event: true,
        },
        emits: Some(emits(&["A"])),
    }
}

fn changed(change: impl FnOnce(&mut Schema)) -> Result<(), (String, Change)> {
    let mut new = schema();
    change(&mut new);
    check_upgrade(&schema(), &new).map_err(|refused| (refused.name, refused.change))
}

fn refused(name: &str, change: Change) -> Result<(), (String, Change)> {
    Err((name.into(), change))
}

fn value(schema: &mut Schema) -> &mut Struct {
    match &mut schema.fields[0].value {
        Type::Struct(value) => value,
        other => panic!("{other:?}"),
    }
}

#[test]
fn appending_is_allowed() {
    assert_eq!(changed(|_| {}), Ok(()));
    assert_eq!(
        changed(|new| new
            .operations
            .push(EntryPointSchema { name: "more".into(), ..new.operations[0].clone() })),
        Ok(())
    );
    assert_eq!(
        changed(|new| new.fields.insert(0, StateField { prefix: 2, ..new.fields[0].clone() })),
        Ok(())
    );
    assert_eq!(changed(|new| value(new).fields[0].shape = Type::Enum(variants(&["A", "B", "C"]))), Ok(()));
    assert_eq!(
        changed(|new| new.operations[0].args.push(field("more", Type::Option(Box::new(Type::U8))))),
        Ok(())
    );
    assert_eq!(
        changed(|new| {
            new.operations[0].errors = Some(Errors {
                shape: variants(&["No", "Never"]),
                codes: vec![(1, Status::NotFound), (2, Status::Aborted)],
            });
            new.queries[0].errors = new.operations[0].errors.clone();
        }),
        Ok(())
    );
}

#[test]
fn documentation_may_change_and_state_fields_may_be_renamed_under_their_prefix() {
    assert_eq!(
        changed(|new| {
            value(new).docs = "new".into();
            value(new).fields[0].docs = "new".into();
            new.fields[0].name = "table".into();
            new.operations[0].args[0].docs = "new".into();
        }),
        Ok(())
    );
}

#[test]
fn removing_is_refused() {
    assert_eq!(changed(|new| new.fields.clear()), refused("rows", Change::Removed));
    assert_eq!(changed(|new| new.operations.clear()), refused("op", Change::Removed));
    assert_eq!(changed(|new| new.queries.clear()), refused("look", Change::Removed));
    assert_eq!(
        changed(|new| {
            let op = new.operations.remove(0);
            new.queries.push(op);
        }),
        refused("op", Change::Removed)
    );
}

#[test]
fn stored_rows_keep_their_meaning() {
    assert_eq!(changed(|new| new.fields[0].kind = StateKind::Queue), refused("rows", Change::Kind));
    assert_eq!(changed(|new| new.fields[0].key = Type::U64), refused("rows", Change::Key));
    assert_eq!(
        changed(|new| value(new).fields.push(field("more", Type::Option(Box::new(Type::U8))))),
        refused("rows", Change::Value)
    );
    assert_eq!(changed(|new| value(new).fields[0].name = "sort".into()), refused("rows", Change::Value));
    assert_eq!(
        changed(|new| value(new).fields[0].shape = Type::Enum(variants(&["A"]))),
        refused("rows", Change::Value)
    );
    assert_eq!(
        changed(|new| value(new).fields[0].shape = Type::Enum(variants(&["B", "A"]))),
        refused("rows", Change::Value)
    );
}

#[test]
fn callers_keep_working() {
    assert_eq!(
        changed(|new| new.operations[0].args.push(field("more", Type::U8))),
        refused("op", Change::Arguments)
    );
    assert_eq!(changed(|new| new.operations[0].args.clear()), refused("op", Change::Arguments));
    assert_eq!(
        changed(|new| new.operations[0].args[0].shape = Type::Bytes),
        refused("op", Change::Arguments)
    );
    assert_eq!(changed(|new| new.queries[0].result = Type::Unit), refused("look", Change::Result));
    assert_eq!(changed(|new| new.operations[0].errors = None), refused("op", Change::Errors));
    assert_eq!(
        changed(|new| new.operations[0].errors.iter_mut().for_each(|errors| errors.codes[0].0 = 9)),
        refused("op", Change::Errors)
    );
}

#[test]
fn hooks_may_be_added_but_not_taken_away() {
    assert_eq!(changed(|new| new.hooks.session_end = false), refused("on_session_end", Change::Removed));
    assert_eq!(changed(|new| new.hooks.cancel = false), refused("on_cancel", Change::Removed));
    assert_eq!(changed(|new| new.hooks.event = false), refused("on_event", Change::Removed));
    assert_eq!(changed(|new| new.hooks.timer = None), refused("on_timer", Change::Removed));
    assert_eq!(changed(|new| new.hooks.timer = Some(Type::U64)), refused("on_timer", Change::Arguments));
    assert_eq!(changed(|new| new.hooks.timer = Some(Type::Enum(variants(&["A", "B"])))), Ok(()));
    let (mut old, new) = (schema(), schema());
    old.hooks = Hooks::default();
    assert_eq!(check_upgrade(&old, &new), Ok(()));
}

#[test]
fn events_that_were_emitted_stay_readable() {
    assert_eq!(changed(|new| new.emits = None), refused("emits", Change::Removed));
    assert_eq!(changed(|new| new.emits = Some(emits(&["B"]))), refused("emits", Change::Payload));
    assert_eq!(changed(|new| new.emits = Some(emits(&[]))), refused("emits", Change::Payload));
    assert_eq!(changed(|new| new.emits = Some(emits(&["A", "B"]))), Ok(()));
    let (mut old, new) = (schema(), schema());
    old.emits = None;
    assert_eq!(check_upgrade(&old, &new), Ok(()));
}

#[test]
fn whether_an_operation_waits_may_change() {
    assert_eq!(changed(|new| new.operations[0].waits = true), Ok(()));
}

#[test]
fn keys_that_hold_enums_may_not_even_gain_variants() {
    let (mut old, mut new) = (schema(), schema());
    old.fields[0].key = Type::Enum(variants(&["A"]));
    new.fields[0].key = Type::Enum(variants(&["A", "B"]));
    assert_eq!(check_upgrade(&old, &new).unwrap_err().change, Change::Key);
    assert_eq!(check_upgrade(&old, &old), Ok(()));
}

fn noted(change: impl FnOnce(&mut Schema)) -> Vec<(String, Notice)> {
    let mut new = schema();
    change(&mut new);
    assert_eq!(check_upgrade(&schema(), &new), Ok(()));
    upgrade_notes(&schema(), &new).into_iter().map(|note| (note.name, note.notice)).collect()
}

#[test]
fn what_clients_of_the_old_version_notice_is_noted() {
    let note = |name: &str, notice| vec![(name.to_owned(), notice)];
    assert_eq!(noted(|new| new.operations[0].waits = true), note("op", Notice::StartsWaiting));
    let gained = |new: &mut Schema| {
        let Type::Option(result) = &mut new.queries[0].result else { panic!("it is an option") };
        let Type::Struct(result) = &mut **result else { panic!("of a struct") };
        result.fields[0].shape = Type::Enum(variants(&["A", "B", "C"]));
    };
    assert_eq!(noted(gained), note("look", Notice::ResultGains));
    let refuses = |new: &mut Schema| {
        let shape = variants(&["No", "Never"]);
        let codes = vec![(1, Status::NotFound), (2, Status::NotFound)];
        new.operations[0].errors = Some(Errors { shape, codes });
    };
    assert_eq!(noted(refuses), note("op", Notice::ErrorsGain));
    let errors = |new: &mut Schema| new.queries[0].errors = new.operations[0].errors.clone();
    assert_eq!(noted(errors), note("look", Notice::ErrorsGain));
    assert_eq!(noted(|new| new.emits = Some(emits(&["A", "B"]))), note("emits", Notice::EventsGain));
    let unnoticed = |new: &mut Schema| {
        new.docs = "other".into();
        new.operations[0].args.push(field("more", Type::Option(Box::new(Type::U32))));
        new.hooks.timer = Some(Type::Enum(variants(&["A", "B"])));
    };
    assert_eq!(noted(unnoticed), []);
}

#[test]
fn an_operation_that_stops_waiting_and_a_hook_that_is_added_are_noted() {
    let (mut old, new) = (schema(), schema());
    old.operations[0].waits = true;
    old.hooks.session_end = false;
    old.emits = None;
    let notes = upgrade_notes(&old, &new);
    let noted: Vec<_> = notes.iter().map(|note| (note.name.as_str(), note.notice)).collect();
    assert_eq!(noted, [("op", Notice::StopsWaiting), ("on_session_end", Notice::SessionEndAdded)]);
    assert!(notes.iter().all(|note| note.to_string().contains(&note.name)));
}
