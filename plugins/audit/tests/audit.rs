//! The audit trail as its readers see it, bound to other recipes.
use synod_audit::{
    Audit, AuditError, BYTES_CEILING, BYTES_DEFAULT, BYTES_FLOOR, EVENTS_CEILING, EVENTS_DEFAULT,
    KEEP_REMOVES, PAGE_BYTES, PAYLOAD_BYTES, RECORD_BYTES, Record, Size,
};
use synod_kv::{Change, Kv};
use synod_lock::{Lock, LockEvent};
use synod_sdk::abi::{decode, limits};
use synod_sdk::prelude::*;
use synod_test::{OnFailure, TestHost};

/// As long as it is asked to be.
#[data]
struct Noise {
    zeros: Blob,
}

/// Emits anything.
#[recipe(name = "source", version = 1, emits = Noise)]
struct Source {}

#[ops]
impl Source {
    /// Emits `count` events.
    #[op]
    fn emit(&self, cx: &mut Ctx, topic: String, bytes: u32, count: u32) {
        let noise = Noise { zeros: Blob::from(vec![0; bytes as usize]) };
        (0..count).for_each(|_| cx.emit(&topic, &noise));
    }
}

/// A host whose audit hears everything of `Source`.
fn bound() -> TestHost<Audit> {
    let host = TestHost::of::<Audit>();
    host.install::<Source>();
    host.bind("audit", "source", "*", OnFailure::Reject);
    host
}

fn emit(host: &TestHost<Audit>, topic: &str, bytes: usize, count: u32) {
    Source::blocking(host, "source").emit(topic, bytes as u32, count).expect("it is recorded");
}

fn size(host: &TestHost<Audit>) -> Size {
    host.client().size().expect("it can be asked")
}

/// The whole trail, page by page.
fn trail(host: &TestHost<Audit>) -> Vec<Record> {
    let mut trail = Vec::<Record>::new();
    loop {
        let page =
            host.client().trail(trail.last().map(|record| record.number), None).expect("it can be asked");
        if page.is_empty() {
            return trail;
        }
        trail.extend(page);
    }
}

#[test]
fn what_took_effect_is_in_the_trail_in_order_and_what_did_not_is_not() {
    let host = TestHost::of::<Audit>();
    host.install::<Kv>();
    host.install::<Lock>();
    host.bind("audit", "kv", "config/", OnFailure::Reject);
    host.bind("audit", "lock", "*", OnFailure::Reject);
    let (kv, session) = (Kv::blocking(&host, "kv"), host.open_session());
    let lock = Lock::blocking(&session, "lock");
    let put = kv.put("config/a", "one").unwrap();
    kv.put("state/a", "not bound").unwrap();
    kv.compare_and_set("config/a", Revision(0), "two").rejection();
    let held = lock.acquire("db", None).unwrap();
    let granted = host.revision();
    assert!(kv.delete("config/a").unwrap());
    let deleted = host.revision();
    session.expire();
    let told: Vec<_> = trail(&host)
        .into_iter()
        .map(|record| (record.number, record.space, record.topic, record.revision))
        .collect();
    let expected = [
        (1, "kv", "config/a", put.revision),
        (2, "lock", "db", granted),
        (3, "kv", "config/a", deleted),
        (4, "lock", "db", host.revision()),
    ];
    assert_eq!(
        told,
        expected.map(|(number, space, topic, revision)| (number, space.into(), topic.into(), revision))
    );
    let records = trail(&host);
    let changes =
        [Change::Put { value: "one".into(), version: 1, create_revision: put.revision }, Change::Deleted];
    assert_eq!([&records[0], &records[2]].map(|record| decode::<Change>(&record.payload).unwrap()), changes);
    let LockEvent::Released { token, .. } = decode(&records[3].payload).unwrap() else {
        panic!("the session has ended")
    };
    assert_eq!(token, held.token);
    assert!(
        records
            .iter()
            .all(|record| record.time == host.now() && record.payload_bytes as usize == record.payload.len())
    );
}

#[test]
fn an_unbound_space_is_not_recorded_and_the_trail_stays() {
    let host = bound();
    emit(&host, "a", 1, 2);
    host.unbind("audit", "source", "*");
    emit(&host, "b", 1, 1);
    assert_eq!((trail(&host).len(), size(&host).last), (2, 2));
}

#[test]
fn a_trail_keeps_the_newest_and_tells_what_is_gone() {
    let host = bound();
    let empty = Size { events: 0, bytes: 0, last: 0, keep_events: EVENTS_DEFAULT, keep_bytes: BYTES_DEFAULT };
    assert_eq!((size(&host), trail(&host)), (empty, vec![]));
    host.client().keep(3, BYTES_CEILING).unwrap();
    emit(&host, "a", 1, 2);
    emit(&host, "b", 1, 5);
    let numbers: Vec<_> = trail(&host).iter().map(|record| record.number).collect();
    assert_eq!((numbers, size(&host).events, size(&host).last), (vec![5, 6, 7], 3, 7));
    assert_eq!(
        host.client().trail(Some(2), Some(2)).unwrap().iter().map(|record| record.number).collect::<Vec<_>>(),
        [5, 6]
    );
    assert_eq!(host.client().keep(1, BYTES_CEILING).unwrap().events, 1);
    assert_eq!(trail(&host).iter().map(|record| record.number).collect::<Vec<_>>(), [7]);
}

#[test]
fn bounds_are_said_and_hold() {
    let host = bound();
    let audit = host.client();
    let bad =
        [(0, BYTES_FLOOR), (EVENTS_CEILING + 1, BYTES_FLOOR), (1, BYTES_FLOOR - 1), (1, BYTES_CEILING + 1)];
    for (events, bytes) in bad {
        assert_eq!(audit.keep(events, bytes).rejection(), AuditError::OutOfBounds);
    }
    audit.keep(EVENTS_CEILING, BYTES_CEILING).unwrap();
    audit.keep(100, BYTES_FLOOR).unwrap();
    let longest = "t".repeat(limits::EVENT_TOPIC_BYTES);
    for n in 0..200 {
        let (topic, bytes) =
            if n % 7 == 0 { (longest.as_str(), PAYLOAD_BYTES * (n / 7)) } else { ("t", n % 5) };
        emit(&host, topic, bytes.min(limits::EVENT_PAYLOAD_BYTES - 8), 1);
        let (size, trail) = (size(&host), trail(&host));
        assert!(
            size.events <= size.keep_events && size.bytes <= size.keep_bytes && size.events > 0,
            "{size:?}"
        );
        let bytes = |record: &Record| {
            (record.space.len() + record.topic.len() + record.payload.len()) as u64 + RECORD_BYTES
        };
        assert_eq!((size.events, size.bytes), (trail.len() as u64, trail.iter().map(bytes).sum()));
        assert_eq!(trail.last().map(|record| record.number), Some(size.last));
        assert!(trail.iter().zip(&trail[1..]).all(|(one, next)| one.number + 1 == next.number));
    }
}

#[test]
fn of_a_long_payload_the_beginning_is_kept() {
    let host = bound();
    emit(&host, "long", limits::EVENT_PAYLOAD_BYTES - 3, 1);
    emit(&host, "short", PAYLOAD_BYTES - 2, 1);
    let records = trail(&host);
    assert_eq!(
        (records[0].payload.len(), records[0].payload_bytes as usize),
        (PAYLOAD_BYTES, limits::EVENT_PAYLOAD_BYTES)
    );
    assert_eq!((records[1].payload.len(), records[1].payload_bytes as usize), (PAYLOAD_BYTES, PAYLOAD_BYTES));
    assert_eq!(decode::<Noise>(&records[1].payload).unwrap().zeros.len(), PAYLOAD_BYTES - 2);
}

#[test]
fn a_large_trail_comes_in_pages_and_goes_in_steps() {
    let host = bound();
    let topic = "t".repeat(limits::EVENT_TOPIC_BYTES);
    let events = 2_100;
    for _ in 0..events / 50 {
        emit(&host, &topic, PAYLOAD_BYTES, 50);
    }
    let kept = size(&host);
    assert!(
        kept.events < events && kept.bytes <= BYTES_DEFAULT && kept.bytes + 8_192 > BYTES_DEFAULT,
        "{kept:?}"
    );
    let page = host.client().trail(None, None).unwrap();
    let bytes: usize = page.iter().map(|record| record.payload.len()).sum();
    assert!(bytes as u64 + 8_192 > PAGE_BYTES * 4 / 5 && bytes < limits::REPLY_BYTES, "{bytes}");
    assert_eq!(trail(&host).len() as u64, kept.events);
    let audit = host.client();
    let left = audit.keep(1, BYTES_DEFAULT).unwrap();
    assert_eq!(left.events, kept.events - KEEP_REMOVES as u64, "one call removes so many");
    assert!(host.fuel_used() < limits::CALL_FUEL / 10, "{} of fuel", host.fuel_used());
    let before = host.revision();
    while size(&host).events > 1 {
        emit(&host, "t", 0, 1);
    }
    assert!(host.revision().0 - before.0 < 16, "events remove the rest");
    assert_eq!((trail(&host).len(), host.rows("audit")), (1, 2));
}
