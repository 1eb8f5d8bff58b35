//! Unit tests of `budget`.
use super::*;

fn with(fuel: u64) -> Budget {
    let mut budget = Budget::default();
    budget.begin_call(fuel);
    budget
}

/// What `use_up` takes of the fuel.
fn cost(use_up: impl Fn(&mut Budget) -> Result<(), Fault>) -> u64 {
    let mut budget = with(limits::CALL_FUEL);
    use_up(&mut budget).unwrap();
    limits::CALL_FUEL - budget.fuel
}

#[test]
fn each_thing_costs_what_the_table_says_and_who_has_too_little_has_none_then() {
    type Use = fn(&mut Budget) -> Result<(), Fault>;
    let uses: [(Use, u64); 9] = [
        (|budget| budget.host_call(), costs::HOST_CALL),
        (|budget| budget.visit(3, 50), 3 * costs::VISITED_ROW + 50 * costs::READ_BYTE),
        (|budget| budget.write(50), costs::WRITE + 50 * costs::WRITTEN_BYTE),
        (|budget| budget.write_timer(50), costs::TIMER + 50 * costs::WRITTEN_BYTE),
        (|budget| budget.complete(50), costs::COMPLETE + 50 * costs::COMPLETED_BYTE),
        (|budget| budget.emit(20, 30), costs::EMIT + 50 * costs::EMITTED_BYTE),
        (|budget| budget.send(20, 30), costs::SEND + 50 * costs::SENT_BYTE),
        (|budget| budget.log_line(50).map(drop), costs::LOG + 50 * costs::LOGGED_BYTE),
        (|budget| budget.pay(7), 7),
    ];
    for (use_up, expected) in uses {
        assert_eq!(cost(use_up), expected);
        let mut exact = with(expected);
        assert_eq!((use_up(&mut exact), exact.fuel), (Ok(()), 0));
        let mut scarce = with(expected - 1);
        assert_eq!((use_up(&mut scarce), scarce.fuel), (Err(Fault::OutOfFuel), 0));
    }
}

#[test]
fn lines_that_are_dropped_and_bytes_that_are_cut_cost_nothing() {
    let longest = limits::LOG_LINE_BYTES;
    assert_eq!(
        cost(|budget| budget.log_line(longest).map(drop)),
        cost(|budget| budget.log_line(longest * 9).map(drop))
    );
    let mut budget = with(limits::CALL_FUEL);
    for _ in 0..limits::CALL_LOG_LINES {
        assert_eq!(budget.log_line(1), Ok(true));
    }
    let left = budget.fuel;
    assert_eq!((budget.log_line(1), budget.fuel), (Ok(false), left));
}

#[test]
fn an_entry_is_full_by_cost_or_by_what_is_written_and_answered() {
    let used = |cost, outcome_bytes| EntryUse { cost, outcome_bytes };
    assert!(!EntryUse::default().is_full(limits::ENTRY_WRITE_BYTES - 1));
    assert!(EntryUse::default().is_full(limits::ENTRY_WRITE_BYTES));
    assert!(!used(limits::ENTRY_COST - 1, 0).is_full(0) && used(limits::ENTRY_COST, 0).is_full(0));
    assert!(
        !used(0, 1).is_full(limits::ENTRY_WRITE_BYTES - 2)
            && used(0, 2).is_full(limits::ENTRY_WRITE_BYTES - 2)
    );
    let mut all = EntryUse::default();
    all.add(limits::ENTRY_COST, 1);
    assert!(all.is_full(0));
}
