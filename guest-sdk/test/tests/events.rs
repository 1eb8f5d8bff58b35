//! Events, bindings and sends between recipes, as the machine delivers them.
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

use synod_sdk::Rejection as _;
use synod_sdk::abi::{Fault, limits};
use synod_sdk::prelude::*;
use synod_test::{Action, Binding, DeliveryFailure, OnFailure, Rejection, TestHost};

/// What happened to a shop's till.
#[data]
pub enum Till {
    /// Something was sold.
    Sold {
        /// For so much.
        amount: u32,
    },
    /// It was counted.
    Counted,
}

/// Why a shop does not sell.
#[errors]
pub enum ShopError {
    /// Nothing costs nothing.
    #[error(4)]
    Free,
}

/// Sells, tells everyone, and has others act.
#[recipe(name = "shop", version = 1, emits = Till)]
pub struct Shop {
    sold: Map<String, u64>,
    waiting: Queue<(), Ticket<u32>>,
}

#[ops]
impl Shop {
    /// Sells `amount` at `till`.
    #[op]
    fn sell(&self, cx: &mut Ctx, till: String, amount: u32) -> Result<u64, ShopError> {
        cx.emit(&till, &Till::Sold { amount });
        ensure!(amount != 0, ShopError::Free);
        let sold = self.sold.get(cx, &till).unwrap_or(0) + u64::from(amount);
        self.sold.put(cx, &till, &sold);
        Ok(sold)
    }

    /// Sells twice, and panics between two events.
    #[op]
    fn stumble(&self, cx: &mut Ctx, till: String) {
        cx.emit(&till, &Till::Sold { amount: 1 });
        panic!("over a box")
    }

    /// Emits `count` events about one topic.
    #[op]
    fn shout(&self, cx: &mut Ctx, topic: String, count: u32) {
        (0..count).for_each(|amount| cx.emit(&topic, &Till::Sold { amount }));
    }

    /// Sends an operation to each of the spaces, and tells of it in between.
    #[op]
    fn delegate(&self, cx: &mut Ctx, spaces: Vec<String>, operation: String) {
        for space in &spaces {
            cx.send(space, &operation, &("delegated", 5_u32));
            cx.emit(space, &Till::Counted);
        }
    }

    /// Has this very space do it again.
    #[op]
    fn echo(&self, cx: &mut Ctx, space: String, times: u32) {
        cx.emit("echo", &Till::Sold { amount: times });
        if times > 0 {
            cx.send(&space, "echo", &(&space, times - 1));
        }
    }

    /// Waits for the till to be counted, and tells that someone does.
    #[op]
    fn wait(&self, cx: &mut Ctx, _who: String, _number: u32) -> Reply<u32> {
        let ticket = cx.ticket();
        self.waiting.push_back(cx, &(), &ticket);
        cx.emit("wait", &Till::Counted);
        Reply::Later(ticket)
    }

    /// What was sold at `till`.
    #[query]
    fn sold(&self, cx: &QueryCtx, till: String) -> u64 {
        self.sold.get(cx, &till).unwrap_or(0)
    }

    #[on_session_end]
    fn gone(&self, cx: &mut Ctx, session: SessionId) {
        cx.emit("gone", &Till::Sold { amount: session.0[0].into() });
        cx.send("nowhere", "nothing", &());
        cx.emit("gone", &Till::Counted);
    }
}

/// A line of a ledger.
#[data]
pub struct Line {
    text: String,
}

/// Writes down what it hears, and tells of it.
#[recipe(name = "ledger", version = 1, emits = Line)]
pub struct Ledger {
    lines: Queue<(), String>,
}

#[ops]
impl Ledger {
    #[on_event]
    fn heard(&self, cx: &mut Ctx, event: Event) {
        assert!(cx.session().is_none() && !cx.can_wait());
        let text = match event.decode::<Till>() {
            Some(Till::Sold { amount: 13 }) => panic!("unlucky"),
            Some(till) => format!("{} {}: {till:?}", event.space, event.topic),
            None => {
                format!("{} {}: {:?}", event.space, event.topic, event.decode::<Line>().map(|line| line.text))
            }
        };
        self.lines.push_back(cx, &(), &text);
        cx.emit(&event.topic, &Line { text });
    }

    /// Writes a line down.
    #[op]
    fn write(&self, cx: &mut Ctx, who: String, number: u32) {
        self.lines.push_back(cx, &(), &format!("{who} {number}"));
    }

    /// All lines.
    #[query]
    fn lines(&self, cx: &QueryCtx) -> Vec<String> {
        self.lines.iter(cx, &()).map(|(_, line)| line).collect()
    }
}

fn shop_and_ledger() -> TestHost<Shop> {
    let host = TestHost::of::<Shop>();
    host.install::<Ledger>();
    host
}

fn lines(host: &TestHost<Shop>, space: &str) -> Vec<String> {
    Ledger::blocking(host, space).lines().expect("a query of its own")
}

fn sold(till: &str, amount: u32) -> (String, Till) {
    (till.to_string(), Till::Sold { amount })
}

#[test]
fn events_are_kept_by_revision_and_number() {
    let host = TestHost::of::<Shop>();
    assert!(host.events("shop").is_empty());
    let begin = host.revision().0;
    host.client().sell("a", 7).unwrap();
    host.client().shout("b", 2).unwrap();
    let at: Vec<_> = host
        .events("shop")
        .into_iter()
        .map(|(revision, number, topic, _)| (revision.0 - begin, number, topic))
        .collect();
    assert_eq!(at, [(1, 0, "a".into()), (2, 0, "b".into()), (2, 1, "b".into())]);
    assert_eq!(host.events_of::<Till>("shop"), [sold("a", 7), sold("b", 0), sold("b", 1)]);
    let log = host.event_log("shop");
    assert_eq!((log.events, log.last, log.oldest_at), (3, host.revision(), Some(host.now())));
}

#[test]
fn what_did_not_happen_was_not_emitted() {
    let host = shop_and_ledger();
    host.bind("ledger", "shop", "*", OnFailure::Reject);
    assert_eq!(host.client().sell("a", 0).rejection(), ShopError::Free);
    assert!(host.client().stumble("a").is_err());
    assert!(host.events("shop").is_empty() && lines(&host, "ledger").is_empty());
    host.client().sell("a", 1).unwrap();
    assert_eq!(host.events("shop")[0].1, 0, "numbers are not used up either");
}

#[test]
fn a_handler_runs_in_the_command_that_emitted() {
    let host = shop_and_ledger();
    host.bind("ledger", "shop", "front", OnFailure::Reject);
    host.client().sell("front", 1).unwrap();
    host.client().sell("back", 2).unwrap();
    host.client().sell("front/left", 3).unwrap();
    assert_eq!(lines(&host, "ledger"), ["shop front: Sold { amount: 1 }"]);
    let (of_shop, of_ledger) = (host.events("shop"), host.events("ledger"));
    assert_eq!(
        (of_ledger.len(), of_ledger[0].0),
        (1, of_shop[0].0),
        "its events have the revision of their cause"
    );
    host.unbind("ledger", "shop", "front");
    host.client().sell("front", 4).unwrap();
    assert_eq!(lines(&host, "ledger").len(), 1);
}

#[test]
fn filters_are_one_topic_a_prefix_or_all_and_a_handler_hears_an_event_once() {
    let host = shop_and_ledger();
    for (space, filters) in
        [("all", &["*"][..]), ("some", &["a/"]), ("one", &["a/x"]), ("twice", &["a/", "a/x", "*"])]
    {
        host.create_space::<Ledger>(space);
        filters.iter().for_each(|filter| host.bind(space, "shop", filter, OnFailure::Reject));
    }
    for till in ["a/x", "a/y", "b"] {
        host.client().sell(till, 1).unwrap();
    }
    for (space, heard) in [("all", 3), ("some", 2), ("one", 1), ("twice", 3), ("ledger", 0)] {
        assert_eq!(lines(&host, space).len(), heard, "{space}");
    }
}

#[test]
fn a_failing_handler_rejects_its_cause() {
    let host = shop_and_ledger();
    host.bind("ledger", "shop", "*", OnFailure::Reject);
    let (revision, events) = (host.revision(), host.events("shop"));
    let refused = host.client().sell("a", 13).expect_err("it is unlucky");
    assert!(
        matches!(&refused, CallError::Fault { fault: Some(Fault::Panic), .. })
            && refused.to_string().contains("handler of space"),
        "{refused}"
    );
    assert!(refused.to_string().contains(&Fault::Panic.to_string()), "{refused}");
    assert_eq!(
        (host.revision(), host.events("shop"), host.client().sold("a").unwrap()),
        (revision, events, 0)
    );
    assert!(host.take_logs().iter().any(|line| line.text.contains("unlucky")), "people are told");
    host.client().sell("a", 1).unwrap();
}

#[test]
fn a_failing_handler_that_may_is_skipped_and_counted() {
    let host = shop_and_ledger();
    host.create_space::<Ledger>("second");
    host.bind("ledger", "shop", "*", OnFailure::Skip);
    host.bind("second", "ledger", "*", OnFailure::Reject);
    host.client().sell("a", 13).unwrap();
    assert_eq!((host.client().sold("a").unwrap(), host.events("shop").len()), (13, 1));
    assert!(
        lines(&host, "ledger").is_empty()
            && host.events("ledger").is_empty()
            && lines(&host, "second").is_empty()
    );
    let failures = host.hook_failures("ledger").expect("it is counted");
    assert_eq!(
        (failures.count, failures.revision, failures.why),
        (1, host.revision(), DeliveryFailure::Fault(Fault::Panic))
    );
    host.client().sell("a", 1).unwrap();
    assert_eq!((lines(&host, "ledger").len(), lines(&host, "second").len()), (1, 1));
    assert_eq!(host.hook_failures("second"), None);
}

#[test]
fn handlers_of_handlers_follow_in_the_same_revision() {
    let host = shop_and_ledger();
    for (handler, source) in [("second", "ledger"), ("third", "second")] {
        host.create_space::<Ledger>(handler);
        host.bind(handler, source, "*", OnFailure::Reject);
    }
    host.bind("ledger", "shop", "*", OnFailure::Reject);
    host.client().shout("a", 2).unwrap();
    assert_eq!(lines(&host, "third").len(), 2);
    assert!(
        lines(&host, "third")[1].starts_with("second a: Some(\"ledger a: Some("),
        "{:?}",
        lines(&host, "third")
    );
    let at = |space| {
        host.events(space).into_iter().map(|(revision, number, ..)| (revision, number)).collect::<Vec<_>>()
    };
    assert_eq!(at("third"), [(host.revision(), 0), (host.revision(), 1)]);
    assert_eq!(at("third"), at("shop"));
}

#[test]
fn spaces_do_not_feed_each_other_in_a_circle() {
    let host = shop_and_ledger();
    host.create_space::<Ledger>("second");
    host.bind("second", "ledger", "*", OnFailure::Reject);
    let bind = |handler: &str, source: &str| {
        let name = |name| synod_sdk::abi::SpaceName::new(name).expect("a name");
        let binding = Binding {
            handler: name(handler),
            source: name(source),
            filter: synod_sdk::abi::TopicFilter::all(),
        };
        host.apply(Action::BindSpace { binding, on_failure: OnFailure::Reject })
    };
    assert_eq!(bind("ledger", "second"), Err(Rejection::BindingCircle));
    assert_eq!(bind("ledger", "ledger"), Err(Rejection::BindingCircle));
    assert_eq!(bind("shop", "ledger"), Err(Rejection::NoHandler));
    assert_eq!(bind("ledger", "none"), Err(Rejection::UnknownSpace));
}

#[test]
fn what_is_sent_runs_after_its_cause_and_in_order() {
    let host = shop_and_ledger();
    host.create_space::<Ledger>("second");
    host.bind("ledger", "shop", "*", OnFailure::Reject);
    host.client().delegate(vec!["ledger".into(), "second".into(), "ledger".into()], "write").unwrap();
    let expected = [
        "delegated 5",
        "shop ledger: Counted",
        "shop second: Counted",
        "delegated 5",
        "shop ledger: Counted",
    ];
    assert_eq!(lines(&host, "ledger"), expected, "as they were sent and emitted");
    assert_eq!(lines(&host, "second"), ["delegated 5"]);
}

#[test]
fn what_cannot_be_sent_rejects_its_cause() {
    let host = shop_and_ledger();
    let client = host.client();
    let send = |space: &str, operation: &str| {
        let refused = client
            .delegate(vec!["ledger".into(), space.into()], operation)
            .expect_err("it cannot be sent")
            .to_string();
        assert!(refused.contains("sent"), "{refused}");
        assert!(host.events("shop").is_empty() && lines(&host, "ledger").is_empty());
        refused
    };
    for (space, why) in [("nowhere", DeliveryFailure::Unknown), ("NOT A NAME", DeliveryFailure::Unknown)] {
        assert!(send(space, "write").contains(&why.to_string()), "{space}");
    }
    assert!(
        send("shop", "write").contains(&DeliveryFailure::Unknown.to_string()),
        "an operation of another recipe"
    );
    let client = host.client();
    let alone = |operation: &str| {
        client.delegate(vec!["shop".into()], operation).expect_err("it cannot be sent").to_string()
    };
    assert!(alone("wait").contains(&DeliveryFailure::WouldWait.to_string()));
    assert!(alone("stumble").contains(&Fault::BadArguments.to_string()));
    assert!(client.sell("a", 1).is_ok(), "instances and rows are as before");
}

#[test]
fn a_sent_operation_that_refuses_tells_its_code() {
    /// Sells what costs nothing.
    #[recipe(name = "fool", version = 1)]
    struct Fool {}
    #[ops]
    impl Fool {
        #[op]
        fn sell(&self, cx: &mut Ctx) {
            cx.send("shop", "sell", &("a", 0_u32));
        }
    }
    let host = TestHost::of::<Shop>();
    host.install::<Fool>();
    let refused = Fool::blocking(&host, "fool").sell().expect_err("it is refused").to_string();
    assert!(refused.contains(&DeliveryFailure::Refused { code: 4 }.to_string()), "{refused}");
}

#[test]
fn sends_that_never_end_are_too_deep() {
    let host = TestHost::of::<Shop>();
    let depth = limits::DELIVERY_DEPTH;
    host.client().echo("shop", depth).unwrap();
    assert_eq!(host.events("shop").len() as u32, depth + 1);
    let deep = host.client().echo("shop", depth + 1).expect_err("one too many").to_string();
    assert!(deep.contains(&Fault::TooDeepDelivery.to_string()), "{deep}");
    assert_eq!(host.events("shop").len() as u32, depth + 1);
}

#[test]
fn a_call_emits_so_much() {
    let host = TestHost::of::<Shop>();
    let fault = |result: Result<(), CallError<Never>>| match result {
        Err(CallError::Fault { fault, .. }) => fault,
        other => panic!("it was not ended: {other:?}"),
    };
    host.client().shout("a", limits::CALL_EVENTS as u32).unwrap();
    assert_eq!(fault(host.client().shout("a", limits::CALL_EVENTS as u32 + 1)), Some(Fault::TooManyEvents));
    for bad in [String::new(), "x".repeat(limits::EVENT_TOPIC_BYTES + 1)] {
        assert_eq!(fault(host.client().shout(bad, 1)), Some(Fault::BadTopic));
    }
    assert_eq!(host.events("shop").len(), limits::CALL_EVENTS);
}

#[test]
fn what_the_cluster_does_is_never_rejected() {
    let host = shop_and_ledger();
    host.bind("ledger", "shop", "*", OnFailure::Reject);
    let session = host.open_session();
    session.client().sell("a", 1).unwrap();
    let before = host.events("shop").len();
    session.close();
    assert_eq!(host.head().counts.sessions, 0);
    assert_eq!(host.events("shop").len() - before, 2, "the hook's events stay");
    assert_eq!(
        host.hook_failures("shop").map(|failures| (failures.count, failures.why)),
        Some((1, DeliveryFailure::Unknown))
    );
    assert!(
        lines(&host, "ledger").iter().any(|line| line == "shop gone: Counted"),
        "{:?}",
        lines(&host, "ledger")
    );
}

#[test]
fn a_call_that_waits_delivers_what_it_emitted_before() {
    let host = shop_and_ledger();
    host.bind("ledger", "shop", "wait", OnFailure::Reject);
    let session = host.open_session();
    let client = session.async_client();
    let waits = host.start(client.wait("", 0));
    assert!(waits.is_waiting());
    assert_eq!(lines(&host, "ledger"), ["shop wait: Counted"]);
}

#[test]
fn events_are_forgotten_up_to_a_revision() {
    let host = TestHost::of::<Shop>();
    (0..5).for_each(|amount| drop(host.client().shout("a", amount + 1)));
    let events = host.events("shop");
    let third = events.iter().find(|(_, number, ..)| *number == 2).expect("the third call emitted three").0;
    host.compact("shop", third);
    assert_eq!(host.events("shop"), events[6..]);
    let log = host.event_log("shop");
    assert_eq!((log.compacted, log.events), (third, 9));
    host.compact("shop", host.revision());
    assert!(host.events("shop").is_empty());
    host.client().shout("a", 1).unwrap();
    assert_eq!(host.events("shop").len(), 1, "and it goes on");
}

#[test]
fn a_space_that_is_deleted_takes_its_events_and_bindings_along() {
    let host = shop_and_ledger();
    host.bind("ledger", "shop", "*", OnFailure::Reject);
    host.client().sell("a", 1).unwrap();
    let name = |name| synod_sdk::abi::SpaceName::new(name).expect("a name");
    host.apply(Action::DeleteSpace { name: name("ledger") }).expect("it is there");
    host.client().sell("a", 13).unwrap();
    assert_eq!((host.head().counts.events, host.head().counts.bindings), (2, 0));
    host.apply(Action::DeleteSpace { name: name("shop") }).expect("it is there");
    assert_eq!((host.head().counts.events, host.head().counts.event_bytes), (0, 0));
    host.create_space::<Shop>("shop");
    assert!(host.events("shop").is_empty());
}

#[test]
fn events_of_another_type_are_refused() {
    let host = shop_and_ledger();
    let text = *catch_unwind(AssertUnwindSafe(|| host.events_of::<Line>("shop")))
        .unwrap_err()
        .downcast::<String>()
        .expect("a text");
    assert!(text.contains("shop does not emit") && text.contains("Line"), "{text}");
}

static EMITTED: AtomicU64 = AtomicU64::new(0);

/// What an unreliable recipe emits.
#[data]
pub struct Number {
    n: u64,
}

/// Emits what is in memory, and stores nothing.
#[recipe(name = "moody", version = 1, emits = Number)]
pub struct Moody {}

#[ops]
impl Moody {
    #[op]
    fn hum(&self, cx: &mut Ctx) {
        cx.emit("hum", &Number { n: EMITTED.fetch_add(1, Ordering::SeqCst) });
    }
}

#[test]
fn a_recipe_whose_events_differ_fails_its_test() {
    let dropped = catch_unwind(AssertUnwindSafe(|| {
        let host = TestHost::of::<Moody>();
        host.client().hum().unwrap();
    }));
    let text = dropped.unwrap_err().downcast::<String>().expect("the panic has a text");
    assert!(text.contains("not deterministic: among the events"), "{text}");
}
