//! Unit tests of `engine`.
use super::*;

#[test]
fn two_engines_of_a_kind_have_one_fingerprint() {
    let [one, two] = [
        engine(Edition::First, Kind::Apply).expect("engine"),
        engine(Edition::First, Kind::Apply).expect("engine"),
    ];
    assert_eq!(fingerprint(Edition::First, &one), fingerprint(Edition::First, &two));
    assert_eq!(compatibility(&one), compatibility(&two));
}

#[test]
fn what_a_compiling_engine_makes_fits_the_engine_that_runs_it() {
    for kind in [Kind::Apply, Kind::Query] {
        let [makes, runs] =
            [compiling(Edition::First, kind).expect("engine"), engine(Edition::First, kind).expect("engine")];
        assert_eq!(compatibility(&makes), compatibility(&runs));
        assert_eq!(fingerprint(Edition::First, &makes), fingerprint(Edition::First, &runs));
    }
}

#[test]
fn code_for_queries_does_not_fit_the_apply_engine() {
    let [apply, query] = [
        engine(Edition::First, Kind::Apply).expect("engine"),
        engine(Edition::First, Kind::Query).expect("engine"),
    ];
    assert_ne!(compatibility(&apply), compatibility(&query));
}

#[test]
fn every_part_changes_the_fingerprint() {
    const ONE: [Limit; 1] = [Limit { name: "A", value: 1 }];
    const TWO: [Limit; 1] = [Limit { name: "A", value: 2 }];
    const OTHER: [Limit; 1] = [Limit { name: "B", value: 1 }];
    let base = || fingerprint_of("1", 1, &ONE, &ONE, "costs", &[0; 32]);
    assert_eq!(base(), base());
    for other in [
        fingerprint_of("2", 1, &ONE, &ONE, "costs", &[0; 32]),
        fingerprint_of("1", 2, &ONE, &ONE, "costs", &[0; 32]),
        fingerprint_of("1", 1, &TWO, &ONE, "costs", &[0; 32]),
        fingerprint_of("1", 1, &OTHER, &ONE, "costs", &[0; 32]),
        fingerprint_of("1", 1, &ONE, &TWO, "costs", &[0; 32]),
        fingerprint_of("1", 1, &ONE, &OTHER, "costs", &[0; 32]),
        fingerprint_of("1", 1, &[ONE, ONE].concat(), &[], "costs", &[0; 32]),
        fingerprint_of("1", 1, &ONE, &ONE, "other", &[0; 32]),
        fingerprint_of("1", 1, &ONE, &ONE, "costs", &[1; 32]),
    ] {
        assert_ne!(base(), other);
    }
}

#[test]
fn the_manifest_pins_the_version_that_is_fingerprinted() {
    let manifest = include_str!("../../../../Cargo.toml");
    assert!(manifest.contains(&format!("wasmtime = {{ version = \"={WASMTIME_VERSION}\"")));
}

#[test]
fn the_fingerprint_covers_the_table_of_costs() {
    let engine = engine(Edition::First, Kind::Apply).expect("engine");
    let with = |costs: &[Limit]| {
        let operators = format!("{:?}", Edition::First.operator_cost());
        fingerprint_of(
            WASMTIME_VERSION,
            instrument::VERSION,
            limits::REPLICATED,
            costs,
            &operators,
            &compatibility(&engine),
        )
    };
    assert_eq!(fingerprint(Edition::First, &engine), with(costs::TABLE));
    for changed in 0..costs::TABLE.len() {
        let mut costs = costs::TABLE.to_vec();
        costs[changed].value += 1;
        assert_ne!(fingerprint(Edition::First, &engine), with(&costs), "{}", costs[changed].name);
    }
}

#[test]
fn editions_differ_and_are_found_by_their_fingerprints() {
    let fingerprint_of =
        |edition: Edition| fingerprint(edition, &compiling(edition, Kind::Apply).expect("the engine starts"));
    let [first, next] = [Edition::First, Edition::Next].map(fingerprint_of);
    assert_ne!(first, next);
    assert_eq!(Edition::of(&first).expect("the engines start"), Some(Edition::First));
    assert_eq!(Edition::of(&next).expect("the engines start"), Some(Edition::Next));
    assert_eq!(Edition::of(&[0; 32]).expect("the engines start"), None);
}
