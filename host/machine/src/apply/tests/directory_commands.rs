//! Installing, replacing and removing recipes; creating, upgrading, deleting and listing spaces.
use synod_abi::{AdmissionError, Direction, SpaceId, limits};

use super::*;

#[test]
fn installing_is_idempotent_by_hash_and_versions_are_immutable() {
    let mut member = Member::formed();
    let installed =
        |already| Ok(Reply::Installed { recipe: script(1), hash: module_hash(SCRIPT_1), already });
    assert_eq!(member.one(install(SCRIPT_1)), installed(true));
    assert_eq!(
        member.one(install(SCRIPT_1_DOCS)),
        Err(Rejection::RecipeExists { hash: module_hash(SCRIPT_1) })
    );
    let broken = install(b"\x01broken");
    assert!(matches!(member.one(broken), Err(Rejection::NotAdmitted(AdmissionError::BadSchema(_)))));
    let record = directory::recipe(&member.state, &script(1)).unwrap().unwrap();
    assert_eq!(
        (record.hash, record.module_bytes, record.spaces),
        (module_hash(SCRIPT_1), SCRIPT_1.len() as u64, 1)
    );
    assert_eq!(directory::module(&member.state, record.hash).unwrap().as_deref(), Some(SCRIPT_1));
    assert_eq!(directory::schema(&member.state, record.hash).unwrap().unwrap().recipe, script(1));
}

#[test]
fn replacing_moves_the_spaces_of_the_recipe_in_the_same_entry() {
    let mut member = Member::formed();
    let replace = |module: &[u8]| Action::InstallRecipe { module: module.into(), replace: true };
    let incompatible = Incompatible { name: "look".into(), change: Change::Removed };
    assert_eq!(member.one(replace(SCRIPT_1_BREAKING)), Err(Rejection::IncompatibleUpgrade(incompatible)));
    let applied = member.apply(
        0,
        [
            call(1, &[Step::Remember, put("k", "v")]),
            replace(SCRIPT_1_DOCS),
            call(1, &[Step::Remember, get("k")]),
        ],
    );
    assert_eq!(seen(applied.outcomes[2].outcome.result.as_ref().unwrap()), ["1", "v"]);
    assert!(applied.directory_changed);
    let space = directory::space(&member.state, &space("a")).unwrap().unwrap();
    assert_eq!((space.module, space.recipe), (module_hash(SCRIPT_1_DOCS), script(1)));
    assert_eq!(directory::module(&member.state, module_hash(SCRIPT_1)).unwrap(), None);
    assert_eq!(member.machine.head().counts.recipes, 1);
}

#[test]
fn a_recipe_in_use_is_not_removed() {
    let mut member = Member::formed();
    let remove = || Action::RemoveRecipe { recipe: script(1) };
    assert_eq!(member.one(remove()), Err(Rejection::RecipeInUse));
    assert_eq!(member.one(Action::DeleteSpace { name: space("a") }), Ok(Reply::Done));
    assert_eq!(member.one(remove()), Ok(Reply::Done));
    assert_eq!(member.one(remove()), Err(Rejection::UnknownRecipe));
    assert_eq!(member.one(create("a")), Err(Rejection::UnknownRecipe));
    assert_eq!(member.state.rows(Table::Recipes).count(), 0);
    assert_eq!((member.machine.head().counts.recipes, member.machine.head().counts.spaces), (0, 0));
}

#[test]
fn installed_modules_are_listed_and_their_changes_noticed() {
    let mut member = Member::formed();
    let changed = |member: &mut Member, action| directory::change_modules(&member.apply(0, [action]).writes);
    assert_eq!(directory::installed(&member.state), Ok([module_hash(SCRIPT_1)].into()));
    assert!(changed(&mut member, install(SCRIPT_2)));
    assert!(!changed(&mut member, install(SCRIPT_2)), "it is installed already");
    assert!(!changed(&mut member, create("b")));
    assert!(changed(&mut member, Action::InstallRecipe { module: SCRIPT_1_DOCS.into(), replace: true }));
    assert_eq!(
        directory::installed(&member.state),
        Ok([module_hash(SCRIPT_1_DOCS), module_hash(SCRIPT_2)].into())
    );
    assert!(!changed(&mut member, Action::DeleteSpace { name: space("b") }));
    assert!(changed(&mut member, Action::RemoveRecipe { recipe: script(2) }));
    assert_eq!(directory::installed(&member.state), Ok([module_hash(SCRIPT_1_DOCS)].into()));
}

#[test]
fn creating_a_space_is_idempotent_and_takes_the_largest_version() {
    let mut member = Member::formed();
    let space_reply =
        |id, version, already| Ok(Reply::Space { space: SpaceId(id), recipe: script(version), already });
    assert_eq!(member.one(create("a")), space_reply(1, 1, true));
    member.one(install(SCRIPT_2)).unwrap();
    member.one(install(OTHER_1)).unwrap();
    assert_eq!(member.one(create("a")), space_reply(1, 1, true));
    assert_eq!(member.one(create("b")), space_reply(2, 2, false));
    let other = |version| Action::CreateSpace { name: space("b"), recipe: script(1).name, version };
    assert_eq!(member.one(other(Some(1))), Err(Rejection::SpaceExists { recipe: script(2) }));
    assert_eq!(member.one(other(Some(2))), space_reply(2, 2, true));
    let unknown = Action::CreateSpace { name: space("c"), recipe: script(1).name, version: Some(9) };
    assert_eq!(member.one(unknown), Err(Rejection::UnknownRecipe));
}

#[test]
fn an_upgrade_keeps_the_rows_and_only_appends() {
    let mut member = Member::formed();
    member.run(&[put("k", "v")]).unwrap();
    let upgrade = |to| Action::UpgradeSpace { name: space("a"), to };
    assert_eq!(member.one(upgrade(2)), Err(Rejection::UnknownRecipe));
    member.one(install(SCRIPT_2)).unwrap();
    member.one(install(SCRIPT_3)).unwrap();
    let applied =
        member.apply(0, [call(1, &[Step::Remember]), upgrade(2), call(1, &[Step::Remember, get("k")])]);
    assert_eq!(
        seen(applied.outcomes[2].outcome.result.as_ref().unwrap()),
        ["1", "v"],
        "another module has another instance"
    );
    let refused =
        |name: &str, change| Err(Rejection::IncompatibleUpgrade(Incompatible { name: name.into(), change }));
    assert_eq!(member.one(upgrade(1)), refused("2", Change::NotNewer));
    let same = Reply::Space { space: SpaceId(1), recipe: script(2), already: true };
    assert_eq!(member.one(upgrade(2)), Ok(same), "it is there already");
    assert_eq!(member.one(upgrade(3)), refused("look", Change::Removed));
    assert_eq!(member.one(Action::UpgradeSpace { name: space("none"), to: 2 }), Err(Rejection::UnknownSpace));
    let uses =
        [1, 2].map(|version| directory::recipe(&member.state, &script(version)).unwrap().unwrap().spaces);
    assert_eq!(uses, [0, 1]);
}

#[test]
fn a_deleted_space_takes_its_rows_along_and_its_id_is_not_used_again() {
    let mut member = Member::formed();
    member.one(create("b")).unwrap();
    member.apply(0, [call(1, &[put("k", "1"), put("l", "1")]), call(2, &[put("k", "2")])]);
    let applied = member.apply(
        0,
        [
            call(1, &[put("m", "1")]),
            Action::DeleteSpace { name: space("a") },
            call(1, &[get("k")]),
            create("a"),
            call(3, &[get("k"), get("m"), put("k", "3")]),
            call(2, &[range("", "", Direction::Forward, 9)]),
        ],
    );
    let results: Vec<_> = outcomes(&applied).iter().map(|outcome| outcome.result.clone()).collect();
    assert_eq!(results[2], Err(Rejection::UnknownSpace));
    assert_eq!(results[3], Ok(Reply::Space { space: SpaceId(3), recipe: script(1), already: false }));
    assert_eq!(seen(results[4].as_ref().unwrap()), ["absent", "absent"]);
    assert_eq!(seen(results[5].as_ref().unwrap()), ["k=2", "end"]);
    assert!(member.state.rows(Table::State).all(|(key, _)| !key.starts_with(&1_u32.to_be_bytes())));
    assert_eq!(member.one(Action::DeleteSpace { name: space("none") }), Err(Rejection::UnknownSpace));
    assert_eq!(member.run(&[]), Err(Rejection::UnknownSpace));
}

#[test]
fn a_space_created_filled_and_deleted_in_one_entry_leaves_no_rows() {
    let mut member = Member::formed();
    let rows = member.machine.head().rows;
    member.apply(0, [create("b"), call(2, &[put("k", "v")]), Action::DeleteSpace { name: space("b") }]);
    assert_eq!(member.machine.head().rows, rows);
}

#[test]
fn spaces_and_recipes_are_listed_by_name_in_pages() {
    let mut member = Member::formed();
    for name in ["c", "b/x", "b", "d"] {
        member.one(create(name)).unwrap();
    }
    member.one(install(SCRIPT_2)).unwrap();
    member.one(install(OTHER_1)).unwrap();
    let (mut names, mut after) = (Vec::new(), None);
    loop {
        let page = directory::spaces(&member.state, after.as_ref(), 2).unwrap();
        names.extend(page.items.iter().map(|space| space.name.to_string()));
        after = page.items.last().map(|space| space.name.clone());
        if !page.more {
            break;
        }
    }
    assert_eq!(names, ["a", "b", "b/x", "c", "d"]);
    let first = directory::recipes(&member.state, None, 2).unwrap();
    let shown: Vec<_> = first.items.iter().map(|recipe| recipe.recipe.to_string()).collect();
    assert_eq!((shown, first.more), (vec!["other@1".into(), "script@1".to_string()], true));
    let rest = directory::recipes(&member.state, Some(&script(1)), 2).unwrap();
    assert_eq!((rest.items[0].recipe.clone(), rest.items.len(), rest.more), (script(2), 1, false));
    assert_eq!(directory::latest(&member.state, &script(1).name).unwrap().unwrap().recipe, script(2));
    assert_eq!(directory::space_by_id(&member.state, SpaceId(1)).unwrap().unwrap().name, space("a"));
}

#[test]
fn the_number_of_recipes_and_spaces_is_limited() {
    let mut member = Member::formed();
    member.machine.head.counts.recipes = limits::RECIPES as u32;
    member.machine.head.counts.spaces = limits::SPACES as u32;
    assert_eq!(member.one(install(SCRIPT_2)), Err(Rejection::TooMany { what: Counted::Recipes }));
    assert_eq!(member.one(create("b")), Err(Rejection::TooMany { what: Counted::Spaces }));
    member.machine.head.counts.spaces = 1;
    member.machine.head.last_space = u32::MAX;
    assert_eq!(member.one(create("b")), Err(Rejection::TooMany { what: Counted::SpaceIds }));
}
