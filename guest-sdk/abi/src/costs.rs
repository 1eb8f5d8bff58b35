//! What the host does for a call, in units of fuel: the one budget that a call has beside its Wasm,
//! of which an instruction costs one.
//!
//! They are part of the execution environment: a call that runs out on one member and not on
//! another would split the state. `cargo bench -p synod-vm --bench costs` compares them with the
//! time that they take. They count only what would be the same were
//! the call alone in its entry: what is visited because of its neighbours there counts towards the
//! ceilings of the entry, see [`HIDDEN_ROW`].
use crate::limits::Limit;

/// Entering a recipe: a fresh instance, of which a call alone in its entry has need.
pub const ENTER: u64 = 14_000;
/// A byte of arguments, of a call as of a delivery.
pub const ARGUMENT_BYTE: u64 = 2;
/// A byte of a result or an error: copied, hashed, kept for the client, and sent to it.
pub const RESULT_BYTE: u64 = 3;
/// 2 KiB of memory that a call has written to, however little of them: they are put back before the
/// next call of its space. Eight bytes a unit.
pub const RESTORED_LINE: u64 = 256;
/// Every host call, before anything else.
pub const HOST_CALL: u64 = 100;
/// Looking a row up, whether it is there or not.
pub const LOOKUP: u64 = 1_000;
/// A byte of a key or a value that is read.
pub const READ_BYTE: u64 = 1;
/// Finding the begin of a range.
pub const RANGE: u64 = 3_000;
/// A row that a range visits, the one that tells that more follow among them.
pub const VISITED_ROW: u64 = 500;
/// A row that is put or deleted: undone, hashed and stored later. Passing it once in a range, if it
/// is deleted, is paid for with this.
pub const WRITE: u64 = 3_000;
/// A byte of a key or a value that is written.
pub const WRITTEN_BYTE: u64 = 2;
/// A byte of the value that is overwritten or deleted: it leaves the digest.
pub const REPLACED_BYTE: u64 = 1;
/// Setting or cancelling a timer, which is two rows.
pub const TIMER: u64 = 6_000;
/// Answering a parked call: its ticket, its record and its session's.
pub const COMPLETE: u64 = 8_000;
/// A byte of such an answer.
pub const COMPLETED_BYTE: u64 = 4;
/// Emitting an event.
pub const EMIT: u64 = 4_000;
/// A byte of its topic and payload.
pub const EMITTED_BYTE: u64 = 3;
/// Sending an operation.
pub const SEND: u64 = 500;
/// A byte of its arguments and of its space's name.
pub const SENT_BYTE: u64 = 2;
/// A line that is logged.
pub const LOG: u64 = 500;
/// A byte of it.
pub const LOGGED_BYTE: u64 = 2;
/// A handler or a sent operation that is queued, beside what entering it costs.
pub const DELIVERY: u64 = 500;
/// A binding whose filter an event is compared with.
pub const BINDING: u64 = 50;
/// A command of an entry, whatever it does. It counts towards the entry's ceiling only.
pub const COMMAND: u64 = 5_000;
/// A row of the machine's own tables or of a space that a command writes. It counts towards the
/// entry's ceiling only, and so does what a recipe writes, beside what that pays for it.
pub const TOUCHED_ROW: u64 = 2_000;
/// A deleted row that a range passes. It counts towards the entry's ceiling only: who deleted it
/// may be a neighbour, and a call alone does not meet it.
pub const HIDDEN_ROW: u64 = 200;

macro_rules! costs {
    ($($name:ident),* $(,)?) => {
        &[$(Limit { name: stringify!($name), value: $name }),*]
    };
}

/// All of them, in this order: part of the execution environment. A test compares them with the
/// constants above.
pub const TABLE: &[Limit] = costs![
    ENTER,
    ARGUMENT_BYTE,
    RESULT_BYTE,
    RESTORED_LINE,
    HOST_CALL,
    LOOKUP,
    READ_BYTE,
    RANGE,
    VISITED_ROW,
    WRITE,
    WRITTEN_BYTE,
    REPLACED_BYTE,
    TIMER,
    COMPLETE,
    COMPLETED_BYTE,
    EMIT,
    EMITTED_BYTE,
    SEND,
    SENT_BYTE,
    LOG,
    LOGGED_BYTE,
    DELIVERY,
    BINDING,
    COMMAND,
    TOUCHED_ROW,
    HIDDEN_ROW,
];

#[cfg(test)]
mod tests;
