//! Unit tests of `values::json`.
use super::*;
use synod_client::api::{Fault, RecipeRef};

#[test]
fn a_space_has_its_recipe_and_its_failures() {
    let recipe = RecipeRef { name: "kv".into(), version: 2 };
    let failed =
        HookFailures { count: 3, revision: 9, fault: Fault::Panic.into(), why: "it panicked".into() };
    let hook_failures = Some(failed);
    let info = SpaceInfo {
        name: "team/kv".into(),
        id: 7,
        recipe: Some(recipe),
        hook_failures,
        ..SpaceInfo::default()
    };
    let json = space(&info);
    assert_eq!(
        json["hook_failures"],
        json!({"count": 3, "revision": 9, "fault": "FAULT_PANIC", "why": "it panicked"})
    );
    assert_eq!(
        (&json["name"], &json["id"], &json["recipe"], &json["version"]),
        (&json!("team/kv"), &json!(7), &json!("kv"), &json!(2))
    );
    assert_eq!((&json["events"], &json["bindings"]), (&Value::Null, &json!([])));
}

#[test]
fn events_and_bindings_are_whole() {
    let retention = Retention { events: Some(10), bytes: Some(1 << 20), age_ms: Some(86_400_000) };
    let log = EventLog { events: 2, retention: Some(retention), ..EventLog::default() };
    assert_eq!(event_log(&log)["retention"]["age_ms"], 86_400_000);
    let bound = Binding { space: "audit".into(), source: "kv".into(), prefix: true, ..Binding::default() };
    assert_eq!(binding(&bound)["topics"], "*");
}
