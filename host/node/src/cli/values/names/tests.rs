//! Unit tests of `values::names`.
use super::*;

#[test]
fn recipes_are_named_with_or_without_a_version() {
    assert_eq!("kv".parse(), Ok(RecipeAt { name: "kv".into(), version: None }));
    assert_eq!("kv@3".parse(), Ok(RecipeAt { name: "kv".into(), version: Some(3) }));
    for bad in ["", "kv@", "kv@0", "kv@x", "K", "a/b"] {
        assert!(bad.parse::<RecipeAt>().is_err(), "{bad}");
    }
}

#[test]
fn a_recipe_is_shown_with_its_version() {
    let recipe = RecipeRef { name: "kv".into(), version: 2 };
    assert_eq!(recipe_text(Some(&recipe)), "kv@2");
    assert_eq!(recipe_text(None), "");
}
