//! What a recipe emits and sends, and the hook for events, as they cross the boundary.
mod common;

use common::Local;
use synod_sdk::abi::schema::{Schema, Type};
use synod_sdk::abi::{EntryPoint, Fault, OperationId, SpaceName, decode, encode, limits};
use synod_sdk::native::NativeRecipe;
use synod_sdk::prelude::*;

/// What became of a task.
#[data]
enum Progress {
    /// Someone took it.
    Begun { by: String },
    /// It is over.
    Done,
}

/// Tasks.
#[recipe(name = "tasks", version = 1, emits = Progress)]
struct Tasks {
    last: Cell<String>,
}

#[ops]
impl Tasks {
    #[op]
    fn begin(&self, cx: &mut Ctx, task: String, by: String) {
        cx.emit(&task, &Progress::Begun { by });
    }

    #[op]
    fn end(&self, cx: &mut Ctx, task: String) {
        cx.send("pay", "transfer", &(&task, 3_u64));
        cx.emit(&task, &Progress::Done);
        cx.send("mail", "flush", &());
    }

    #[op]
    fn foreign(&self, cx: &mut Ctx) {
        cx.emit("a", &Noise { loud: true });
    }

    #[on_event]
    fn noticed(&self, cx: &mut Ctx, event: Event) {
        let text = match event.decode::<Progress>() {
            Some(Progress::Begun { by }) => format!("{} {} by {by}", event.space, event.topic),
            Some(Progress::Done) => format!("{} {} done", event.space, event.topic),
            None => format!("{} {} {} bytes", event.space, event.topic, event.payload.0.len()),
        };
        self.last.put(cx, &text);
    }

    #[query]
    fn last(&self, cx: &QueryCtx) -> Option<String> {
        self.last.get(cx)
    }
}

/// What another recipe emits.
#[data]
struct Noise {
    loud: bool,
}

/// Emits as well, and hears nothing.
#[recipe(name = "noisy", version = 1, emits = Noise)]
struct Noisy {}

#[ops]
impl Noisy {
    #[op]
    fn shout(&self, cx: &mut Ctx) {
        cx.emit("shout", &Noise { loud: true });
    }
}

/// Emits nothing.
#[recipe(name = "mute", version = 1)]
struct Mute {}

#[ops]
impl Mute {
    #[op]
    fn shout(&self, cx: &mut Ctx) {
        cx.emit("shout", &Noise { loud: true });
    }
}

fn dispatch(space: &Local<Tasks>, entry: EntryPoint, args: &[u8]) -> Result<Vec<u8>, Fault> {
    let context = *space.context.borrow();
    Tasks::dispatch(entry, &context, args, &mut *space.host.borrow_mut())
}

#[test]
fn the_schema_says_what_is_emitted_and_who_hears() {
    let schema = Schema::decode(Tasks::schema_bytes()).expect("the macros write a valid schema");
    let emits = schema.emits.expect("it emits");
    let Type::Enum(progress) = &emits.shape else { panic!("the payload is an enum") };
    assert_eq!(
        (progress.name.as_str(), progress.docs.as_str(), progress.variants.len()),
        ("Progress", "What became of a task.", 2)
    );
    assert_eq!(emits.signature, Progress::SIGNATURE);
    assert!(schema.hooks.event && schema.hooks.any());
    let noisy = Schema::decode(Noisy::schema_bytes()).expect("the macros write a valid schema");
    assert!(
        noisy.emits.is_some_and(
            |emits| emits.signature == Noise::SIGNATURE && emits.signature != Progress::SIGNATURE
        )
    );
    assert!(!noisy.hooks.any());
    assert_eq!(Schema::decode(Mute::schema_bytes()).expect("the macros write a valid schema").emits, None);
}

#[test]
fn a_client_finds_the_type_of_the_events_at_the_recipe() {
    fn decoded<R: Recipe>(payload: &[u8]) -> Option<R::Event>
    where
        R::Event: EventPayload,
    {
        assert_eq!(R::EMITS.map(|emits| emits.signature), Some(R::Event::SIGNATURE));
        assert_eq!(R::SCHEMA.emits, Some(&R::Event::SHAPE));
        decode(payload).ok()
    }
    assert_eq!(decoded::<Tasks>(&encode(&Progress::Done)), Some(Progress::Done));
    assert_eq!(decoded::<Noisy>(&[1]), Some(Noise { loud: true }));
    assert_eq!(decoded::<Noisy>(&[2]), None);
}

#[test]
fn signatures_know_names_and_fields_and_no_documentation() {
    mod undocumented {
        use synod_sdk::prelude::*;
        #[data]
        enum Progress {
            Begun { by: String },
            Done,
        }
        pub(super) const SHAPE: synod_sdk::abi::Shape = Progress::SHAPE;
    }
    mod renamed {
        use synod_sdk::prelude::*;
        #[data]
        enum Progress {
            Begun { who: String },
            Done,
        }
        pub(super) const SHAPE: synod_sdk::abi::Shape = Progress::SHAPE;
    }
    assert_eq!(
        undocumented::SHAPE.signature::<{ undocumented::SHAPE.signature_len() }>(),
        Progress::SIGNATURE
    );
    assert_ne!(renamed::SHAPE.signature::<{ renamed::SHAPE.signature_len() }>(), Progress::SIGNATURE);
}

#[test]
fn events_and_sends_cross_as_they_were_meant() {
    let space = Local::<Tasks>::new(10);
    let tasks = Tasks::blocking(&space, "s");
    tasks.begin("sweep", "ann").unwrap();
    tasks.end("sweep").unwrap();
    let host = space.host.borrow();
    let begun = ("sweep".to_string(), encode(&Progress::Begun { by: "ann".into() }));
    assert_eq!(host.record.emitted, [begun, ("sweep".to_string(), encode(&Progress::Done))]);
    let pay = ("pay".to_string(), OperationId::of("transfer"), encode(&("sweep", 3_u64)));
    assert_eq!(host.record.sent, [pay, ("mail".to_string(), OperationId::of("flush"), Vec::new())]);
}

#[test]
fn a_bad_topic_ends_the_call() {
    let space = Local::<Tasks>::new(10);
    let tasks = Tasks::blocking(&space, "s");
    for bad in [String::new(), "x".repeat(limits::EVENT_TOPIC_BYTES + 1)] {
        let refused = tasks.begin(bad, "ann").expect_err("no such topic");
        assert!(matches!(refused, CallError::Fault { fault: Some(Fault::BadTopic), .. }), "{refused}");
    }
    tasks.begin("x".repeat(limits::EVENT_TOPIC_BYTES), "ann").expect("the longest topic");
}

#[test]
fn what_another_recipe_emits_ends_the_call() {
    let space = Local::<Tasks>::new(10);
    let foreign = Tasks::blocking(&space, "s").foreign().expect_err("it is not the recipe's");
    assert!(matches!(foreign, CallError::Fault { fault: Some(Fault::Panic), .. }), "{foreign}");
    assert!(space.host.borrow().record.lines[0].contains("another type than the recipe's `emits`"));
    let mute = Local::<Mute>::new(10);
    assert!(Mute::blocking(&mute, "s").shout().is_err());
    assert!(mute.host.borrow().record.emitted.is_empty());
    let noisy = Local::<Noisy>::new(10);
    Noisy::blocking(&noisy, "s").shout().expect("it is its own");
    assert_eq!(noisy.host.borrow().record.emitted, [("shout".to_string(), vec![1])]);
}

#[test]
fn a_handler_gets_space_topic_and_payload() {
    let space = Local::<Tasks>::new(10);
    let of = |payload: Vec<u8>| Event {
        space: SpaceName::new("other").expect("a name"),
        topic: "sweep".into(),
        payload: Blob(payload),
    };
    let tasks = Tasks::blocking(&space, "s");
    for (payload, said) in [
        (encode(&Progress::Begun { by: "ann".into() }), "other sweep by ann"),
        (encode(&Progress::Done), "other sweep done"),
        (vec![9, 9], "other sweep 2 bytes"),
    ] {
        assert_eq!(dispatch(&space, EntryPoint::Event, &encode(&of(payload))), Ok(vec![0]));
        assert_eq!(tasks.last().unwrap().as_deref(), Some(said));
    }
    let whole = encode(&of(vec![1]));
    for bad in [&[][..], &whole[..whole.len() - 1], &[whole.as_slice(), &[0]].concat()] {
        assert_eq!(dispatch(&space, EntryPoint::Event, bad), Ok(vec![2]), "{bad:?}");
    }
    let mute = Mute::dispatch(EntryPoint::Event, &Default::default(), &whole, &mut *space.host.borrow_mut());
    assert_eq!(mute, Ok(vec![2]), "it has no handler");
}
