//! Unit tests of `space`.
use super::*;
use synod_client::api::{Fault, HookFailures};

#[test]
fn a_space_is_shown_with_its_recipe() {
    let recipe = RecipeRef { name: "kv".into(), version: 2 };
    let failed =
        HookFailures { count: 3, revision: 9, fault: Fault::Panic.into(), why: "it panicked".into() };
    let hook_failures = Some(failed);
    let space = SpaceInfo {
        name: "team/kv".into(),
        id: 7,
        recipe: Some(recipe.clone()),
        hook_failures,
        ..SpaceInfo::default()
    };
    let json = to_json(&space);
    assert_eq!(
        json["hook_failures"],
        json!({"count": 3, "revision": 9, "fault": "FAULT_PANIC", "why": "it panicked"})
    );
    assert_eq!(
        (&json["name"], &json["id"], &json["recipe"], &json["version"]),
        (&json!("team/kv"), &json!(7), &json!("kv"), &json!(2))
    );
    assert_eq!((&json["events"], &json["bindings"]), (&Value::Null, &json!([])));
    assert_eq!(recipe_text(Some(&recipe)), "kv@2");
    assert_eq!(recipe_text(None), "");
}
