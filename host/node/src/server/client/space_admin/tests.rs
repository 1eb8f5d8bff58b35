//! Unit tests of `space_admin`.
use synod_abi::TopicFilter;

use super::*;

#[test]
fn a_binding_names_two_spaces_and_topics() {
    let wire = api::Binding {
        space: "audit".into(),
        source: "kv".into(),
        topic: "config/".into(),
        prefix: true,
        ..api::Binding::default()
    };
    let (read, on_failure) = binding(Some(wire.clone())).expect("good");
    assert_eq!((read.handler.as_str(), read.source.as_str(), on_failure), ("audit", "kv", OnFailure::Reject));
    assert_eq!(read.filter, TopicFilter::Prefix("config/".into()));
    let skip = api::Binding { on_failure: api::OnFailure::Skip.into(), ..wire.clone() };
    assert_eq!(binding(Some(skip)).expect("good").1, OnFailure::Skip);
    let table = [
        (None, Reason::InvalidArguments, "binding"),
        (Some(api::Binding { space: "A!".into(), ..wire.clone() }), Reason::InvalidName, "binding.space"),
        (Some(api::Binding { source: String::new(), ..wire }), Reason::InvalidName, "binding.source"),
    ];
    for (wire, reason, field) in table {
        let Err(CallFailure::Rejected(rejected)) = binding(wire) else { panic!("rejected") };
        assert_eq!((rejected.reason, rejected.field.as_deref()), (reason, Some(field)));
    }
}
