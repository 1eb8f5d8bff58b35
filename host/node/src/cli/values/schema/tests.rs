//! Unit tests of `values::schema`.
use super::*;
use synod_abi::schema::{Emits, Errors, Field, Status, Struct, Variant};
use synod_abi::{RecipeName, RecipeRef};

#[test]
fn a_recipe_is_shown_with_operations_errors_and_types() {
    let taken = Type::Struct(Struct {
        name: "Taken".into(),
        docs: String::new(),
        fields: vec![arg("left", Type::U32)],
    });
    let limited = Variant {
        name: "Limited".into(),
        docs: "Try later.".into(),
        fields: vec![arg("retry_ms", Type::U64)],
    };
    let errors = Errors {
        shape: Enum { name: "RateError".into(), docs: String::new(), variants: vec![limited] },
        codes: vec![(2, Status::ResourceExhausted)],
    };
    let take = EntryPointSchema {
        name: "take".into(),
        docs: "Takes `n`.".into(),
        args: vec![arg("key", Type::String), arg("n", Type::Option(Box::new(Type::U32)))],
        result: taken,
        errors: Some(errors),
        waits: true,
        signature: 1,
    };
    let hooks = Hooks { session_end: true, cancel: false, timer: Some(Type::U64), event: true };
    let change = Type::Struct(Struct {
        name: "Change".into(),
        docs: String::new(),
        fields: vec![arg("left", Type::U32)],
    });
    let emits = Some(Emits { shape: change, signature: 9 });
    let recipe = RecipeRef { name: RecipeName::new("rate-limit").expect("a name"), version: 1 };
    let schema = Schema {
        recipe,
        docs: "A bucket.".into(),
        operations: vec![take],
        queries: vec![],
        fields: vec![],
        hooks,
        emits,
    };
    let expected = "rate-limit@1\n  A bucket.\n\n\
        operations:\n  take(key: String, n: Option<u32>) -> Taken\n      Takes `n`.\n      \
        May wait: call it in a session.\n      refuses with RateError: Limited (2)\n\n\
        handles: the end of a session, timers (u64), events of the spaces that it is bound to\n\n\
        emits: Change\n\n\
        types:\n  Taken { left: u32 }\n  RateError\n    | Limited { retry_ms: u64 }  Try later.\n  \
        Change { left: u32 }\n";
    assert_eq!(text(&schema), expected);
}

fn arg(name: &str, shape: Type) -> Field {
    Field { name: name.into(), docs: String::new(), shape }
}

#[test]
fn a_summary_is_one_sentence_on_one_line() {
    assert_eq!(summary(" Takes `n`\n tokens. All or none.\n\nMore."), "Takes `n` tokens.");
    assert_eq!(summary("No full stop\n\nMore."), "No full stop");
    assert_eq!(summary(""), "");
}
