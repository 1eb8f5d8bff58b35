//! Unit tests of `commands::held`.
use super::*;

#[test]
fn exit_codes_are_those_of_shells() {
    assert_eq!(exit_code(ExitStatus::from_raw(3 << 8)), ExitCode::from(3));
    assert_eq!(exit_code(ExitStatus::from_raw(libc::SIGKILL)), ExitCode::from(137));
    assert_eq!(signalled(libc::SIGINT), ExitCode::from(130));
}

#[test]
fn why_something_was_not_acquired_has_an_exit_code() {
    let table = [
        (CallError::WaitTimeout, Exit::WaitTimeout),
        (CallError::Rejected("m"), Exit::Rejected),
        (CallError::Fault { fault: None, message: "m".into() }, Exit::Rejected),
        (CallError::Unreadable { revision: synod_abi::Revision(7) }, Exit::Internal),
        (CallError::Unavailable("m".into()), Exit::Unavailable),
        (CallError::OutcomeUnknown("m".into()), Exit::OutcomeUnknown),
        (CallError::SessionExpired("m".into()), Exit::SessionLost),
    ];
    for (error, exit) in table {
        let busy = Failed::new(Exit::WaitTimeout, "busy");
        assert_eq!(not_acquired(error, "lock", "lock", busy).exit, exit);
    }
}
