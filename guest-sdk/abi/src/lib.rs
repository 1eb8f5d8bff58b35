//! What host and guest share, and therefore may never disagree about: the types that cross the
//! boundary, the one table of host calls, the one list of reasons for failure, the limits and
//! costs, the schema of a recipe, the codecs, and the `Transport` that typed clients speak through.
//!
//! It is `no_std`, touches neither clock nor randomness nor floats, and imports nothing of ours, so
//! that a recipe, the replicated machine and a client can all stand on it. What is encoded here is
//! append-only: the golden bytes in the tests pin every variant.
//!
//! It does not execute anything: the host calls are implemented in `synod-machine`, called from
//! `synod-sdk`, and linked by `synod-vm`.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod admission;
mod blob;
mod calls;
mod codec;
mod context;
pub mod costs;
mod event;
mod fault;
mod ids;
mod key;
pub mod limits;
mod range;
mod reason;
pub mod schema;
mod shape;
pub mod testing;
mod transport;

pub use admission::{AdmissionError, Limited};
pub use blob::Blob;
pub use calls::{
    Access, ENTRY_HOOK, ENTRY_INPUT, ENTRY_MEMORY, ENTRY_OPERATION, ENTRY_QUERY, HOOK_CANCEL, HOOK_EVENT,
    HOOK_SESSION_END, HOOK_TIMER, HOST_CALLS, HOST_MODULE, HostCall, HostCalls, REPLY_BAD_ARGUMENTS,
    REPLY_ERROR, REPLY_LATER, REPLY_MORE, REPLY_NOW, REPLY_RESULT, ValueKind,
};
pub use codec::{DecodeError, decode, decode_from, encode, encode_into};
pub use context::{CONTEXT_BYTES, Context};
pub use event::{Event, EventPayload, InvalidTopic, TopicFilter, check_topic};
pub use fault::Fault;
pub use ids::{
    ClusterId, Direction, EntryPoint, InvalidName, MemberId, ModuleHash, OperationId, RecipeName, RecipeRef,
    RequestId, Revision, SessionId, SpaceId, SpaceName, TicketId, Time, TimerId, Token, fnv1a_32, fnv1a_64,
};
pub use key::{Key, KeyError, OwnedKey};
pub use limits::Limit;
pub use range::{RangeRequest, Rows};
pub use reason::{Reason, ReasonKind, UnavailableReason};
pub use shape::{EnumShape, FieldShape, Shape, Shaped, StructShape, VariantShape};
pub use transport::{CallError, EncodedError, RawCall, RawError, RawQuery, RawReply, Transport};
