//! Unit tests of `scaffold`.
use super::*;

fn cache(dir: &tempfile::TempDir) -> Environment {
    Environment::of([("XDG_CACHE_HOME".into(), dir.path().join("cache").into())])
}

#[test]
fn names_become_types() {
    assert_eq!(type_name("rate-limit"), "RateLimit");
    assert_eq!(type_name("a-1b"), "A1b");
}

#[test]
fn names_that_cargo_would_refuse_are_refused() {
    for name in
        ["", "-a", "1a", "A", "a_b", "a.b", "a-", "a--b", "fn", "test", "synod-sdk", "ä", &"a".repeat(65)]
    {
        assert!(matches!(check_name(name), Err(BuildError::BadName { .. })), "{name}");
    }
    check_name(&"a".repeat(64)).unwrap();
}

#[test]
fn a_new_recipe_holds_no_path_of_this_machine() {
    let dir = tempfile::tempdir().unwrap();
    let recipe = dir.path().join("rate-limit");
    create_in("rate-limit", &recipe, None, &cache(&dir)).unwrap();
    for (path, _) in TEMPLATES {
        let text = fs::read_to_string(recipe.join(path)).unwrap();
        assert!(!text.contains("{{") && !text.contains(dir.path().to_str().unwrap()), "{path}: {text}");
    }
    assert!(recipe.join(".synod/guest-sdk/sdk/src/lib.rs").is_file());
}

#[test]
fn a_folder_in_use_and_a_file_stay_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("mine"), "mine").unwrap();
    for taken in [dir.path().to_owned(), dir.path().join("mine")] {
        assert!(matches!(create_in("a", &taken, None, &cache(&dir)), Err(BuildError::NotEmpty { .. })));
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn the_link_is_restored_when_missing_broken_or_of_another_version() {
    let dir = tempfile::tempdir().unwrap();
    let recipe = dir.path().join("a");
    create_in("a", &recipe, None, &cache(&dir)).unwrap();
    let right = fs::read_link(recipe.join(LINK)).unwrap();
    let other = right.with_file_name("0.0.1-0123");
    fs::create_dir_all(other.join("guest-sdk/sdk")).unwrap();
    fs::write(other.join("guest-sdk/sdk/Cargo.toml"), "").unwrap();
    for wrong in [None, Some(Path::new("/nonexistent")), Some(&*other)] {
        fs::remove_file(recipe.join(LINK)).unwrap();
        if let Some(wrong) = wrong {
            symlink(wrong, recipe.join(LINK)).unwrap();
        }
        restore_link(&recipe, &cache(&dir)).unwrap();
        assert_eq!(fs::read_link(recipe.join(LINK)).unwrap(), right, "{wrong:?}");
    }
}

#[test]
fn a_link_to_a_checkout_stays() {
    let dir = tempfile::tempdir().unwrap();
    let (recipe, checkout) = (dir.path().join("a"), dir.path().join("checkout"));
    assert!(matches!(
        create_in("a", &recipe, Some(&checkout), &cache(&dir)),
        Err(BuildError::NotAnSdk { .. })
    ));
    fs::create_dir_all(checkout.join("guest-sdk/sdk")).unwrap();
    fs::write(checkout.join("guest-sdk/sdk/Cargo.toml"), "").unwrap();
    create_in("a", &recipe, Some(&checkout), &cache(&dir)).unwrap();
    restore_link(&recipe, &cache(&dir)).unwrap();
    assert_eq!(fs::read_link(recipe.join(LINK)).unwrap(), fs::canonicalize(&checkout).unwrap());
}
