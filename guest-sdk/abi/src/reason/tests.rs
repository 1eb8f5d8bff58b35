//! Unit tests of `reason`.
use super::*;

#[test]
fn every_text_is_in_upper_case_and_read_back() {
    for reason in Reason::ALL {
        let text = reason.as_str();
        assert!(text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_'), "{text}");
        assert_eq!(Reason::parse(text), Some(*reason));
    }
    assert_eq!(Reason::parse("FROM_A_NEWER_CLUSTER"), None);
}

#[test]
fn every_reason_is_documented_in_sentences() {
    for reason in Reason::ALL {
        let doc = reason.doc();
        assert!(doc.ends_with('.') && !doc.starts_with(' ') && !doc.contains("  "), "{doc:?}");
    }
}

#[test]
fn an_unavailable_reason_is_the_reason_of_the_same_name() {
    let unavailable = Reason::ALL.iter().filter_map(|reason| match reason.kind() {
        ReasonKind::Unavailable(unavailable) => Some((*reason, unavailable)),
        ReasonKind::BadRequest(_) | ReasonKind::Rejected(_) | ReasonKind::OutcomeUnknown => None,
    });
    for (reason, unavailable) in unavailable {
        assert_eq!((Reason::from(unavailable), reason.status()), (reason, None));
    }
    assert_eq!(UnavailableReason::DiskFull.retry_after_ms(), 1_000);
}

#[test]
fn what_is_wrong_in_itself_is_an_invalid_argument() {
    for reason in Reason::ALL {
        if let ReasonKind::BadRequest(status) = reason.kind() {
            assert_eq!(status, Status::InvalidArgument, "{reason}");
        }
    }
}
