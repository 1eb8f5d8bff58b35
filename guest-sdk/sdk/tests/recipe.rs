//! What the macros write: schema, dispatch, arguments, errors and clients; a client's methods are
//! the recipe's.
mod common;

use common::Local;
use synod_sdk::abi::schema::{Schema, StateKind, Status, Type};
use synod_sdk::abi::{EncodedError, EntryPoint, Fault, OperationId, RawError, Shape, Time, fnv1a_32};
use synod_sdk::native::NativeRecipe;
use synod_sdk::prelude::*;

/// A note.
#[data]
struct Note {
    /// What it says.
    text: String,
    /// Whose it is.
    owner: Option<SessionId>,
}

/// How loud.
#[data]
#[derive(Copy)]
enum Volume {
    /// Not at all.
    Silent,
    Level(u8),
    Fade {
        from: u8,
        to: u8,
    },
}

#[data]
struct Newtype(Time);

#[data]
struct Nothing;

#[data]
struct Pair(u8, Blob);

/// Why it refuses.
#[errors]
#[derive(Copy)]
enum Refusal {
    /// Too long.
    #[error(1, invalid_argument)]
    Long { limit: u32 },
    #[error(7)]
    Late,
}

/// A recipe
/// in two lines.
#[recipe(name = "sample", version = 3)]
struct Sample {
    /// The notes.
    notes: Map<String, Note>,
    #[state(name = "total")]
    count: Counter<u64>,
}

#[ops]
impl Sample {
    /// Writes a note.
    #[op]
    fn note(&self, cx: &mut Ctx, key: String, note: Note, volume: Volume) -> Result<Token, Refusal> {
        self.notes.put(cx, &key, &note);
        self.count.add(cx, 1);
        ensure!(note.text.len() < 5, Refusal::Long { limit: 5 });
        if let Volume::Fade { .. } = volume {
            return Err(Refusal::Late);
        }
        Ok(cx.next_token())
    }

    #[op]
    fn later_arguments(
        &self,
        _cx: &mut Ctx,
        a: u32,
        mut b: Option<u32>,
        c: Option<String>,
    ) -> (u32, Option<u32>, Option<String>) {
        b = b.map(|b| b + 1);
        (a, b, c)
    }

    #[op]
    fn r#break(&self, cx: &mut Ctx, how: u8) {
        match how {
            0 => panic!("told to"),
            1 => self.notes.put(cx, &"x".repeat(2_000), &Note { text: String::new(), owner: None }),
            _ => log!(cx, Level::Debug, "how is {how}"),
        }
    }

    /// The note.
    #[query]
    fn get(&self, cx: &QueryCtx, key: String) -> Option<Note> {
        self.notes.get(cx, &key)
    }

    #[query]
    fn world(&self, cx: &QueryCtx) -> (Revision, Time, Option<SessionId>, bool) {
        info!(cx, "asked at {}", cx.now());
        (cx.revision(), cx.now(), cx.session(), cx.rng().next_u64() == cx.rng().next_u64())
    }

    #[query]
    fn shapes(&self, _cx: &QueryCtx, new: Newtype, nothing: Nothing, pair: Pair) -> Newtype {
        let _ = (nothing, pair);
        new
    }
}

fn note(text: &str) -> Note {
    Note { text: text.into(), owner: None }
}

#[test]
fn the_schema_says_what_the_code_says() {
    let schema = Schema::decode(Sample::schema_bytes()).expect("the macros write a valid schema");
    assert_eq!(schema.recipe.to_string(), "sample@3");
    assert_eq!(schema.docs, "A recipe\nin two lines.");
    let names = |points: &[synod_sdk::abi::schema::EntryPointSchema]| {
        points.iter().map(|point| point.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(names(&schema.operations), ["note", "later_arguments", "break"]);
    assert_eq!(names(&schema.queries), ["get", "world", "shapes"]);
    let note = schema.operation("note").expect("note is an operation");
    assert_eq!(note.docs, "Writes a note.");
    assert_eq!(note.result, Type::Token);
    let errors = note.errors.as_ref().expect("note refuses");
    assert_eq!(errors.codes, [(1, Status::InvalidArgument), (7, Status::FailedPrecondition)]);
    assert_eq!(errors.shape.variants[0].docs, "Too long.");
    let fields: Vec<_> =
        schema.fields.iter().map(|field| (field.name.as_str(), field.prefix, field.kind)).collect();
    assert_eq!(
        fields,
        [("notes", fnv1a_32(b"notes"), StateKind::Map), ("total", fnv1a_32(b"total"), StateKind::Counter)]
    );
    assert_eq!(schema.fields[0].docs, "The notes.");
}

#[test]
fn data_has_the_shape_that_it_shows() {
    let Shape::Enum(volume) = Volume::SHAPE else { panic!("an enum") };
    let fields: Vec<Vec<_>> = volume
        .variants
        .iter()
        .map(|variant| variant.fields.iter().map(|field| field.name).collect())
        .collect();
    assert_eq!(fields, [vec![], vec!["0"], vec!["from", "to"]]);
    assert_eq!(volume.variants[0].docs, "Not at all.");
    assert_eq!(Newtype::SHAPE, Shape::Time);
    assert_eq!(Nothing::SHAPE, Shape::Unit);
    assert_eq!(Pair::SHAPE, Shape::Tuple(&[&Shape::U8, &Shape::Bytes]));
    assert_eq!(synod_sdk::abi::encode(&Pair(1, Blob::from("a"))), [1, 1, b'a']);
}

#[test]
fn results_errors_and_rollback() {
    let space = Local::<Sample>::new(10);
    let sample = Sample::blocking(&space, "s");
    assert_eq!(sample.note("a", note("hi"), Volume::Level(3)).unwrap(), Token(1));
    assert_eq!(sample.get("a").unwrap(), Some(note("hi")));
    assert_eq!(sample.note("a", note("longer"), Volume::Silent).rejection(), Refusal::Long { limit: 5 });
    assert_eq!(sample.note("b", note("hi"), Volume::Fade { from: 1, to: 2 }).rejection(), Refusal::Late);
    assert_eq!(sample.get("b").unwrap(), None);
    assert_eq!((Refusal::Late.code(), Refusal::Late.to_string()), (7, "Late".to_string()));
    assert_eq!(Refusal::Long { limit: 5 }.to_string(), "Long { limit: 5 }: Too long.");
}

#[test]
fn the_async_client_is_send() {
    fn send<F: Future + Send>(future: F) -> F {
        future
    }
    struct Down;
    impl synod_sdk::abi::Transport for Down {
        async fn call(&self, call: synod_sdk::abi::RawCall) -> Result<synod_sdk::abi::RawReply, RawError> {
            let schema = Schema::decode(Sample::schema_bytes()).expect("the macros write a valid schema");
            assert_eq!(
                schema.operation(call.operation).expect("it is one of the recipe's").signature,
                call.signature
            );
            Err(RawError::Unavailable(call.space))
        }
        async fn query(&self, _: synod_sdk::abi::RawQuery) -> Result<synod_sdk::abi::RawReply, RawError> {
            Err(RawError::Rejected(EncodedError { code: 99, error: vec![9] }))
        }
    }
    let client = Sample::client(&Down, "team-a/notes");
    let error =
        synod_sdk::block_on(send(client.note("a", note(""), Volume::Silent))).expect_err("it is down");
    assert_eq!(error, CallError::Unavailable("team-a/notes".into()));
    let unknown = synod_sdk::block_on(client.get("a")).expect_err("the code is not known");
    assert!(unknown.to_string().contains("99"), "{unknown}");
}

#[test]
fn arguments_can_be_appended() {
    let space = Local::<Sample>::new(10);
    let run = |args: &[u8]| {
        space.run(EntryPoint::Operation(OperationId::of("later_arguments")), args).map(|reply| reply.result)
    };
    assert_eq!(run(&[5]), Ok(vec![5, 0, 0]));
    assert_eq!(run(&[5, 1, 6]), Ok(vec![5, 1, 7, 0]));
    assert_eq!(run(&[5, 0, 1, 1, b'x']), Ok(vec![5, 0, 1, 1, b'x']));
    for bad in [&[][..], &[5, 0, 0, 0], &[5, 2], &[0x80]] {
        assert!(matches!(run(bad), Err(RawError::Fault { fault: Some(Fault::BadArguments), .. })), "{bad:?}");
    }
    let unknown = space.run(EntryPoint::Query(OperationId::of("later_arguments")), &[5]);
    assert!(matches!(unknown, Err(RawError::Fault { fault: Some(Fault::BadArguments), .. })));
}

#[test]
fn panics_and_faults_end_the_call() {
    let space = Local::<Sample>::new(10);
    let sample = Sample::blocking(&space, "s");
    let fault = |how| match sample.r#break(how) {
        Err(CallError::Fault { fault, .. }) => fault,
        other => panic!("not a fault: {other:?}"),
    };
    assert_eq!(fault(0), Some(Fault::Panic));
    assert_eq!(fault(1), Some(Fault::KeyTooLong));
    sample.r#break(2).unwrap();
    assert_eq!(space.host.borrow().record.lines, ["1 panicked: told to", "4 how is 2"]);
}

#[test]
fn a_call_knows_its_place() {
    let space = Local::<Sample>::new(10);
    {
        let mut context = space.context.borrow_mut();
        context.now = Time(77);
        context.session = Some(SessionId([3; 16]));
    }
    let world = Sample::blocking(&space, "s").world().unwrap();
    assert_eq!(world, (Revision(1), Time(77), Some(SessionId([3; 16])), false));
    assert_eq!(space.host.borrow().record.lines, ["3 asked at 77"]);
}
