//! Unit tests of `trouble`.
use super::*;

#[test]
fn a_status_of_the_framework_is_refused_or_unanswered() {
    let refused = trouble_of(&Status::unimplemented(""));
    assert!(matches!(&refused, Trouble::Answered(failure) if failure.kind() == Kind::Rejected));
    assert_eq!(trouble_of(&Status::unavailable("broken pipe")), Trouble::NoAnswer("broken pipe".into()));
    assert_eq!(trouble_of(&Status::cancelled("")), Trouble::NoAnswer("Cancelled".into()));
}

#[test]
fn a_message_over_the_limit_is_refused_before_it_is_sent() {
    assert_eq!(check_size(REQUEST_BYTES), Ok(()));
    let error = check_size(REQUEST_BYTES + 1).expect_err("too large");
    assert!(matches!(&error, Trouble::Answered(failure) if failure.limit == "REQUEST_BYTES"));
}
