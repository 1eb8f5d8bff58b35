//! Unit tests of the crate root.
use super::*;

#[test]
fn every_recipe_is_a_module_under_a_name_of_its_own() {
    assert!(RECIPES.is_sorted_by(|a, b| a.name < b.name));
    for recipe in RECIPES {
        assert_eq!(recipe.module.first_chunk(), Some(b"\0asm\x01\0\0\0"), "{}", recipe.name);
        assert_eq!(super::recipe(recipe.name), Some(recipe));
    }
    assert_eq!(recipe("absent"), None);
}

#[test]
fn no_module_tells_where_it_was_built() {
    let here = [env!("CARGO_MANIFEST_DIR").trim_end_matches("/plugins/bundle"), "/.cargo/", "/.rustup/"];
    for recipe in RECIPES {
        for path in here {
            let found = recipe.module.windows(path.len()).any(|window| window == path.as_bytes());
            assert!(!found, "{} holds {path}", recipe.name);
        }
    }
}
