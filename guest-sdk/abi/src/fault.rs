//! Why the host ended a call: numbers only, because text in replicated state has split clusters
//! before (CosmWasm CWA-2025-003). Where it happened is for the log ring of a member.
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::schema::Status;
use crate::{Limit, limit};

/// What ended a call. Every member reaches the same one; the call left nothing behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Fault {
    /// The recipe trapped: an out-of-bounds access, `unreachable`, a division by zero and the like.
    Trap,
    /// The recipe panicked; the text is in `synod recipe logs`.
    Panic,
    /// The recipe used more fuel than [`crate::limits::CALL_FUEL`], by what it computed and by what
    /// the host did for it, see [`crate::costs`].
    OutOfFuel,
    /// The recipe's nested calls took more stack than [`crate::limits::CALL_STACK_BYTES`].
    TooDeep,
    /// The recipe's allocator has no memory left of [`crate::limits::MEMORY_PAGES`].
    OutOfMemory,
    /// A key is longer than [`crate::limits::KEY_BYTES`].
    KeyTooLong,
    /// A value is longer than [`crate::limits::VALUE_BYTES`].
    ValueTooLong,
    /// The call wrote more than [`crate::limits::CALL_WRITE_BYTES`] or
    /// [`crate::limits::CALL_WRITE_ROWS`].
    TooManyWrites,
    /// The call read more than [`crate::limits::CALL_READ_BYTES`], or with what it set off more
    /// than [`crate::limits::CAUSE_READ_BYTES`].
    TooManyReads,
    /// The call made more than [`crate::limits::CALL_HOST_CALLS`] host calls.
    TooManyHostCalls,
    /// A pointer, length or request that the recipe passed to the host is not valid.
    BadHostCall,
    /// A stored value does not decode as the type that the recipe asked for.
    CorruptState,
    /// The recipe does not know the entry point, or could not decode its arguments.
    BadArguments,
    /// The recipe answered something that is not a reply, or one longer than
    /// [`crate::limits::REPLY_BYTES`].
    BadReply,
    /// A query ran longer than its member allows. Only queries, which are not replicated.
    QueryTimeout,
    /// A call set a timer while the cluster has [`crate::limits::TIMERS`] of them.
    TooManyTimers,
    /// A topic is empty, not UTF-8, or longer than [`crate::limits::EVENT_TOPIC_BYTES`].
    BadTopic,
    /// The call emitted more than [`crate::limits::CALL_EVENTS`] or
    /// [`crate::limits::CALL_EVENT_BYTES`], or with what it set off more than
    /// [`crate::limits::CAUSE_EVENTS`] or [`crate::limits::CAUSE_EVENT_BYTES`], or an event longer
    /// than [`crate::limits::EVENT_PAYLOAD_BYTES`].
    TooManyEvents,
    /// The call sent more than [`crate::limits::CALL_SENDS`] or [`crate::limits::CALL_SEND_BYTES`].
    TooManySends,
    /// Handlers and sends set off further ones deeper than [`crate::limits::DELIVERY_DEPTH`].
    TooDeepDelivery,
    /// A cause set off more than [`crate::limits::CAUSE_DELIVERIES`] handlers and sends, or more
    /// than [`crate::limits::CAUSE_DELIVERY_BYTES`] waited to run.
    TooManyDeliveries,
    /// A call set a timer while its space has [`crate::limits::SPACE_TIMERS`] of them.
    TooManySpaceTimers,
}

impl Fault {
    /// The limit that the call met; where it may be one of several, the nearest.
    pub const fn limit(self) -> Option<Limit> {
        Some(match self {
            Self::OutOfFuel => limit!(CALL_FUEL),
            Self::TooDeep => limit!(CALL_STACK_BYTES),
            Self::OutOfMemory => limit!(MEMORY_PAGES),
            Self::KeyTooLong => limit!(KEY_BYTES),
            Self::ValueTooLong => limit!(VALUE_BYTES),
            Self::TooManyWrites => limit!(CALL_WRITE_BYTES),
            Self::TooManyReads => limit!(CALL_READ_BYTES),
            Self::TooManyHostCalls => limit!(CALL_HOST_CALLS),
            Self::BadReply => limit!(REPLY_BYTES),
            Self::TooManyTimers => limit!(TIMERS),
            Self::TooManySpaceTimers => limit!(SPACE_TIMERS),
            Self::BadTopic => limit!(EVENT_TOPIC_BYTES),
            Self::TooManyEvents => limit!(CALL_EVENT_BYTES),
            Self::TooManySends => limit!(CALL_SENDS),
            Self::TooDeepDelivery => limit!(DELIVERY_DEPTH),
            Self::TooManyDeliveries => limit!(CAUSE_DELIVERIES),
            Self::Trap
            | Self::Panic
            | Self::BadHostCall
            | Self::CorruptState
            | Self::BadArguments
            | Self::QueryTimeout => return None,
        })
    }

    /// The gRPC status of a call that it ended.
    pub const fn status(self) -> Status {
        match (self, self.limit()) {
            (Self::BadArguments, _) => Status::InvalidArgument,
            (_, Some(_)) => Status::ResourceExhausted,
            (_, None) => Status::FailedPrecondition,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use crate::limits::*;
        match self {
            Self::Trap => f.write_str("the recipe trapped; see `synod recipe logs`"),
            Self::Panic => f.write_str("the recipe panicked; see `synod recipe logs`"),
            Self::OutOfFuel => {
                write!(f, "the call used more than {CALL_FUEL} units of fuel; do less in one call")
            }
            Self::TooDeep => {
                write!(f, "nested calls took {CALL_STACK_BYTES} bytes of stack; bound the recursion")
            }
            Self::OutOfMemory => {
                write!(f, "the call needed more than the {} KiB of a recipe's memory", MEMORY_PAGES * 64)
            }
            Self::KeyTooLong => write!(f, "a key is longer than {KEY_BYTES} bytes"),
            Self::ValueTooLong => write!(f, "a value is longer than {VALUE_BYTES} bytes"),
            Self::TooManyWrites => {
                write!(
                    f,
                    "the call wrote more than {CALL_WRITE_BYTES} bytes or {CALL_WRITE_ROWS} rows; split it"
                )
            }
            Self::TooManyReads => write!(
                f,
                "the call read more than {CALL_READ_BYTES} bytes, or with what it set off more than \
                {CAUSE_READ_BYTES}; read less in one call"
            ),
            Self::TooManyHostCalls => {
                write!(f, "the call made more than {CALL_HOST_CALLS} host calls; split it")
            }
            Self::BadHostCall => f.write_str(
                "the recipe passed an invalid pointer or request to the host; build it with the SDK",
            ),
            Self::CorruptState => f.write_str(
                "a stored value does not have the type that the recipe expects; was its type changed \
                without a migration?",
            ),
            Self::BadArguments => {
                f.write_str("the recipe does not know the operation or could not decode its arguments")
            }
            Self::BadReply => write!(f, "the recipe's reply is malformed or longer than {REPLY_BYTES} bytes"),
            Self::TooManyTimers => {
                write!(f, "the cluster already has {TIMERS} pending timers, the maximum; cancel some first")
            }
            Self::TooManySpaceTimers => {
                write!(
                    f,
                    "the space already has {SPACE_TIMERS} pending timers, the maximum; cancel some first"
                )
            }
            Self::BadTopic => {
                write!(f, "a topic is empty, not UTF-8, or longer than {EVENT_TOPIC_BYTES} bytes")
            }
            Self::TooManyEvents => write!(
                f,
                "the call emitted more than {CALL_EVENTS} events or {CALL_EVENT_BYTES} bytes, with what it \
                set off more than {CAUSE_EVENTS} or {CAUSE_EVENT_BYTES} bytes, or one longer than \
                {EVENT_PAYLOAD_BYTES} bytes; split it"
            ),
            Self::TooManySends => {
                write!(
                    f,
                    "the call sent more than {CALL_SENDS} operations or {CALL_SEND_BYTES} bytes; split it"
                )
            }
            Self::TooDeepDelivery => write!(
                f,
                "handlers and sends set off further ones more than {DELIVERY_DEPTH} deep; do two spaces feed \
                each other?"
            ),
            Self::TooManyDeliveries => write!(
                f,
                "the call set off more than {CAUSE_DELIVERIES} handlers and sends, or {CAUSE_DELIVERY_BYTES} \
                bytes of them waited; split it, or bind less"
            ),
            Self::QueryTimeout => f.write_str("the query ran longer than this member allows"),
        }
    }
}
