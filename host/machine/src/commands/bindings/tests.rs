//! Which bindings there may be, and what changes them.
use synod_abi::{InvalidTopic, Revision, SpaceId, TopicFilter, limits};

use crate::rows::events::{StoredBinding, bindings_of_handler, bindings_of_source};
use crate::testing::*;
use crate::*;

/// Spaces `a` to `d`, with ids from 1.
fn member() -> Member {
    let mut member = Member::formed();
    for name in ["b", "c", "d"] {
        member.one(create(name)).unwrap();
    }
    member
}

fn bound(already: bool) -> Result<Reply, Rejection> {
    Ok(Reply::Bound { already })
}

/// The bindings of which a space is the source: handler, filter, what becomes of failures, and
/// revision.
fn bindings(member: &Member, source: u32) -> Vec<(u32, String, OnFailure, u64)> {
    let show = |record: events::BindingRecord| {
        let StoredBinding { on_failure, bound } = record.stored;
        (record.handler.0, record.filter.to_string(), on_failure, bound.0)
    };
    bindings_of_source(&member.state, SpaceId(source)).unwrap().into_iter().map(show).collect()
}

#[test]
fn bindings_are_kept_in_the_order_in_which_they_run() {
    let mut member = member();
    let first = member.machine.head().revision.0 + 1;
    for (handler, filter, on_failure) in [
        ("c", "", OnFailure::Reject),
        ("b", "x*", OnFailure::Skip),
        ("b", "x", OnFailure::Reject),
        ("b", "config/", OnFailure::Skip),
    ] {
        assert_eq!(member.one(bind(handler, "a", filter, on_failure)), bound(false));
    }
    let expected = [
        (2, "x", OnFailure::Reject, first + 2),
        (2, "config/", OnFailure::Skip, first + 3),
        (2, "x*", OnFailure::Skip, first + 1),
        (3, "*", OnFailure::Reject, first),
    ];
    assert_eq!(
        bindings(&member, 1),
        expected.map(|(handler, filter, on_failure, at)| (handler, filter.into(), on_failure, at))
    );
    let of_handler = bindings_of_handler(&member.state, SpaceId(3)).unwrap();
    assert_eq!(of_handler, [(SpaceId(1), TopicFilter::all())]);
    assert_eq!(member.machine.head().counts.bindings, 4);
}

#[test]
fn the_same_binding_again_changes_what_becomes_of_failures() {
    let mut member = member();
    assert_eq!(member.one(bind("b", "a", "", OnFailure::Reject)), bound(false));
    let at = member.machine.head().revision.0;
    assert_eq!(member.one(bind("b", "a", "", OnFailure::Reject)), bound(true));
    assert_eq!(member.one(bind("b", "a", "*", OnFailure::Skip)), bound(true));
    assert_eq!(bindings(&member, 1), [(2, "*".into(), OnFailure::Skip, at)]);
    assert_eq!(member.one(unbind("b", "a", "")), Ok(Reply::Done));
    assert_eq!(member.one(unbind("b", "a", "")), Err(Rejection::UnknownBinding));
    assert_eq!(
        (member.machine.head().counts.bindings, member.machine.head().revision),
        (0, Revision(at + 3))
    );
}

#[test]
fn what_cannot_be_bound_says_why() {
    let mut member = member();
    member.one(install(OTHER_1)).unwrap();
    let hookless = Action::CreateSpace {
        name: space("other"),
        recipe: synod_abi::RecipeName::new("other").unwrap(),
        version: None,
    };
    member.one(hookless).unwrap();
    let revision = member.machine.head().revision;
    let long = "x".repeat(limits::EVENT_TOPIC_BYTES + 1);
    let cases = [
        (bind("none", "a", "", OnFailure::Reject), Rejection::UnknownSpace),
        (bind("a", "none", "", OnFailure::Reject), Rejection::UnknownSpace),
        (bind("other", "a", "", OnFailure::Reject), Rejection::NoHandler),
        (bind("b", "a", &long, OnFailure::Reject), Rejection::InvalidTopic(InvalidTopic::TooLong)),
        (
            bind("b", "a", &format!("{long}*"), OnFailure::Reject),
            Rejection::InvalidTopic(InvalidTopic::TooLong),
        ),
        (bind("a", "a", "", OnFailure::Reject), Rejection::BindingCircle),
        (unbind("none", "a", ""), Rejection::UnknownSpace),
        (unbind("b", "none", ""), Rejection::UnknownSpace),
        (unbind("b", "a", ""), Rejection::UnknownBinding),
    ];
    for (action, why) in cases {
        assert_eq!(member.one(action.clone()), Err(why), "{action:?}");
    }
    assert_eq!(
        member.one(bind("b", "other", "", OnFailure::Reject)),
        bound(false),
        "a source needs no handler"
    );
    assert_eq!(member.machine.head().revision.0, revision.0 + 1);
}

#[test]
fn bindings_form_no_circle() {
    let mut member = member();
    for (handler, source) in [("b", "a"), ("c", "b"), ("d", "c"), ("d", "a"), ("c", "a")] {
        assert_eq!(
            member.one(bind(handler, source, "", OnFailure::Reject)),
            bound(false),
            "{handler} to {source}"
        );
    }
    for (handler, source) in [("a", "b"), ("a", "c"), ("a", "d"), ("b", "d"), ("c", "d"), ("b", "b")] {
        for filter in ["", "some"] {
            assert_eq!(
                member.one(bind(handler, source, filter, OnFailure::Skip)),
                Err(Rejection::BindingCircle),
                "{handler} to {source}"
            );
        }
    }
    member.one(unbind("c", "b", "")).unwrap();
    assert_eq!(
        member.one(bind("b", "d", "", OnFailure::Reject)),
        bound(false),
        "the way from b to d is open"
    );
    assert_eq!(member.one(bind("c", "b", "", OnFailure::Reject)), Err(Rejection::BindingCircle));
}

#[test]
fn the_number_of_bindings_is_limited_on_either_side_and_in_all() {
    let mut member = member();
    let of_one = Err(Rejection::TooManyBindings);
    let filters: Vec<String> = (0..=limits::SPACE_BINDINGS).map(|n| n.to_string()).collect();
    let all = member.apply(0, filters.iter().map(|filter| bind("b", "a", filter, OnFailure::Reject)));
    let results: Vec<_> = all.outcomes.into_iter().map(|outcome| outcome.outcome.result).collect();
    assert!(results[..limits::SPACE_BINDINGS].iter().all(|result| *result == bound(false)));
    assert_eq!(results[limits::SPACE_BINDINGS], of_one);
    assert_eq!(member.one(bind("c", "a", "", OnFailure::Reject)), of_one, "the source has enough");
    assert_eq!(member.one(bind("b", "d", "", OnFailure::Reject)), of_one, "the handler has enough");
    assert_eq!(member.one(bind("b", "a", "0", OnFailure::Skip)), bound(true), "what is there may be changed");
    member.machine.head.counts.bindings = limits::BINDINGS;
    let in_all = Err(Rejection::TooManyBindingsInAll);
    assert_eq!(member.one_unchecked(bind("c", "d", "", OnFailure::Reject)), in_all);
}

#[test]
fn a_deleted_space_takes_its_bindings_along_on_both_sides() {
    let mut member = member();
    for (handler, source) in [("b", "a"), ("c", "b"), ("c", "a"), ("d", "b")] {
        member.one(bind(handler, source, "", OnFailure::Reject)).unwrap();
    }
    let applied = member.apply(
        0,
        [
            call(1, &[emit("t", "1")]),
            Action::DeleteSpace { name: space("b") },
            call(1, &[emit("t", "2")]),
            create("b"),
            call(1, &[emit("t", "3")]),
        ],
    );
    assert!(applied.outcomes.iter().all(|outcome| outcome.outcome.result.is_ok()));
    assert_eq!(bindings(&member, 1), [(3, "*".into(), OnFailure::Reject, 10)]);
    assert_eq!(member.machine.head().counts.bindings, 1);
    assert_eq!(member.heard(3), "event a t 1\nevent a t 2\nevent a t 3\n");
    assert_eq!(member.one(bind("a", "b", "", OnFailure::Reject)), bound(false), "the new b is another space");
}

#[test]
fn bindings_hold_from_the_next_command_on_and_after_a_restart() {
    let mut member = member();
    let emitting = |payload| call(1, &[emit("config/x", payload)]);
    member.apply(
        0,
        [
            emitting("0"),
            bind("b", "a", "config/", OnFailure::Reject),
            emitting("1"),
            bind("c", "a", "*", OnFailure::Reject),
            emitting("2"),
            unbind("b", "a", "config/"),
            emitting("3"),
        ],
    );
    member.restart();
    member.apply(0, [emitting("4")]);
    let heard =
        |numbers: &[u8]| numbers.iter().map(|n| format!("event a config/x {n}\n")).collect::<String>();
    assert_eq!((member.heard(2), member.heard(3)), (heard(&[1, 2]), heard(&[2, 3, 4])));
}

#[test]
fn a_new_version_of_its_recipe_keeps_the_bindings_of_a_space() {
    let mut member = member();
    member.one(install(SCRIPT_2)).unwrap();
    member.one(bind("b", "a", "", OnFailure::Reject)).unwrap();
    member.one(Action::UpgradeSpace { name: space("b"), to: 2 }).unwrap();
    member.one(Action::UpgradeSpace { name: space("a"), to: 2 }).unwrap();
    member.run(&[emit("t", "1")]).unwrap();
    assert_eq!(member.heard(2), "event a t 1\n");
}
