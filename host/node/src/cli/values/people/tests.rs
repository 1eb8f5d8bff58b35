//! Unit tests of `values::people`.
use serde_json::json;
use synod_abi::schema::{Struct, Variant};

use super::*;

fn field(name: &str, shape: Type) -> Field {
    Field { name: name.to_owned(), docs: String::new(), shape }
}

fn of(ty: &Type, value: Value) -> Value {
    shown(ty, value)
}

#[test]
fn bytes_that_are_text_are_shown_as_the_flags_take_them() {
    let table = [
        (&b"hello\n"[..], "hello\n"),
        ("größer".as_bytes(), "größer"),
        (b"", ""),
        (b"@a", "text:@a"),
        (b"base64:AAE=", "text:base64:AAE="),
        (b"text:a", "text:text:a"),
        (b"\x00\x01", "base64:AAE="),
        (b"\x1b[31m", "base64:G1szMW0="),
        (b"\xff", "base64:/w=="),
    ];
    for (bytes, text) in table {
        assert_eq!(of(&Type::Bytes, json!(BASE64.encode(bytes))), json!(text));
        if let Ok(taken) = super::super::args::bytes(text) {
            assert_eq!(taken, bytes, "{text} is taken back");
        }
    }
}

#[test]
fn what_is_inside_of_others_is_shown_too() {
    let held = Struct {
        name: "Held".into(),
        docs: String::new(),
        fields: vec![field("since", Type::Time), field("n", Type::U64)],
    };
    let choice = Enum {
        name: "Choice".into(),
        docs: String::new(),
        variants: vec![
            Variant { name: "None".into(), docs: String::new(), fields: Vec::new() },
            Variant {
                name: "Some".into(),
                docs: String::new(),
                fields: vec![field("value", Type::Bytes), field("held", Type::Struct(held.clone()))],
            },
        ],
    };
    let time = "1970-01-01T00:00:01.000Z";
    let held_json = json!({"since": "1000", "n": "1000"});
    let held_shown = json!({"since": time, "n": "1000"});
    let boxed = Box::new;
    let table = [
        (Type::Struct(held.clone()), held_json.clone(), held_shown.clone()),
        (Type::Option(boxed(Type::Time)), json!("1000"), json!(time)),
        (Type::Option(boxed(Type::Time)), json!(null), json!(null)),
        (Type::List(boxed(Type::Bytes)), json!(["YQ==", "Yg=="]), json!(["a", "b"])),
        (Type::Map(boxed(Type::String), boxed(Type::Bytes)), json!({"k": "YQ=="}), json!({"k": "a"})),
        (Type::Map(boxed(Type::Time), boxed(Type::Bytes)), json!([["1000", "YQ=="]]), json!([[time, "a"]])),
        (Type::Tuple(vec![Type::String, Type::Bytes]), json!(["YQ==", "YQ=="]), json!(["YQ==", "a"])),
        (Type::Enum(choice.clone()), json!("None"), json!("None")),
        (
            Type::Enum(choice),
            json!({"Some": {"value": "YQ==", "held": held_json}}),
            json!({"Some": {"value": "a", "held": held_shown}}),
        ),
    ];
    for (ty, value, text) in table {
        assert_eq!(of(&ty, value), text);
    }
}

#[test]
fn what_does_not_fit_its_type_stays_as_it_is() {
    let table = [
        (Type::Time, json!("soon")),
        (Type::Time, json!(7)),
        (Type::Bytes, json!(7)),
        (Type::Tuple(vec![Type::Bytes]), json!([7, 8])),
        (Type::List(Box::new(Type::Bytes)), json!({"a": 1})),
    ];
    for (ty, value) in table {
        assert_eq!(of(&ty, value.clone()), value);
    }
    assert_eq!(of(&Type::Bytes, json!("not base64!")), json!("base64:not base64!"));
}
