//! Unit tests of `compile`: limits before proposal, none after, and what is not compiled.
use super::*;
use crate::fixtures::{DONE, recipe};

fn proposed() -> Terms {
    Terms::Proposed(Wanted::always())
}

#[test]
fn both_codes_are_made_and_belong_to_this_build() {
    let module: Arc<[u8]> = recipe(DONE, "").into();
    let code = InProcess.compile(&first(), &module, &proposed()).expect("it compiles");
    assert!(!code.apply.is_empty() && !code.query.is_empty() && code.apply != code.query);
}

fn first() -> [u8; 32] {
    let running = engine::engine(Edition::First, Kind::Apply).expect("the engine starts");
    engine::fingerprint(Edition::First, &running)
}

#[test]
fn for_an_edition_of_another_build_nothing_is_compiled() {
    let module: Arc<[u8]> = recipe(DONE, "").into();
    let died = InProcess.compile(&[0; 32], &module, &Terms::Committed);
    assert!(matches!(&died, Err(CompileError::Died(why)) if why.contains("another build")), "{died:?}");
}

#[test]
fn bytes_that_are_no_module_are_refused_by_the_compiler() {
    let refused = InProcess.compile(&first(), &Arc::from(&b"\0asm\x01\0\0\0\xff"[..]), &Terms::Committed);
    assert!(matches!(refused, Err(CompileError::Refused(_))), "{refused:?}");
}

#[test]
fn a_result_that_nobody_wants_is_not_waited_for() {
    let (wanted, wanted_by) = Wanted::new();
    let (_sender, result) = mpsc::channel::<()>();
    drop(wanted_by);
    assert_eq!(wait(&result, &Terms::Proposed(wanted)), Err(CompileError::Abandoned));
}

#[test]
fn a_compiler_that_goes_without_a_word_died() {
    let (sender, result) = mpsc::channel::<()>();
    drop(sender);
    assert!(matches!(wait(&result, &Terms::Committed), Err(CompileError::Died(_))));
}

#[test]
fn only_what_is_not_committed_has_limits() {
    assert_eq!(proposed().timeout(), Some(Duration::from_millis(COMPILE_TIMEOUT_MS)));
    assert_eq!(Terms::Committed.timeout(), None);
    assert!(!Terms::Committed.is_abandoned());
}
