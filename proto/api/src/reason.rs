//! Reasons of failures that programs act on, besides those that only people read: named once, so that server and client cannot
//! spell them differently.
//!
//! It is not the list of all reasons: that is the service's, and a client treats an unknown one by the failure's kind.

/// A recipe's own error, which the failure's `code` and `error` hold.
pub const RECIPE_ERROR: &str = "RECIPE_ERROR";
/// There is no such session: it was closed, it expired, or it never was.
pub const SESSION_EXPIRED: &str = "SESSION_EXPIRED";
/// The secret is not that of the session.
pub const WRONG_SECRET: &str = "WRONG_SECRET";
/// The session is another principal's.
pub const FOREIGN_SESSION: &str = "FOREIGN_SESSION";
/// The operation may wait, so that it needs a session, and the call has none.
pub const SESSION_REQUIRED: &str = "SESSION_REQUIRED";
/// The request id was used before, for another call.
pub const REQUEST_REUSED: &str = "REQUEST_REUSED";
/// The request's outcome was acknowledged, so it is forgotten and the request not executed.
pub const ALREADY_ACKNOWLEDGED: &str = "ALREADY_ACKNOWLEDGED";
/// The request's id, its acknowledgements, or what it follows are not valid.
pub const INVALID_REQUEST: &str = "INVALID_REQUEST";
/// The request that this one follows has not run yet: surely not applied.
pub const OUT_OF_ORDER: &str = "OUT_OF_ORDER";
/// The session has as many outcomes that its client did not acknowledge as it may: not recorded.
pub const TOO_MANY_OUTCOMES: &str = "TOO_MANY_OUTCOMES";
/// The session called as many spaces as it may that hear of its end: the outcome of the request.
pub const TOO_MANY_SPACES: &str = "TOO_MANY_SPACES";
/// The operation would wait, which only a session's own call may.
pub const CANNOT_WAIT: &str = "CANNOT_WAIT";
/// As many calls wait in the space as may: the outcome of the request.
pub const TOO_MANY_WAITING: &str = "TOO_MANY_WAITING";
/// The call waited as long as it was allowed to.
pub const WAIT_TIMEOUT: &str = "WAIT_TIMEOUT";
/// The caller gave the request up.
pub const CANCELLED: &str = "CANCELLED";
/// The wanted time to live, or a bound, is not allowed.
pub const TTL_OUT_OF_BOUNDS: &str = "TTL_OUT_OF_BOUNDS";
/// The session's label is too long.
pub const LABEL_TOO_LONG: &str = "LABEL_TOO_LONG";
