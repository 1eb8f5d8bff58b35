//! The schema: golden bytes, the two forms agree, and no bytes make the reader panic.
use proptest::prelude::*;
use synod_abi::schema::{
    EntryPointDef, ErrorCode, ErrorsDef, FORMAT, Hooks, HooksDef, Schema, SchemaDef, SchemaError,
    StateFieldDef, StateKind, Status, Type,
};
use synod_abi::{EnumShape, FieldShape, Shape, Shaped, StructShape, VariantShape, fnv1a_32, limits};

const LIMIT: Shape = Shape::Struct(&StructShape {
    name: "Limit",
    docs: "A limit.",
    fields: &[FieldShape { name: "burst", docs: "", shape: &Shape::U32 }],
});

const REFUSAL: EnumShape = EnumShape {
    name: "No",
    docs: "",
    variants: &[
        VariantShape { name: "A", docs: "Why.", fields: &[] },
        VariantShape {
            name: "B",
            docs: "",
            fields: &[FieldShape { name: "ms", docs: "", shape: &Shape::U64 }],
        },
    ],
};

const ERRORS: ErrorsDef = ErrorsDef {
    shape: &REFUSAL,
    codes: &[
        ErrorCode { code: 1, status: Status::NotFound },
        ErrorCode { code: 9, status: Status::OutOfRange },
    ],
};

const TAKE: EntryPointDef = EntryPointDef {
    name: "take",
    docs: "Takes.",
    args: &[
        FieldShape { name: "key", docs: "", shape: &Shape::String },
        FieldShape { name: "limit", docs: "", shape: &LIMIT },
    ],
    result: &Shape::Option(&Shape::Token),
    errors: Some(&ERRORS),
    waits: false,
};

const EVERY: Shape = Shape::Tuple(&[
    &Shape::Unit,
    &Shape::Bool,
    &Shape::U8,
    &Shape::U16,
    &Shape::U32,
    &Shape::U64,
    &Shape::U128,
    &Shape::I8,
    &Shape::I16,
    &Shape::I32,
    &Shape::I64,
    &Shape::I128,
    &Shape::Char,
    &Shape::String,
    &Shape::Bytes,
    &Shape::Token,
    &Shape::Time,
    &Shape::Revision,
    &Shape::SessionId,
    &Shape::Option(&Shape::Bool),
    &Shape::List(&Shape::Bool),
    &Shape::Map(&Shape::U8, &Shape::Bool),
    &LIMIT,
    &Shape::Enum(&REFUSAL),
]);

const SCHEMA: SchemaDef = SchemaDef {
    name: "rate",
    version: 2,
    docs: "Rates.",
    operations: &[TAKE],
    queries: &[EntryPointDef {
        name: "all",
        docs: "",
        args: &[],
        result: &EVERY,
        errors: None,
        waits: false,
    }],
    fields: &[StateFieldDef {
        name: "limits",
        docs: "",
        prefix: fnv1a_32(b"limits"),
        kind: StateKind::Map,
        key: &Shape::String,
        value: &LIMIT,
    }],
    hooks: HooksDef::NONE,
    emits: None,
};

const N: usize = SCHEMA.encoded_len();
const BYTES: [u8; N] = SCHEMA.encode();

fn golden() -> Vec<u8> {
    let mut out = vec![FORMAT];
    let text = |out: &mut Vec<u8>, text: &str| {
        out.extend((text.len() as u16).to_le_bytes());
        out.extend(text.as_bytes());
    };
    let limit = |out: &mut Vec<u8>| {
        out.push(23);
        text(out, "Limit");
        text(out, "A limit.");
        out.extend([1, 0]);
        text(out, "burst");
        text(out, "");
        out.push(4);
    };
    let refusal = |out: &mut Vec<u8>| {
        text(out, "No");
        text(out, "");
        out.extend([2, 0]);
        text(out, "A");
        text(out, "Why.");
        out.extend([0, 0]);
        text(out, "B");
        text(out, "");
        out.extend([1, 0]);
        text(out, "ms");
        text(out, "");
        out.push(5);
    };
    text(&mut out, "rate");
    out.extend([2, 0, 0, 0]);
    text(&mut out, "Rates.");
    out.extend([1, 0]);
    text(&mut out, "take");
    text(&mut out, "Takes.");
    out.extend([2, 0]);
    text(&mut out, "key");
    text(&mut out, "");
    out.push(13);
    text(&mut out, "limit");
    text(&mut out, "");
    limit(&mut out);
    out.extend([19, 15, 1]);
    refusal(&mut out);
    out.extend([1, 0, 0, 0, 2, 9, 0, 0, 0, 7]);
    out.extend([1, 0]);
    text(&mut out, "all");
    text(&mut out, "");
    out.extend([0, 0, 22, 24, 0]);
    out.extend(0..19);
    out.extend([19, 1, 20, 1, 21, 2, 1]);
    limit(&mut out);
    out.push(24);
    refusal(&mut out);
    out.extend([0, 1, 0]);
    text(&mut out, "limits");
    text(&mut out, "");
    out.extend(fnv1a_32(b"limits").to_le_bytes());
    out.extend([1, 13]);
    limit(&mut out);
    out
}

#[test]
fn the_bytes_of_a_schema_never_change() {
    assert_eq!(BYTES.as_slice(), golden());
}

#[test]
fn both_forms_agree() {
    let schema = Schema::decode(&BYTES).expect("an encoded schema decodes");
    assert_eq!(schema.recipe.to_string(), "rate@2");
    let take = schema.operation("take").expect("take is an operation");
    assert_eq!(take.signature, const { TAKE.signature::<{ TAKE.signature_len() }>() });
    assert_eq!(
        take.errors.as_ref().expect("take has errors").codes,
        [(1, Status::NotFound), (9, Status::OutOfRange)]
    );
    let all = schema.query("all").expect("all is a query");
    const ALL: EntryPointDef = SCHEMA.queries[0];
    assert_eq!(all.signature, const { ALL.signature::<{ ALL.signature_len() }>() });
    assert_eq!(schema.fields[0].kind, StateKind::Map);
    assert!(schema.query("take").is_none());
}

#[test]
fn documentation_is_not_part_of_a_signature() {
    const OTHER: EntryPointDef = EntryPointDef { docs: "Other words.", ..TAKE };
    const APPENDED: EntryPointDef = EntryPointDef { result: &Shape::Token, ..TAKE };
    let of = const { TAKE.signature::<{ TAKE.signature_len() }>() };
    assert_eq!(of, const { OTHER.signature::<{ OTHER.signature_len() }>() });
    assert_ne!(of, const { APPENDED.signature::<{ APPENDED.signature_len() }>() });
}

#[test]
fn what_contradicts_itself_is_refused() {
    const EMPTY: SchemaDef = SchemaDef {
        name: "r",
        version: 1,
        docs: "",
        operations: &[],
        queries: &[],
        fields: &[],
        hooks: HooksDef::NONE,
        emits: None,
    };
    const POINT: EntryPointDef =
        EntryPointDef { name: "a", docs: "", args: &[], result: &Shape::Unit, errors: None, waits: false };
    let bytes = EMPTY.encode::<{ EMPTY.encoded_len() }>();
    assert!(Schema::decode(&bytes).is_ok());
    let decode = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = bytes.to_vec();
        change(&mut bytes);
        Schema::decode(&bytes).expect_err("it was changed")
    };
    assert_eq!(decode(&|bytes| bytes[0] = 9), SchemaError::UnknownFormat);
    assert_eq!(decode(&|bytes| bytes[3] = b'R'), SchemaError::BadName);
    assert_eq!(decode(&|bytes| bytes[4] = 0), SchemaError::BadVersion);
    assert_eq!(decode(&|bytes| bytes.push(0)), SchemaError::Malformed);
    assert_eq!(decode(&|bytes| bytes.push(32)), SchemaError::Malformed);
    assert_eq!(decode(&|bytes| bytes.push(16)), SchemaError::Malformed, "what is emitted has a shape");
    assert_eq!(decode(&|bytes| bytes.push(2)), SchemaError::Malformed, "a hook for timers has a payload");
    assert_eq!(decode(&|bytes| bytes.extend([5, 0])), SchemaError::Malformed);
    assert_eq!(decode(&|bytes| bytes.truncate(8)), SchemaError::Malformed);
    assert_eq!(decode(&|bytes| bytes.resize(limits::SCHEMA_BYTES + 1, 0)), SchemaError::TooLarge);

    const TWICE: SchemaDef = SchemaDef { operations: &[POINT], queries: &[POINT], ..EMPTY };
    assert_eq!(Schema::decode(&TWICE.encode::<{ TWICE.encoded_len() }>()), Err(SchemaError::Duplicate));
    const ZERO: ErrorsDef = ErrorsDef {
        shape: &REFUSAL,
        codes: &[ErrorCode { code: 0, status: Status::Aborted }, ERRORS.codes[0]],
    };
    const CODE_ZERO: SchemaDef =
        SchemaDef { operations: &[EntryPointDef { errors: Some(&ZERO), ..POINT }], ..EMPTY };
    assert_eq!(
        Schema::decode(&CODE_ZERO.encode::<{ CODE_ZERO.encoded_len() }>()),
        Err(SchemaError::Duplicate)
    );
}

#[test]
fn waiting_and_hooks_are_flags_that_are_absent_without_them() {
    const WAITS: EntryPointDef = EntryPointDef { waits: true, ..TAKE };
    const PLAIN: EntryPointDef = EntryPointDef { errors: None, ..TAKE };
    const PLAIN_WAITS: EntryPointDef = EntryPointDef { waits: true, ..PLAIN };
    const HOOKS: HooksDef =
        HooksDef { session_end: true, cancel: true, timer: Some(&Shape::U64), event: false };
    const DEF: SchemaDef = SchemaDef { operations: &[WAITS], hooks: HOOKS, ..SCHEMA };
    let bytes = DEF.encode::<{ DEF.encoded_len() }>();
    assert_eq!(bytes[bytes.len() - 2..], [7, 5]);
    let differing: Vec<_> = BYTES.iter().zip(&bytes).filter(|(one, other)| one != other).collect();
    assert_eq!(differing, [(&1, &3)], "nothing else of the schema changed");
    assert_eq!(bytes.len(), BYTES.len() + 2);
    let schema = Schema::decode(&bytes).expect("an encoded schema decodes");
    let take = schema.operation("take").expect("take is an operation");
    assert!(take.waits && take.errors.is_some());
    assert_eq!(
        take.signature,
        const { TAKE.signature::<{ TAKE.signature_len() }>() },
        "waiting is no part of a signature"
    );
    assert_eq!(schema.hooks, Hooks { session_end: true, cancel: true, timer: Some(Type::U64), event: false });
    assert!(schema.hooks.any() && !Schema::decode(&BYTES).expect("it decodes").hooks.any());

    const ONE: SchemaDef = SchemaDef {
        operations: &[PLAIN_WAITS],
        hooks: HooksDef { cancel: true, ..HooksDef::NONE },
        ..SCHEMA
    };
    let one = Schema::decode(&ONE.encode::<{ ONE.encoded_len() }>()).expect("an encoded schema decodes");
    assert!(one.operations[0].waits && one.operations[0].errors.is_none());
    assert_eq!(one.operations[0].signature, const { PLAIN.signature::<{ PLAIN.signature_len() }>() });
    assert_eq!(one.hooks, Hooks { cancel: true, ..Hooks::default() });

    const EVENTS: SchemaDef =
        SchemaDef { hooks: HooksDef { event: true, ..HooksDef::NONE }, emits: Some(&LIMIT), ..SCHEMA };
    let events =
        Schema::decode(&EVENTS.encode::<{ EVENTS.encoded_len() }>()).expect("an encoded schema decodes");
    assert_eq!(events.hooks, Hooks { event: true, ..Hooks::default() });
    let emits = events.emits.expect("it emits");
    assert!(matches!(&emits.shape, Type::Struct(_)));
    const SIGNATURE: u64 = LIMIT.signature::<{ LIMIT.signature_len() }>();
    assert_eq!(emits.signature, SIGNATURE);

    const QUERY: SchemaDef = SchemaDef { operations: &[], queries: &[WAITS], ..SCHEMA };
    assert_eq!(
        Schema::decode(&QUERY.encode::<{ QUERY.encoded_len() }>()),
        Err(SchemaError::Malformed),
        "queries do not wait"
    );
}

#[test]
fn depth_is_limited() {
    fn nested(depth: usize) -> Vec<u8> {
        let mut bytes = vec![FORMAT, 1, 0, b'r', 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, b'q', 0, 0, 0, 0];
        bytes.extend(vec![20; depth - 1]);
        bytes.extend([1, 0, 0, 0]);
        bytes
    }
    assert!(Schema::decode(&nested(limits::SHAPE_DEPTH)).is_ok());
    assert_eq!(Schema::decode(&nested(limits::SHAPE_DEPTH + 1)), Err(SchemaError::TooDeep));
    assert_eq!(Schema::decode(&nested(60_000)), Err(SchemaError::TooDeep));
}

#[test]
fn shapes_of_standard_types() {
    assert_eq!(
        <Vec<Option<(u8, String)>>>::SHAPE,
        Shape::List(&Shape::Option(&Shape::Tuple(&[&Shape::U8, &Shape::String])))
    );
    assert_eq!(<std::collections::BTreeMap<u8, ()>>::SHAPE, Shape::Map(&Shape::U8, &Shape::Unit));
    assert!(!Shape::Tuple(&[&Shape::Unit]).takes_bytes());
    assert!(LIMIT.takes_bytes());
}

fn shape_bytes() -> impl Strategy<Value = Vec<u8>> {
    let leaf = (0u8..19).prop_map(|tag| vec![tag]);
    leaf.prop_recursive(20, 64, 4, |inner| {
        prop_oneof![
            (19u8..21, inner.clone()).prop_map(|(tag, item)| [vec![tag], item].concat()),
            (inner.clone(), inner.clone()).prop_map(|(key, value)| [vec![21], key, value].concat()),
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| [
                vec![22, items.len() as u8, 0],
                items.concat()
            ]
            .concat()),
            prop::collection::vec(inner, 0..4).prop_map(|items| {
                let fields: Vec<u8> =
                    items.iter().flat_map(|item| [&[1, 0, b'f', 0, 0], item.as_slice()].concat()).collect();
                [vec![23, 1, 0, b'S', 0, 0, items.len() as u8, 0], fields].concat()
            }),
        ]
    })
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
        let _ = Schema::decode(&bytes);
    }

    #[test]
    fn no_change_makes_the_reader_panic(at in 0..N, byte: u8, cut in 0..=N) {
        let mut bytes = BYTES.to_vec();
        bytes[at] = byte;
        let _ = Schema::decode(&bytes);
        bytes.truncate(cut);
        let _ = Schema::decode(&bytes);
    }

    #[test]
    fn well_formed_shapes_decode_or_are_too_deep(shape in shape_bytes()) {
        let head = [FORMAT, 1, 0, b'r', 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, b'q', 0, 0, 0, 0];
        let bytes = [&head[..], &shape, &[0, 0, 0]].concat();
        match Schema::decode(&bytes) {
            Ok(schema) => prop_assert_eq!(schema.queries[0].result == Type::Unit, shape == [0]),
            Err(error) => prop_assert_eq!(error, SchemaError::TooDeep),
        }
    }
}
