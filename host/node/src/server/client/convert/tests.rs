//! Unit tests of `convert`.
use synod_machine::DeliveryFailure;

use super::*;

#[test]
fn deadlines_of_grpc_are_understood() {
    let table = [
        ("5S", Some(Duration::from_secs(5))),
        ("100m", Some(Duration::from_millis(100))),
        ("1H", Some(Duration::from_secs(3_600))),
        ("7u", Some(Duration::from_micros(7))),
        ("", None),
        ("S", None),
        ("5", None),
        ("123456789S", None),
        ("-1S", None),
        ("5ü", None),
    ];
    for (text, expected) in table {
        assert_eq!(grpc_timeout(text), expected, "{text}");
    }
}

#[test]
fn a_failed_handler_is_told_with_its_fault_and_in_words() {
    let failures = |why| hook_failures(HookFailures { count: 3, revision: Revision(9), why });
    let fault = failures(DeliveryFailure::Fault(synod_abi::Fault::Panic));
    assert_eq!((fault.count, fault.revision, fault.fault()), (3, 9, api::Fault::Panic));
    let refused = failures(DeliveryFailure::Refused { code: 7 });
    assert_eq!((refused.fault(), refused.why.as_str()), (api::Fault::Unspecified, "it refused with code 7"));
}

#[test]
fn what_a_space_keeps_is_told_with_its_limits() {
    let log = EventLog {
        compacted: Revision(4),
        last: Revision(9),
        events: 2,
        bytes: 80,
        oldest_at: Some(Time(7)),
        ..EventLog::default()
    };
    let told = event_log(&log);
    assert_eq!(
        (told.compacted_revision, told.last_revision, told.events, told.bytes, told.oldest_at_ms),
        (4, 9, 2, 80, 7)
    );
    let retention = told.retention.expect("it is there");
    assert_eq!(retention.events, Some(synod_abi::limits::EVENTS_DEFAULT));
    assert_eq!(
        (event_log(&EventLog::default()).oldest_at_ms, retention.age_ms),
        (0, Some(synod_abi::limits::EVENT_AGE_DEFAULT_MS))
    );
}

#[test]
fn no_arguments_are_an_empty_object() {
    assert_eq!(args(None), Args::Json(String::new()));
    assert_eq!(args(Some(Value { form: None, signature: 7 })), Args::Json(String::new()));
    let postcard = Value { form: Some(Form::Postcard(vec![1])), signature: 7 };
    assert_eq!(args(Some(postcard)), Args::Postcard { bytes: vec![1], signature: 7 });
}
