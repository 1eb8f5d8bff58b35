//! The one table of host calls. The guest's externs, the host's linker, the admission check and the
//! native port are all made from [`for_each_host_call!`](crate::for_each_host_call): nobody can add
//! a call on one side only.
//!
//! The import module's name carries the version. Calls are only ever added, under a new minor
//! version; a host accepts every minor version up to its own.

/// The import module of this version of the table.
pub const HOST_MODULE: &str = "synod_1_0";
/// Exported function `(operation id: i32, input length: i32) -> i64` that runs an operation. The
/// input length counts the context: it is [`CONTEXT_BYTES`](crate::CONTEXT_BYTES) plus the length
/// of the arguments.
pub const ENTRY_OPERATION: &str = "synod_operation";
/// Exported function `(query id: i32, input length: i32) -> i64` that runs a query. Both return
/// `pointer << 32 | length` of the reply: one status byte ([`REPLY_RESULT`] and those below it) and
/// its payload.
pub const ENTRY_QUERY: &str = "synod_query";
/// Exported function `(hook: i32, input length: i32) -> i64` that runs a hook:
/// [`HOOK_SESSION_END`], [`HOOK_TIMER`], [`HOOK_CANCEL`] or [`HOOK_EVENT`]. Recipes whose schema
/// names a hook export it; the reply of a hook is [`REPLY_RESULT`] and nothing, [`REPLY_MORE`], or
/// [`REPLY_BAD_ARGUMENTS`].
pub const ENTRY_HOOK: &str = "synod_hook";
/// Number of the hook [`EntryPoint::SessionEnd`](crate::EntryPoint::SessionEnd).
pub const HOOK_SESSION_END: i32 = 1;
/// Number of the hook [`EntryPoint::Timer`](crate::EntryPoint::Timer).
pub const HOOK_TIMER: i32 = 2;
/// Number of the hook [`EntryPoint::Cancel`](crate::EntryPoint::Cancel).
pub const HOOK_CANCEL: i32 = 3;
/// Number of the hook [`EntryPoint::Event`](crate::EntryPoint::Event).
pub const HOOK_EVENT: i32 = 4;
/// First byte of a reply: the result follows.
pub const REPLY_RESULT: u8 = 0;
/// First byte of a reply: the business error's code, u32 little-endian, and the encoded error
/// follow.
pub const REPLY_ERROR: u8 = 1;
/// First byte of a reply: the entry point is not known or its arguments did not decode; nothing
/// follows.
pub const REPLY_BAD_ARGUMENTS: u8 = 2;
/// First byte of a reply: the operation answers later, by the first ticket of its command; how many
/// tickets it holds follows, u16 little-endian, if that is more than one.
pub const REPLY_LATER: u8 = 3;
/// First byte of a reply: an operation that may answer later answers now; the result follows.
/// Unlike [`REPLY_RESULT`] it can be cancelled until its caller acknowledges it.
pub const REPLY_NOW: u8 = 4;
/// First byte of a reply: a hook other than [`HOOK_EVENT`] has done a part of its work and goes on
/// in a later command, with the same arguments; nothing follows.
pub const REPLY_MORE: u8 = 5;
/// Exported immutable i32 global: address of the input buffer, which holds
/// [`CONTEXT_BYTES`](crate::CONTEXT_BYTES) of context and up to
/// [`limits::ARGS_BYTES`](crate::limits::ARGS_BYTES) of arguments.
pub const ENTRY_INPUT: &str = "synod_input";
/// The exported memory.
pub const ENTRY_MEMORY: &str = "memory";

/// Who may make a host call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Operations and queries.
    Read,
    /// Operations only.
    Write,
}

/// A parameter or result as Wasm sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueKind {
    /// An `i32`.
    I32,
    /// An `i64`.
    I64,
}

/// One row of the table, for admission and linking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostCall {
    /// The import's name in [`HOST_MODULE`].
    pub name: &'static str,
    /// Who may call it.
    pub access: Access,
    /// Wasm parameters, slices already split in pointer and length.
    pub params: &'static [ValueKind],
    /// Wasm result.
    pub result: Option<ValueKind>,
}

/// Calls `$callback!` with the table. A row is `Access name(param: kind, ...) -> kind;` with its
/// documentation; the kinds are `bytes` (pointer and length that the host reads), `buffer` (pointer
/// and capacity that the host fills), `u32`, `u64`, and as results `u32`, `u64`, `unit`, `never`.
/// The low 32 bits of the result say how many bytes of the buffer were written; if that is more
/// than the capacity, none were.
#[macro_export]
macro_rules! for_each_host_call {
    ($callback:ident) => {
        $callback! {
            /// Reads the row of `key` into `out`. Returns `u32::MAX` if there is none, otherwise
            /// the value's length; if that is more than the capacity, nothing was written and the
            /// call is to be repeated with a larger buffer.
            Read get(key: bytes, out: buffer) -> u32;
            /// Reads one chunk of a range, see [`RangeRequest`](crate::RangeRequest) and
            /// [`Rows`](crate::Rows), into `out`. Returns its length in the low 32 bits; bit 32 is
            /// set when more rows follow. A first row that does not fit faults.
            Read range(request: bytes, out: buffer) -> u64;
            /// Writes a line for people, at a level from 1 (error) to 5 (trace). Not replicated.
            Read log(level: u32, line: bytes) -> unit;
            /// Ends the call: `code` is 0 for a panic with `text` for people, 1 for a value that
            /// does not decode, 2 for an exhausted allocator, 3 for a stack that is too deep.
            Read abort(code: u32, text: bytes) -> never;
            /// Writes a row.
            Write put(key: bytes, value: bytes) -> unit;
            /// Deletes a row, if it is there.
            Write delete(key: bytes) -> unit;
            /// Draws a fencing token.
            Write next_token() -> u64;
            /// Sets a timer of this space: the hook [`ENTRY_HOOK`](crate::ENTRY_HOOK) runs with
            /// `payload` when cluster time has reached `at_ms`, never before. Returns its
            /// [`TimerId`](crate::TimerId).
            Write set_timer(at_ms: u64, payload: bytes) -> u64;
            /// Cancels a timer of this space. Returns 1 if it was pending, 0 if it has fired, was
            /// cancelled or never was.
            Write cancel_timer(timer: u64) -> u32;
            /// Answers a call that this space parked, by its ticket; `reply` is
            /// [`REPLY_RESULT`](crate::REPLY_RESULT) or [`REPLY_ERROR`](crate::REPLY_ERROR) and its
            /// payload. Returns 1 if the call waited, 0 if it does not any more: it was cancelled,
            /// its time was up, or its session ended.
            Write complete(ticket: u64, reply: bytes) -> u32;
            /// Emits an event of this space: kept for those who watch it, and handed to the spaces
            /// that are bound to it when this call has its result. A topic is UTF-8, see [`Topic
            /// rules`](crate::limits::EVENT_TOPIC_BYTES). Gone if the call is rolled back.
            Write emit(topic: bytes, payload: bytes) -> unit;
            /// Runs an operation of the space called `space` within this command, when this call
            /// has its result, in the order of all that this call emits and sends. `operation` is
            /// its [`OperationId`](crate::OperationId). Its result is dropped; if it is rejected,
            /// so is the command.
            Write send(space: bytes, operation: u32, args: bytes) -> unit;
        }
    };
}

macro_rules! params {
    (@one bytes) => { [ValueKind::I32, ValueKind::I32] };
    (@one buffer) => { [ValueKind::I32, ValueKind::I32] };
    (@one u32) => { [ValueKind::I32] };
    (@one u64) => { [ValueKind::I64] };
    () => { &[] };
    ($a:ident) => { &params!(@one $a) };
    ($a:ident $($b:ident)+) => {{
        const A: &[ValueKind] = &params!(@one $a);
        const B: &[ValueKind] = params!($($b)+);
        const JOINED: [ValueKind; A.len() + B.len()] = {
            let mut joined = [ValueKind::I32; A.len() + B.len()];
            let mut i = 0;
            while i < A.len() + B.len() {
                joined[i] = if i < A.len() { A[i] } else { B[i - A.len()] };
                i += 1;
            }
            joined
        };
        &JOINED
    }};
}

macro_rules! result {
    (u32) => {
        Some(ValueKind::I32)
    };
    (u64) => {
        Some(ValueKind::I64)
    };
    (unit) => {
        None
    };
    (never) => {
        None
    };
}

macro_rules! native {
    (@param bytes) => {
        &[u8]
    };
    (@param buffer) => {
        &mut [u8]
    };
    (@param u32) => {
        u32
    };
    (@param u64) => {
        u64
    };
    (@result u32) => {
        u32
    };
    (@result u64) => {
        u64
    };
    (@result unit) => {
        ()
    };
    (@result never) => {
        core::convert::Infallible
    };
}

macro_rules! table {
    ($($(#[$doc:meta])* $access:ident $name:ident($($param:ident: $kind:ident),*) -> $result:ident;)*) => {
        /// Every host call of this version.
        pub const HOST_CALLS: &[HostCall] = &[
            $(
                HostCall {
                    name: stringify!($name),
                    access: Access::$access,
                    params: params!($($kind)*),
                    result: result!($result),
                },
            )*
        ];

        /// The host's side of the table, on slices: implemented by the machine's draft, called
        /// by the Wasm linker with slices of guest memory and by the native port directly. An error
        /// ends the call with that [`Fault`](crate::Fault).
        ///
        /// Each call takes what it costs from the fuel, before what it does where that is known
        /// then: who has too little left has none, and ends with
        /// [`Fault::OutOfFuel`](crate::Fault::OutOfFuel).
        pub trait HostCalls {
            /// What the call has left of its fuel. An engine that counts fuel itself lends it here
            /// for each host call, and goes on with what is left.
            fn fuel(&mut self) -> &mut u64;

            $(
                $(#[$doc])*
                ///
                /// # Errors
                /// The fault that ends the call.
                fn $name(
                    &mut self,
                    $($param: native!(@param $kind)),*
                ) -> Result<native!(@result $result), crate::Fault>;
            )*
        }
    };
}

for_each_host_call!(table);

/// Codes of the host call `abort`.
impl crate::Fault {
    /// The fault that `abort` with `code` stands for.
    pub const fn of_abort(code: u32) -> Self {
        match code {
            0 => Self::Panic,
            1 => Self::CorruptState,
            2 => Self::OutOfMemory,
            3 => Self::TooDeep,
            _ => Self::BadHostCall,
        }
    }
}

#[cfg(test)]
mod tests;
