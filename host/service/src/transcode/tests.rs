//! JSON and postcard: by example, against real serde types, and with random types, bytes and JSON.
use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use synod_abi::schema::{Enum, Errors, Field, Status, Struct, Type, Variant};
use synod_abi::{Blob, SessionId, Time, Token, encode};

use super::*;

fn field(name: &str, shape: Type) -> Field {
    Field { name: name.into(), docs: String::new(), shape }
}

fn limit() -> Type {
    Type::Struct(Struct {
        name: "Limit".into(),
        docs: String::new(),
        fields: vec![field("burst", Type::U32), field("note", Type::Option(Box::new(Type::String)))],
    })
}

fn choice() -> Enum {
    let variant = |name: &str, fields| Variant { name: name.into(), docs: String::new(), fields };
    Enum {
        name: "Choice".into(),
        docs: String::new(),
        variants: vec![
            variant("Plain", vec![]),
            variant("Named", vec![field("at", Type::Time)]),
            variant("One", vec![field("0", Type::U8)]),
        ],
    }
}

fn entry_point() -> EntryPointSchema {
    EntryPointSchema {
        name: "configure".into(),
        docs: String::new(),
        args: vec![
            field("key", Type::String),
            field("limit", limit()),
            field("ttl", Type::Option(Box::new(Type::U64))),
        ],
        result: Type::Unit,
        errors: None,
        waits: false,
        signature: 0,
    }
}

fn message(ty: &Type, text: &str) -> String {
    from_json(ty, text).expect_err("a mistake").to_string()
}

fn map(key: Type, value: Type) -> Type {
    Type::Map(Box::new(key), Box::new(value))
}

fn list(item: Type) -> Type {
    Type::List(Box::new(item))
}

#[test]
fn arguments_are_named_and_absent_options_are_none() {
    let point = entry_point();
    let bytes = arguments_from_json(&point, r#"{"limit": {"burst": 3}, "key": "api"}"#).expect("arguments");
    assert_eq!(bytes, encode(&("api", (3_u32, None::<String>), None::<u64>)));
    let bytes =
        arguments_from_json(&point, r#"{"limit": {"burst": 3, "note": "x"}, "key": "api", "ttl": "9"}"#)
            .expect("arguments");
    assert_eq!(bytes, encode(&("api", (3_u32, Some("x")), Some(9_u64))));
    let none = EntryPointSchema { args: vec![], ..point };
    for text in ["", " ", "{}", "null"] {
        assert_eq!(arguments_from_json(&none, text), Ok(vec![]));
    }
}

#[test]
fn mistakes_are_told_with_path_and_expectation() {
    let point = entry_point();
    let told = |text: &str| arguments_from_json(&point, text).expect_err("a mistake").to_string();
    assert_eq!(
        told(r#"{"key": "a", "limit": {"burst": 4294967296}}"#),
        "$.limit.burst: expected an integer from 0 to 4294967295"
    );
    assert_eq!(
        told(r#"{"key": "a", "limit": {"burst": 1.5}}"#),
        "$.limit.burst: expected an integer from 0 to 4294967295"
    );
    assert_eq!(
        told(r#"{"key": "a", "limit": {"burst": true}}"#),
        "$.limit.burst: expected an integer from 0 to 4294967295, not a boolean"
    );
    assert_eq!(
        told(r#"{"key": "a", "limit": {}}"#),
        "$.limit.burst: the field is missing: expected an integer from 0 to 4294967295"
    );
    assert_eq!(
        told(r#"{"key": "a", "limit": {"bursts": 1}}"#),
        "$.limit.bursts: unknown field; there are burst, note"
    );
    assert_eq!(told(r#"{"key": 1, "limit": {"burst": 1}}"#), "$.key: expected a string, not an integer");
    assert_eq!(
        told(r#"{"key": "a", "key": "b", "limit": {"burst": 1}}"#),
        "$.key: the argument is given twice"
    );
    assert_eq!(told(r#"{"limit": {"burst": 1}}"#), "$.key: the argument is missing: expected a string");
    assert_eq!(told(r#"{"what is": 1}"#), r#"$["what is"]: unknown argument; there are key, limit, ttl"#);
    assert_eq!(told("[]"), "$: expected an object of arguments, not a list; there are key, limit, ttl");
    assert!(told("{").starts_with("$: not JSON: "));
}

#[test]
fn wide_integers_are_strings_and_lose_nothing() {
    for (ty, text) in [
        (Type::U64, u64::MAX.to_string()),
        (Type::I64, i64::MIN.to_string()),
        (Type::U128, u128::MAX.to_string()),
        (Type::I128, i128::MIN.to_string()),
        (Type::I128, i128::MAX.to_string()),
        (Type::Token, "812".into()),
        (Type::Revision, "0".into()),
    ] {
        let quoted = format!("\"{text}\"");
        let bytes = from_json(&ty, &quoted).expect("a number");
        assert_eq!(to_json(&ty, &bytes), Ok(quoted));
    }
    assert_eq!(from_json(&Type::U64, &u64::MAX.to_string()), Ok(encode(&u64::MAX)));
    assert_eq!(from_json(&Type::I64, "-5"), Ok(encode(&-5_i64)));
    for text in
        ["\"+1\"", "\"\"", "\" 1\"", "\"0x1\"", "\"1.0\"", "\"18446744073709551616\"", "-1", "1e3", "\"-1\""]
    {
        let told = message(&Type::U64, text);
        assert_eq!(
            told, "$: expected an integer from 0 to 18446744073709551615, as a number or a decimal string",
            "{text}"
        );
    }
    assert_eq!(message(&Type::U32, "\"1\""), "$: expected an integer from 0 to 4294967295");
}

#[test]
fn variants_are_strings_or_objects_of_their_fields() {
    let ty = Type::Enum(choice());
    for (text, bytes) in [
        ("\"Plain\"", vec![0]),
        ("{\"Named\":{\"at\":\"7\"}}", vec![1, 7]),
        ("{\"One\":{\"0\":5}}", vec![2, 5]),
    ] {
        assert_eq!(from_json(&ty, text), Ok(bytes.clone()));
        assert_eq!(to_json(&ty, &bytes), Ok(text.to_owned()));
    }
    let forms = r#""Plain" or {"Named": {"at": …}} or {"One": {"0": …}}"#;
    assert_eq!(message(&ty, "\"Other\""), format!("$: unknown variant \"Other\"; expected {forms}"));
    assert_eq!(message(&ty, "\"Named\""), r#"$: the variant has content: expected {"Named": {"at": …}}"#);
    assert_eq!(message(&ty, "{\"Plain\":{}}"), r#"$: the variant has no content: expected "Plain""#);
    assert_eq!(message(&ty, "{\"One\":5}"), r#"$.One: expected {"One": {"0": …}}, not an integer"#);
    assert_eq!(message(&ty, "{}"), format!("$: expected {forms}"));
    assert_eq!(message(&ty, "3"), format!("$: expected {forms}, not an integer"));
    assert_eq!(to_json(&ty, &[3]), Err(WriteError::Malformed));
}

#[test]
fn a_business_error_is_its_variant() {
    let errors = Errors {
        shape: choice(),
        codes: vec![(1, Status::NotFound), (2, Status::Aborted), (3, Status::Aborted)],
    };
    assert_eq!(error_to_json(&errors, &[1, 9]), Ok("{\"Named\":{\"at\":\"9\"}}".to_owned()));
    assert_eq!(error_to_json(&errors, &[1]), Err(WriteError::Malformed));
    assert_eq!(error_to_json(&errors, &[0, 0]), Err(WriteError::Malformed));
}

#[test]
fn maps_are_objects_or_pairs_and_keys_are_given_once() {
    let labels = map(Type::String, Type::U8);
    assert_eq!(
        from_json(&labels, r#"{"a":1,"b c":2}"#),
        Ok(encode(&BTreeMap::from([("a", 1_u8), ("b c", 2)])))
    );
    assert_eq!(message(&labels, r#"{"a":1,"a":2}"#), "$.a: the key is given twice");
    assert_eq!(message(&labels, r#"{"b c":256}"#), "$[\"b c\"]: expected an integer from 0 to 255");
    let pairs = map(Type::U64, list(Type::Bool));
    let text = r#"[["7",[true,false]],["8",[]]]"#;
    let bytes = from_json(&pairs, text).expect("pairs");
    assert_eq!(bytes, encode(&BTreeMap::from([(7_u64, vec![true, false]), (8, vec![])])));
    assert_eq!(to_json(&pairs, &bytes), Ok(text.to_owned()));
    assert_eq!(message(&pairs, "[[1]]"), "$[0]: expected a pair: [key, value]");
    assert_eq!(message(&pairs, "[[1,[2]]]"), "$[0][1][0]: expected true or false, not an integer");
    assert_eq!(message(&pairs, "{}"), "$: expected a list of pairs: [[key, value], …], not an object");
}

#[derive(Serialize, Deserialize, Debug, PartialEq)]
struct Everything {
    bytes: Blob,
    session: SessionId,
    letter: char,
    small: i8,
    middle: i16,
    pair: (u16, i32),
    token: Token,
    when: Option<Time>,
    nothing: (),
    wide: i128,
}

#[test]
fn values_of_every_kind_have_the_bytes_that_serde_gives_them() {
    let value = Everything {
        bytes: Blob(vec![0, 255, 7]),
        session: SessionId([0xab; 16]),
        letter: 'é',
        small: -128,
        middle: -300,
        pair: (65_535, i32::MIN),
        token: Token(812),
        when: Some(Time(1)),
        nothing: (),
        wide: -170_141_183_460_469_231_731_687_303_715_884_105_728,
    };
    let ty = Type::Struct(Struct {
        name: "Everything".into(),
        docs: String::new(),
        fields: vec![
            field("bytes", Type::Bytes),
            field("session", Type::SessionId),
            field("letter", Type::Char),
            field("small", Type::I8),
            field("middle", Type::I16),
            field("pair", Type::Tuple(vec![Type::U16, Type::I32])),
            field("token", Type::Token),
            field("when", Type::Option(Box::new(Type::Time))),
            field("nothing", Type::Unit),
            field("wide", Type::I128),
        ],
    });
    let text = to_json(&ty, &encode(&value)).expect("JSON");
    assert_eq!(
        text,
        format!(
            "{{\"bytes\":\"AP8H\",\"session\":\"{}\",\"letter\":\"é\",\"small\":-128,\"middle\":-300,\
             \"pair\":[65535,-2147483648],\"token\":\"812\",\"when\":\"1\",\"nothing\":null,\
             \"wide\":\"-170141183460469231731687303715884105728\"}}",
            "ab".repeat(16)
        )
    );
    assert_eq!(from_json(&ty, &text), Ok(encode(&value)));
    assert_eq!(message(&Type::SessionId, "\"abc\""), "$: expected a session: 32 hexadecimal digits");
    assert_eq!(message(&Type::Bytes, "\"?\""), "$: expected bytes in base64, such as \"aGk=\"");
    assert_eq!(message(&Type::Char, "\"ab\""), "$: expected a string of one character");
    assert_eq!(from_json(&Type::Bytes, "\"aGk\""), Ok(encode(&Blob::from("hi"))));
}

#[test]
fn a_few_bytes_cannot_claim_many_items() {
    let mut bytes = encode(&u64::from(u32::MAX));
    bytes.push(0);
    for item in [Type::Unit, Type::U8, list(Type::Unit)] {
        assert_eq!(to_json(&list(item), &bytes), Err(WriteError::Malformed));
    }
    let wide = Type::Struct(Struct {
        name: "Wide".into(),
        docs: String::new(),
        fields: (0..2_000)
            .map(|at| field(&format!("f{at}"), if at == 0 { Type::U8 } else { Type::Unit }))
            .collect(),
    });
    let many = encode(&vec![0_u8; 1_000_000]);
    assert_eq!(to_json(&list(wide), &many), Err(WriteError::TooLarge));
}

#[test]
fn arguments_stop_growing_at_their_limit() {
    let text = format!("{{\"key\":\"{}\",\"limit\":{{\"burst\":1}}}}", "x".repeat(limits::ARGS_BYTES));
    let error = arguments_from_json(&entry_point(), &text).expect_err("too long");
    assert_eq!(error.path, "$.key");
    assert!(error.message.contains("524288"), "{error}");
}

#[test]
fn types_nested_too_deep_are_refused_in_both_directions() {
    let deep = (0..100).fold(Type::U8, |ty, _| list(ty));
    let text = format!("{}{}", "[".repeat(100), "]".repeat(100));
    assert!(from_json(&deep, &text).is_err());
    assert_eq!(to_json(&deep, &[1; 100]), Err(WriteError::Malformed));
    assert!(message(&Type::U8, &"[".repeat(100_000)).starts_with("$: not JSON"));
}

fn plain() -> impl Strategy<Value = Type> {
    prop::sample::select(vec![
        Type::Bool,
        Type::U8,
        Type::U16,
        Type::U32,
        Type::U64,
        Type::U128,
        Type::I8,
        Type::I16,
        Type::I32,
        Type::I64,
        Type::I128,
        Type::Char,
        Type::String,
        Type::Bytes,
        Type::Token,
        Type::Time,
        Type::Revision,
        Type::SessionId,
    ])
}

fn named(shapes: Vec<Type>) -> Vec<Field> {
    shapes.into_iter().enumerate().map(|(at, shape)| field(&format!("field_{at}"), shape)).collect()
}

/// Types as the SDK makes them: no option in an option, no list of values without content.
fn types() -> impl Strategy<Value = Type> {
    plain().prop_recursive(5, 40, 4, |inner| {
        let some = prop::collection::vec(inner.clone(), 1..4);
        prop_oneof![
            inner.clone().prop_map(|item| match item {
                Type::Option(_) => item,
                item => Type::Option(Box::new(item)),
            }),
            inner.clone().prop_map(list),
            (plain(), inner.clone()).prop_map(|(key, value)| map(key, value)),
            some.clone().prop_map(|mut items| {
                items.push(Type::U8);
                Type::Tuple(items)
            }),
            some.clone().prop_map(|items| Type::Struct(Struct {
                name: "S".into(),
                docs: String::new(),
                fields: named(items)
            })),
            prop::collection::vec(prop::collection::vec(inner, 0..3), 1..4).prop_map(|variants| {
                let variant = |(at, items)| Variant {
                    name: format!("V{at}"),
                    docs: String::new(),
                    fields: named(items),
                };
                Type::Enum(Enum {
                    name: "E".into(),
                    docs: String::new(),
                    variants: variants.into_iter().enumerate().map(variant).collect(),
                })
            }),
        ]
    })
}

/// The postcard of some value of `ty`, chosen by `seed`.
fn bytes_of(ty: &Type, seed: &mut u64, out: &mut Vec<u8>) {
    let mut next = || {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *seed >> 33
    };
    let wide =
        |bits: u64| u128::from(bits).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835) >> (bits % 100);
    let n = next();
    let count = (n % 3) as usize;
    match ty {
        Type::Unit => {}
        Type::Bool => out.push((n % 2) as u8),
        Type::U8 | Type::I8 => out.push(n as u8),
        Type::U16 => out.extend(encode(&(n as u16))),
        Type::U32 => out.extend(encode(&(n as u32))),
        Type::U64 | Type::Token | Type::Time | Type::Revision => out.extend(encode(&(wide(n) as u64))),
        Type::U128 => out.extend(encode(&wide(n))),
        Type::I16 => out.extend(encode(&(n as i16))),
        Type::I32 => out.extend(encode(&(n as i32))),
        Type::I64 => out.extend(encode(&(wide(n) as i64))),
        Type::I128 => out.extend(encode(&(wide(n) as i128))),
        Type::Char => out.extend(encode(&['a', 'ü', '\u{0}', '"', '🦀'][n as usize % 5])),
        Type::String => out.extend(encode(["", "plain", "\"quoted\" \\ \n", "🦀ü\u{7f}"][n as usize % 4])),
        Type::Bytes => out.extend(encode(&Blob(n.to_le_bytes()[..count].to_vec()))),
        Type::SessionId => out.extend(wide(n).to_be_bytes()),
        Type::Option(item) => {
            out.push((n % 2) as u8);
            if n % 2 == 1 {
                bytes_of(item, seed, out);
            }
        }
        Type::List(item) => {
            out.push(count as u8);
            (0..count).for_each(|_| bytes_of(item, seed, out));
        }
        Type::Map(key, value) if **key == Type::String => {
            out.push(count as u8);
            for at in 0..count {
                out.extend(encode(&format!("key {at}")));
                bytes_of(value, seed, out);
            }
        }
        Type::Map(key, value) => {
            out.push(count as u8);
            for _ in 0..count {
                bytes_of(key, seed, out);
                bytes_of(value, seed, out);
            }
        }
        Type::Tuple(items) => items.iter().for_each(|item| bytes_of(item, seed, out)),
        Type::Struct(of) => of.fields.iter().for_each(|field| bytes_of(&field.shape, seed, out)),
        Type::Enum(of) => {
            let number = n as usize % of.variants.len();
            out.push(number as u8);
            of.variants[number].fields.iter().for_each(|field| bytes_of(&field.shape, seed, out));
        }
    }
}

fn any_json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        any::<i64>().prop_map(|n| n.to_string()),
        any::<f32>().prop_filter("finite", |n| n.is_finite()).prop_map(|n| n.to_string()),
        any::<u64>().prop_map(|n| format!("\"{n}\"")),
        "[a-zA-Z0-9=]{0,8}".prop_map(|text| format!("{text:?}")),
        "V[0-3]".prop_map(|text| format!("{text:?}")),
    ];
    leaf.prop_recursive(5, 60, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec(("(field_|V|0|x)[0-3]", inner), 0..5).prop_map(|fields| {
                let fields: Vec<String> =
                    fields.into_iter().map(|(name, value)| format!("{name:?}:{value}")).collect();
                format!("{{{}}}", fields.join(","))
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn every_value_of_every_type_comes_back(ty in types(), seed in any::<u64>()) {
        let (mut bytes, mut seed) = (Vec::new(), seed);
        bytes_of(&ty, &mut seed, &mut bytes);
        let text = to_json(&ty, &bytes).expect("bytes of the type");
        prop_assert_eq!(from_json(&ty, &text), Ok(bytes), "{}", text);
    }

    #[test]
    fn arbitrary_bytes_never_panic_and_what_is_read_can_be_written_again(
        ty in types(),
        bytes in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        if let Ok(text) = to_json(&ty, &bytes)
            && let Ok(again) = from_json(&ty, &text)
        {
            prop_assert_eq!(to_json(&ty, &again), Ok(text));
        }
    }

    #[test]
    fn arbitrary_json_never_panics_and_what_is_accepted_can_be_read(ty in types(), text in any_json()) {
        match from_json(&ty, &text) {
            Ok(bytes) => prop_assert!(to_json(&ty, &bytes).is_ok()),
            Err(error) => prop_assert!(error.path.starts_with('$') && !error.message.is_empty()),
        }
    }

    #[test]
    fn arbitrary_text_never_panics(ty in types(), text in ".{0,64}") {
        let _ = from_json(&ty, &text);
    }
}
