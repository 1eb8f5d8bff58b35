//! Schemas, JSON, and what guests, clients and people write.
use synod_abi::schema::{EntryPointSchema, Enum, Field, Schema, Struct, Type, Variant};
use synod_abi::{
    Blob, CONTEXT_BYTES, Context, OwnedKey, RangeRequest, Reason, RecipeName, Rows, SessionId, SpaceName,
    TopicFilter, check_topic, encode, limits,
};
use synod_machine::{check_upgrade, upgrade_notes};
use synod_sdk::native::NativeRecipe;
use synod_service::transcode::{WriteError, arguments_from_json, error_to_json, from_json, to_json};

/// Bytes that stand where a value of some type is wanted.
const ANY_BYTES: [&[u8]; 3] = [&[], &[0; 24], &[1, 2, 3, 4, 5, 6, 7, 8, 9]];

pub(super) fn schema(bytes: &[u8]) {
    let Ok(schema) = Schema::decode(bytes) else { return };
    let second = Schema::decode(bytes).expect("it was decoded");
    assert_eq!(schema, second);
    assert!(check_upgrade(&schema, &schema).is_ok(), "a recipe that cannot follow itself");
    let _notes = upgrade_notes(&schema, &schema);
    assert!(!synod::fuzzing::described(&schema).is_empty());
    for point in schema.operations.iter().chain(&schema.queries) {
        assert_eq!(point.id().0, synod_abi::fnv1a_32(point.name.as_bytes()));
        for bytes in ANY_BYTES {
            let _text = to_json(&point.result, bytes);
            let _text = point.errors.as_ref().map(|errors| error_to_json(errors, bytes));
        }
        for text in ["", "{}", "null", "[1, 2]", r#"{"key": "a"}"#] {
            let _args = arguments_from_json(point, text);
        }
        synod::fuzzing::arguments(point, "--key\na");
    }
}

pub(super) fn schemas() -> Vec<Vec<u8>> {
    vec![
        synod_kv::Kv::schema_bytes().to_vec(),
        synod_lock::Lock::schema_bytes().to_vec(),
        crate::machine::SCHEMA.to_vec(),
    ]
}

fn field(name: &str, shape: Type) -> Field {
    Field { name: name.to_owned(), docs: String::new(), shape }
}

fn boxed(ty: Type) -> Box<Type> {
    Box::new(ty)
}

fn choice() -> Enum {
    let variant = |name: &str, fields| Variant { name: name.to_owned(), docs: String::new(), fields };
    Enum {
        name: "Choice".to_owned(),
        docs: String::new(),
        variants: vec![
            variant("Plain", vec![]),
            variant("Named", vec![field("at", Type::Time), field("by", Type::SessionId)]),
            variant("One", vec![field("0", Type::U8)]),
        ],
    }
}

/// A type of every kind, by number.
fn types() -> Vec<Type> {
    let one = |name: &str, fields| Struct { name: name.to_owned(), docs: String::new(), fields };
    vec![
        Type::Unit,
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
        Type::Revision,
        Type::SessionId,
        Type::Option(boxed(Type::String)),
        Type::Option(boxed(Type::Option(boxed(Type::Bool)))),
        Type::List(boxed(Type::Unit)),
        Type::List(boxed(Type::List(boxed(Type::U8)))),
        Type::Map(boxed(Type::String), boxed(Type::I64)),
        Type::Map(boxed(Type::U16), boxed(Type::Bytes)),
        Type::Map(boxed(Type::Unit), boxed(Type::Unit)),
        Type::Tuple(vec![]),
        Type::Tuple(vec![Type::U32, Type::String]),
        Type::Struct(one(
            "Limit",
            vec![field("burst", Type::U32), field("note", Type::Option(boxed(Type::Char)))],
        )),
        Type::Struct(one("Nothing", vec![])),
        Type::Enum(choice()),
        Type::List(boxed(Type::Enum(choice()))),
    ]
}

/// An operation that takes every type, each as an argument of its own that may be absent.
fn everything() -> EntryPointSchema {
    let arg = |(number, ty): (usize, Type)| field(&format!("a{number}"), Type::Option(boxed(ty)));
    EntryPointSchema {
        name: "everything".to_owned(),
        docs: String::new(),
        args: types().into_iter().enumerate().map(arg).collect(),
        result: Type::Enum(choice()),
        errors: None,
        waits: false,
        signature: 0,
    }
}

/// What JSON makes of bytes, JSON makes the same bytes of again.
fn round_trip(ty: &Type, bytes: &[u8]) {
    let text = match to_json(ty, bytes) {
        Ok(text) => text,
        Err(WriteError::TooLarge | WriteError::Malformed) => return,
    };
    match from_json(ty, &text) {
        Ok(canonical) => {
            assert_eq!(to_json(ty, &canonical).as_deref(), Ok(text.as_str()), "of {ty:?}");
            assert_eq!(from_json(ty, &text), Ok(canonical));
        }
        Err(error) => {
            assert!(text.len() > limits::REPLY_BYTES, "JSON that is not read again: {error}\n{text}")
        }
    }
}

/// JSON, as the arguments of an operation, and as a value of each type.
pub(super) fn json_arguments(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let point = everything();
    if let Ok(args) = arguments_from_json(&point, text) {
        assert!(args.len() <= limits::ARGS_BYTES);
        let tuple = Type::Tuple(point.args.iter().map(|arg| arg.shape.clone()).collect());
        assert!(to_json(&tuple, &args).is_ok(), "arguments that their types do not describe");
    }
    for ty in types() {
        if let Ok(value) = from_json(&ty, text) {
            round_trip(&ty, &value);
        }
    }
}

pub(super) fn json_texts() -> Vec<Vec<u8>> {
    let texts = [
        r#"{"a1": true, "a5": "18446744073709551615", "a13": "é\u0000", "a14": "AAEC", "a22": {"k": -1}}"#,
        r#"{"a23": [[1, "AA=="]], "a27": {"burst": 3, "note": "x"}, "a29": {"One": {"0": 5}}}"#,
        r#"{"a17": "0f0e0d0c0b0a09080706050403020100", "a28": {}}"#,
        r#"{"Named": {"at": "7", "by": "00000000000000000000000000000000"}}"#,
        r#"["Plain", {"One": {"0": 255}}]"#,
        r#"[[0, 255], []]"#,
        r#""-170141183460469231731687303715884105728""#,
        "null",
        "1e3",
    ];
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// The first byte names a type, or says that the schema of a type follows; the rest is a value.
pub(super) fn json_results(bytes: &[u8]) {
    let Some((first, value)) = bytes.split_first() else { return };
    let types = types();
    round_trip(&types[usize::from(*first) % types.len()], value);
}

pub(super) fn typed_values() -> Vec<Vec<u8>> {
    let values = [
        "null",
        "true",
        "7",
        "700",
        "70000",
        "\"7\"",
        "\"7\"",
        "-7",
        "-700",
        "-70000",
        "\"-7\"",
        "\"-7\"",
        "\"é\"",
        "\"text\"",
        "\"AAEC\"",
        "\"9\"",
        "\"9\"",
        "\"0f0e0d0c0b0a09080706050403020100\"",
        "\"some\"",
        "true",
        "[null, null]",
        "[[1], [2, 3]]",
        "{\"k\": \"5\"}",
        "[[1, \"AAEC\"]]",
        "[[null, null]]",
        "[]",
        "[1, \"x\"]",
        "{\"burst\": 1, \"note\": \"n\"}",
        "{}",
        "{\"One\": {\"0\": 1}}",
        "[\"Plain\"]",
    ];
    let types = types();
    assert_eq!(types.len(), values.len(), "a value for each type");
    let value = |(number, text): (usize, &&str)| {
        let value = from_json(&types[number], text).unwrap_or_else(|error| panic!("{text}: {error}"));
        [vec![number as u8], value].concat()
    };
    values.iter().enumerate().map(value).collect()
}

fn key<K: OwnedKey>(bytes: &[u8]) {
    let mut rest = bytes;
    let Ok(key) = K::decode_key(&mut rest) else { return };
    let read = &bytes[..bytes.len() - rest.len()];
    let mut encoded = Vec::new();
    key.encode_key(&mut encoded);
    assert_eq!(encoded, read, "a key has one encoding: two would be two rows");
}

/// What guests pass to the host, and names that clients choose.
pub(super) fn boundary(bytes: &[u8]) {
    key::<u8>(bytes);
    key::<i64>(bytes);
    key::<u128>(bytes);
    key::<bool>(bytes);
    key::<String>(bytes);
    key::<Blob>(bytes);
    key::<SessionId>(bytes);
    key::<(String, u32, Blob)>(bytes);
    if let Some(request) = RangeRequest::from_bytes(bytes) {
        assert_eq!(request.to_bytes(), bytes);
    }
    let mut rows = Rows(bytes);
    let mut chunk = Vec::new();
    for (key, value) in rows.by_ref() {
        Rows::push(&mut chunk, key, value);
    }
    assert_eq!(chunk, bytes[..bytes.len() - rows.0.len()], "rows of a chunk are what they were");
    if let Some(context) = bytes.first_chunk::<CONTEXT_BYTES>() {
        assert_eq!(
            Context::from_bytes(&Context::from_bytes(context).to_bytes()),
            Context::from_bytes(context)
        );
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(name) = SpaceName::new(text) {
        assert_eq!(synod_abi::decode(&encode(&name)), Ok(name.clone()));
        assert_eq!(name.to_string(), text);
    }
    if let Ok(name) = RecipeName::new(text) {
        assert_eq!(synod_abi::decode(&encode(&name)), Ok(name));
    }
    let filter = TopicFilter::parse(text);
    if check_topic(text).is_ok() && filter.check().is_ok() {
        assert!(filter.matches(text) || text.ends_with('*'), "a filter that does not match its own text");
    }
    assert_eq!(TopicFilter::parse(&filter.to_string()), filter, "a filter that is written otherwise");
    if let Some(reason) = Reason::parse(text) {
        let written: String = reason.into();
        assert_eq!(written, text);
    }
}

pub(super) fn boundaries() -> Vec<Vec<u8>> {
    use synod_abi::Key;
    let mut composed = Vec::new();
    ("a\0b".to_owned(), 7u32, Blob(vec![0, 0xff])).encode_key(&mut composed);
    let range = RangeRequest {
        from: b"from".to_vec(),
        to: b"to".to_vec(),
        direction: synod_abi::Direction::Backward,
        rows: 100,
    };
    let mut chunk = Vec::new();
    Rows::push(&mut chunk, b"key", b"value");
    Rows::push(&mut chunk, b"", b"");
    vec![
        composed,
        range.to_bytes(),
        chunk,
        Context::default().to_bytes().to_vec(),
        b"team-a/locks".to_vec(),
        b"config/*".to_vec(),
        b"SESSION_EXPIRED".to_vec(),
    ]
}

pub(super) fn config_file(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        synod::fuzzing::config_file(text);
        synod::fuzzing::timeout_header(text);
    }
}

pub(super) fn config_files() -> Vec<Vec<u8>> {
    let file = "name = \"a\"\ndata = \"/var/lib/synod\"\npeers = [\"a=10.0.0.1:7001/7000\", \
        \"b=[::1]:7001\"]\nclient-addr = \"0.0.0.0:7070\"\nheartbeat-ms = 100\nelection-min-ms = 400\n\
        election-max-ms = 600\n";
    let texts = [file, "127.0.0.1:7070", "[::1]:7070", "a=host.example:7001/7000", "100m", "99999999H"];
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

pub(super) fn command_line(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        synod::fuzzing::arguments(&everything(), text);
    }
}

pub(super) fn command_lines() -> Vec<Vec<u8>> {
    let lines = [
        "--a1\n--a5=7\n--a13\ntext\n--a14\nbase64:AAEC\n--a22\n{\"k\": 1}\n--a20\nnull\n--a20\nnull",
        "--a29\n\"Plain\"\n--a27\n{\"burst\": 1}",
        "0.5\n90s\n64MiB\n18446744073709551615",
        "0f0e0d0c0b0a09080706050403020100:0f0e0d0c0b0a09080706050403020100",
        "{\"Named\": {\"at\": \"7\", \"by\": \"00000000000000000000000000000000\"}}",
    ];
    lines.iter().map(|line| line.as_bytes().to_vec()).collect()
}
