//! Unit tests of `costs`.
use super::*;
use crate::limits::*;

#[test]
fn every_cost_is_in_the_table() {
    let declared = include_str!("../costs.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("pub const ")?.split_once(':'))
        .map(|(name, _)| name)
        .filter(|name| *name != "TABLE");
    assert!(declared.eq(TABLE.iter().map(|cost| cost.name)));
}

#[test]
fn a_call_can_pay_for_the_most_of_anything_that_its_other_limits_allow() {
    let call = |used: u64| assert!(used + ENTER < CALL_FUEL, "{used} of {CALL_FUEL}");
    call(ARGS_BYTES as u64 * ARGUMENT_BYTE + REPLY_BYTES as u64 * RESULT_BYTE);
    call(CALL_WRITE_ROWS as u64 * (HOST_CALL + WRITE) + CALL_WRITE_BYTES as u64 * WRITTEN_BYTE);
    call(CALL_WRITE_ROWS as u64 * (HOST_CALL + RANGE + 2 * VISITED_ROW));
    call(CALL_READ_BYTES as u64 * READ_BYTE);
    call(CALL_EVENTS as u64 * (HOST_CALL + EMIT) + CALL_EVENT_BYTES as u64 * EMITTED_BYTE);
    call(
        CALL_SENDS as u64 * (HOST_CALL + SEND + ENTER) + CALL_SEND_BYTES as u64 * (SENT_BYTE + ARGUMENT_BYTE),
    );
    call(u64::from(SPACE_TICKETS) * (HOST_CALL + COMPLETE));
    call(CAUSE_DELIVERIES as u64 * (DELIVERY + ENTER));
    call(CAUSE_READ_BYTES as u64 * READ_BYTE);
    call(u64::from(CALL_HOST_CALLS) * HOST_CALL);
}

#[test]
fn entries_are_packed_well_below_what_defers_commands() {
    const { assert!(ENTRY_FUEL >= 2 * CALL_FUEL && ENTRY_COST >= 2 * ENTRY_FUEL) };
    assert!(ENTRY_COMMANDS as u64 * (COMMAND + ENTER) < ENTRY_FUEL / 4, "small calls are packed by number");
}
