//! Reasons of failures that programs act on, besides those that only people read: named once, so
//! that server and client cannot spell them differently.
//!
//! It is not the list of all reasons: that is the service's, and a client treats an unknown one by
//! the failure's kind.

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
/// Events that the watch wants are forgotten.
pub const COMPACTED: &str = "COMPACTED";
/// The space was deleted, or the name means another one by now.
pub const SPACE_DELETED: &str = "SPACE_DELETED";
/// There is no space of that name.
pub const UNKNOWN_SPACE: &str = "UNKNOWN_SPACE";
/// The client did not take what its watch was sent; it may come back where it was.
pub const WATCH_TOO_SLOW: &str = "WATCH_TOO_SLOW";
/// The stream has no such watch.
pub const UNKNOWN_WATCH: &str = "UNKNOWN_WATCH";
/// The stream has a watch of that id.
pub const WATCH_EXISTS: &str = "WATCH_EXISTS";
/// The stream, or the member, has as many watches as it may.
pub const TOO_MANY_WATCHES: &str = "TOO_MANY_WATCHES";
/// The cluster is behind the revision that the watch is to start from.
pub const REVISION_NOT_REACHED: &str = "REVISION_NOT_REACHED";
/// The revision is none.
pub const INVALID_REVISION: &str = "INVALID_REVISION";
/// The topic, or prefix of topics, is not valid.
pub const INVALID_TOPIC: &str = "INVALID_TOPIC";
/// A handler that reacts to the call's events failed, so that the call is rejected.
pub const HANDLER_FAILED: &str = "HANDLER_FAILED";
/// An operation that the call sent was rejected, so that the call is.
pub const SEND_FAILED: &str = "SEND_FAILED";
/// The space's recipe reacts to no events.
pub const NO_HANDLER: &str = "NO_HANDLER";
/// The binding would let events feed each other.
pub const BINDING_CIRCLE: &str = "BINDING_CIRCLE";
/// The space, or the cluster, has as many bindings as it may.
pub const TOO_MANY_BINDINGS: &str = "TOO_MANY_BINDINGS";
/// There is no such binding.
pub const UNKNOWN_BINDING: &str = "UNKNOWN_BINDING";
/// How much of its past a space is to keep is out of bounds.
pub const RETENTION_OUT_OF_BOUNDS: &str = "RETENTION_OUT_OF_BOUNDS";
