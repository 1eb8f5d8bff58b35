//! Unit tests of `values::args`.
use serde_json::json;
use synod_abi::schema::{Enum, Variant};

use super::*;

fn field(name: &str, shape: Type) -> Field {
    Field { name: name.into(), docs: String::new(), shape }
}

fn point(args: Vec<Field>) -> EntryPointSchema {
    EntryPointSchema {
        name: "take".into(),
        docs: String::new(),
        args,
        result: Type::Unit,
        errors: None,
        waits: false,
        signature: 1,
    }
}

fn read(args: Vec<Field>, flags: &str) -> Result<Value, Misfit> {
    let flags: Vec<String> = flags.split_whitespace().map(str::to_owned).collect();
    object(&point(args), &flags).map(Value::Object)
}

#[test]
fn flags_become_values_of_their_types() {
    let mode = Enum {
        name: "Mode".into(),
        docs: String::new(),
        variants: vec![Variant { name: "Shared".into(), docs: String::new(), fields: vec![] }],
    };
    let table = [
        (Type::String, "--x 12", json!("12")),
        (Type::U32, "--x 12", json!(12)),
        (Type::I8, "--x -5", json!(-5)),
        (Type::U64, "--x 18446744073709551615", json!("18446744073709551615")),
        (Type::I128, "--x=-7", json!("-7")),
        (Type::Revision, "--x 3", json!("3")),
        (Type::Bool, "--x", json!(true)),
        (Type::Bool, "--x false", json!(false)),
        (Type::Char, "--x ü", json!("ü")),
        (Type::Bytes, "--x hello", json!("aGVsbG8=")),
        (Type::Bytes, "--x base64:AAE=", json!("AAE=")),
        (Type::Bytes, "--x text:@a", json!("QGE=")),
        (Type::Option(Box::new(Type::U16)), "--x 9", json!(9)),
        (Type::List(Box::new(Type::U8)), "--x 1 --x 2", json!([1, 2])),
        (Type::List(Box::new(Type::U8)), "--x [1,2]", json!([1, 2])),
        (Type::Enum(mode.clone()), "--x Shared", json!("Shared")),
        (Type::Enum(mode), "--x {\"A\":{\"n\":1}}", json!({"A": {"n": 1}})),
        (Type::Tuple(vec![Type::U8, Type::U8]), "--x [1,2]", json!([1, 2])),
    ];
    for (shape, flags, expected) in table {
        let read = read(vec![field("x", shape.clone())], flags);
        assert_eq!(read, Ok(json!({ "x": expected })), "{shape:?} {flags}");
    }
}

#[test]
fn dashes_and_underscores_are_the_same_in_names() {
    let args = || vec![field("retry_ms", Type::U32)];
    for flags in ["--retry-ms 1", "--retry_ms 1"] {
        assert_eq!(read(args(), flags).expect(flags), json!({"retry_ms": 1}));
    }
}

#[test]
fn optional_arguments_may_be_left_out() {
    let args = vec![field("key", Type::String), field("ttl_ms", Type::Option(Box::new(Type::U64)))];
    assert_eq!(read(args, "--key a").expect("good"), json!({"key": "a"}));
}

#[test]
fn errors_name_the_flag_and_list_the_arguments() {
    let args = || vec![field("key", Type::String), field("burst_n", Type::U32)];
    let table = [
        ("--key a", "`take` also needs --burst-n"),
        ("--key a --m 1", "`take` has no argument --m"),
        ("--key a --burst-n 5000000000", "--burst-n 5000000000: expected an integer from 0 to 4294967295"),
        ("--key a --burst-n", "--burst-n needs a value"),
        ("--key a --key b --burst-n 1", "--key is given twice"),
        ("a 1", "`a` is not a flag"),
    ];
    for (flags, expected) in table {
        let misfit = read(args(), flags).expect_err(flags);
        assert!(misfit.message.contains(expected), "{misfit:?}");
        assert!(misfit.expected.contains("--burst-n an integer from 0 to 4294967295"), "{misfit:?}");
    }
}

#[test]
fn a_value_that_is_not_json_is_refused_with_its_type() {
    let pair = vec![field("pair", Type::Tuple(vec![Type::U8, Type::U8]))];
    let misfit = read(pair, "--pair 1,2").expect_err("not JSON");
    assert!(misfit.message.contains("expected JSON of (u8, u8)"), "{misfit:?}");
}
