//! Why a member was not reached, for people. The framework's own words only say that the transport
//! failed, or that a method is unknown, when what listens at the address is not a member at all.
use std::error::Error;

use tonic::{Code, Status};

const NO_PEER_PORT: &str =
    "what answers there is not a Synod member's port for members: is it the port for clients?";
const NO_HTTP2: &str = "what answers there speaks no HTTP/2: it is not a Synod member";

/// Why a member at an address gave `status` instead of an answer.
pub(crate) fn why(status: &Status) -> String {
    let innermost = || causes(status).last().map_or_else(|| status.message().to_owned(), ToString::to_string);
    stranger(status).map_or_else(innermost, str::to_owned)
}

/// Whether what listens at an address is no member: it answers, but not as one does.
pub(crate) fn is_stranger(status: &Status) -> bool {
    stranger(status).is_some()
}

fn stranger(status: &Status) -> Option<&'static str> {
    if status.code() == Code::Unimplemented {
        return Some(NO_PEER_PORT);
    }
    let is_mistake =
        |cause: &(dyn Error + 'static)| cause.downcast_ref::<h2::Error>().is_some_and(is_mistake_of_peer);
    causes(status).any(is_mistake).then_some(NO_HTTP2)
}

fn causes(status: &Status) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(status.source(), |&cause| cause.source())
}

fn is_mistake_of_peer(error: &h2::Error) -> bool {
    error.is_go_away() && error.is_library()
}
