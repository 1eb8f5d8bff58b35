//! A good history with its log, and one change for each way to be wrong.
use super::*;
use crate::models::kv::{Input, Kv, Output, Row};

type Ops = Vec<KeyedWitnessed<&'static str, Kv<u64>>>;
type Log = Vec<KeyedLogged<&'static str, Kv<u64>>>;

fn on(key: &'static str, input: Input<u64>) -> Keyed<&'static str, Input<u64>> {
    Keyed { key, input }
}

fn row(value: u64, revision: u64) -> Output<u64> {
    Output::Row(Some(Row { value, created: revision, revision, version: 1 }))
}

/// Two writes, one to each key, a lost write between them, reads of all, and a refused write.
fn good() -> (Log, Ops) {
    let done = |id: u64, interval: (u64, u64), input, output, place| Witnessed {
        id,
        operation: Operation::done(id as u32, interval.0, interval.1, input, output),
        place: Some(place),
    };
    let written = |revision, version| Output::Written { revision, version };
    let lost = Operation::unknown(2, 15, on("b", Input::Put(8)));
    let swap = Input::CompareAndSet { expected: 3, value: 1 };
    let operations = vec![
        done(1, (10, 20), on("a", Input::Put(7)), written(5, 1), Place::Write(5)),
        Witnessed { id: 2, operation: lost, place: None },
        done(3, (30, 40), on("b", Input::Get), row(8, 6), Place::Read(6)),
        done(4, (50, 60), on("c", Input::Put(9)), written(9, 1), Place::Write(9)),
        done(5, (65, 70), on("a", Input::Get), row(7, 5), Place::Read(10)),
        done(6, (75, 80), on("a", swap), Output::Conflict { current: 5 }, Place::Read(11)),
    ];
    let logged = |revision, id, input| Logged { revision, id, input };
    let log = vec![
        logged(5, Some(1), on("a", Input::Put(7))),
        logged(6, Some(2), on("b", Input::Put(8))),
        logged(9, Some(4), on("c", Input::Put(9))),
        logged(10, None, on("d", Input::Put(1))),
    ];
    (log, operations)
}

/// What is wrong after `change`.
fn wrong(change: impl FnOnce(&mut Log, &mut Ops)) -> Violation {
    let (mut log, mut operations) = good();
    change(&mut log, &mut operations);
    check_by_key(&Kv::default(), &log, &operations).expect_err("a violation")
}

#[track_caller]
fn assert_names(violation: &Violation, property: Property, names: &[&str]) {
    assert_eq!(violation.property, property, "{violation}");
    for name in names {
        assert!(violation.why.contains(name), "{name} is not named: {violation}");
    }
}

#[test]
fn a_log_that_gives_every_answer_is_good() {
    let (log, operations) = good();
    assert_eq!(check_by_key(&Kv::default(), &log, &operations), Ok(()));
    assert_eq!(check_by_key::<Kv<u64>, &str>(&Kv::default(), &[], &[]), Ok(()));
}

#[test]
fn a_lost_write_may_be_nowhere() {
    let (mut log, mut operations) = good();
    log.remove(1);
    operations.remove(2);
    assert_eq!(check_by_key(&Kv::default(), &log, &operations), Ok(()));
}

#[test]
fn an_answer_that_the_log_does_not_give_is_found() {
    let violation = wrong(|_, ops| ops[4].operation.outcome = Outcome::Done(row(8, 5)));
    assert_names(&violation, Property::Answer, &["\"a\"", "client 5", "revision 10", "client 1"]);
    let version = Outcome::Done(Output::Written { revision: 9, version: 2 });
    let violation = wrong(|_, ops| ops[3].operation.outcome = version);
    assert_names(&violation, Property::Answer, &["client 4", "after no effect"]);
    let elsewhere = Outcome::Done(Output::Written { revision: 8, version: 1 });
    let violation = wrong(|_, ops| ops[3].operation.outcome = elsewhere);
    assert_names(&violation, Property::Answer, &["client 4"]);
}

#[test]
fn a_read_gives_the_state_at_its_own_revision() {
    let violation = wrong(|_, ops| {
        ops[2].place = Some(Place::Read(5));
        ops[2].operation.invoked = 12;
    });
    assert_names(&violation, Property::Answer, &["\"b\"", "client 3", "read at revision 5"]);
}

#[test]
fn a_stale_read_is_found_even_if_its_answer_was_true_once() {
    let violation = wrong(|_, ops| ops[4].place = Some(Place::Read(8)));
    assert_names(&violation, Property::RealTime, &["client 4", "client 5", "Read(8)"]);
}

#[test]
fn a_write_stands_after_what_returned_before_it() {
    let violation = wrong(|_, ops| {
        ops[0].operation.returned = Some(14);
        ops[1].operation.invoked = 15;
        ops[0].place = Some(Place::Read(6));
        ops[0].operation.input = on("a", Input::Get);
        ops[0].operation.outcome = Outcome::Done(Output::Row(None));
        ops[0].id = 77;
        ops.truncate(2);
    });
    assert_names(&violation, Property::Phantom, &["id: Some(1)"]);
    let violation = wrong(|log, ops| {
        log.swap(0, 1);
        (log[0].revision, log[1].revision) = (5, 6);
        ops[0].operation.outcome = Outcome::Done(Output::Written { revision: 6, version: 1 });
        ops[0].place = Some(Place::Write(6));
        ops[1].operation.invoked = 21;
    });
    assert_names(&violation, Property::RealTime, &["client 1", "client 2", "Write(5)"]);
}

#[test]
fn an_answer_is_not_ahead_of_what_was_called() {
    let violation = wrong(|_, ops| ops[2].place = Some(Place::Read(9)));
    assert_names(&violation, Property::RealTime, &["client 3", "client 4", "Read(9)"]);
}

#[test]
fn an_operation_that_took_effect_twice_is_found() {
    let violation = wrong(|log, _| log[3].id = Some(2));
    assert_names(&violation, Property::Once, &["operation 2", "revision: 6", "revision: 10"]);
}

#[test]
fn an_acknowledged_write_that_the_log_lacks_is_found() {
    let violation = wrong(|log, _| log.retain(|logged| logged.id != Some(4)));
    assert_names(&violation, Property::Logged, &["client 4", "revision 9"]);
    let violation = wrong(|log, _| log[0].revision = 4);
    assert_names(&violation, Property::Logged, &["revision 5", "revision: 4"]);
    let violation = wrong(|log, _| log[0].input = on("a", Input::Put(6)));
    assert_names(&violation, Property::Logged, &["Put(6)", "client 1"]);
    let violation = wrong(|log, _| log[3] = Logged { id: Some(6), ..log[3].clone() });
    assert_names(&violation, Property::Logged, &["client 6"]);
}

#[test]
fn a_write_is_not_answered_as_a_read() {
    let violation = wrong(|log, ops| {
        log.remove(2);
        ops[3].place = Some(Place::Read(9));
    });
    assert_names(&violation, Property::Logged, &["client 4", "changes something"]);
}

#[test]
fn an_operation_that_surely_had_no_effect_is_not_in_the_log() {
    let violation = wrong(|_, ops| ops.retain(|witnessed| witnessed.id != 2));
    assert_names(&violation, Property::Phantom, &["id: Some(2)", "Put(8)"]);
}

#[test]
fn a_record_that_makes_no_sense_is_the_fault_of_the_test() {
    let wrongs = [
        wrong(|log, _| log[0].revision = 7),
        wrong(|_, ops| ops[1].id = 1),
        wrong(|_, ops| ops[0].place = None),
        wrong(|_, ops| ops[1].place = Some(Place::Read(1))),
    ];
    for violation in wrongs {
        assert_names(&violation, Property::WellFormed, &[]);
    }
}

#[test]
fn one_object_can_be_checked_without_keys() {
    let operation = Operation::done(1, 10, 20, Input::Get, Output::Row(None));
    let operations = [Witnessed { id: 1, operation, place: Some(Place::Read(5)) }];
    assert_eq!(check(&Kv::<u64>::default(), &[], &operations), Ok(()));
    let log = [Logged { revision: 5, id: None, input: Input::Put(1) }];
    let violation = check(&Kv::<u64>::default(), &log, &operations).expect_err("a violation");
    assert_names(&violation, Property::Answer, &["client 1", "of no recorded client"]);
}
