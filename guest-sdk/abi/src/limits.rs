//! Every limit that a recipe or a caller can meet, with the reason for its value.
//!
//! They are part of the execution environment: all members use the same numbers, because a call
//! that one member rejects and another executes would split the state.

/// A limit that a request met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The name of its constant, or of a flag.
    pub name: &'static str,
    /// Its value.
    pub value: u64,
}

/// The [`Limit`](crate::Limit) that is a constant of [`limits`](crate::limits): its name and value
/// cannot disagree.
#[macro_export]
macro_rules! limit {
    ($name:ident) => {
        $crate::Limit { name: stringify!($name), value: $crate::limits::$name as u64 }
    };
}

/// Longest key of a row within a space, in bytes, including the prefix of the state field.
pub const KEY_BYTES: usize = 1_024;
/// Longest value of a row, in bytes.
pub const VALUE_BYTES: usize = 256 * 1_024;
/// Longest encoded arguments of one call or query, in bytes.
pub const ARGS_BYTES: usize = 512 * 1_024;
/// Longest encoded result or business error of one call or query, in bytes.
pub const REPLY_BYTES: usize = 1_024 * 1_024;
/// Most bytes of keys and values that one call may write.
pub const CALL_WRITE_BYTES: usize = 4 * 1_024 * 1_024;
/// Most rows that one call may write.
pub const CALL_WRITE_ROWS: usize = 16_384;
/// Most bytes of keys and values that one call may read.
pub const CALL_READ_BYTES: usize = 16 * 1_024 * 1_024;
/// Most host calls that one call may make.
pub const CALL_HOST_CALLS: u32 = 262_144;
/// Most rows in one chunk of a range.
pub const RANGE_CHUNK_ROWS: usize = 1_024;
/// Most bytes in one chunk of a range; a single row always fits.
pub const RANGE_CHUNK_BYTES: usize = KEY_BYTES + VALUE_BYTES + 64;
/// Most bytes that the commands of one entry may write and answer; later commands are deferred. A
/// row counts [`ROW_BYTES`] beside its key and value, whether it was there or not.
pub const ENTRY_WRITE_BYTES: usize = 64 * 1_024 * 1_024;
/// What a row that is written counts beside its key and value: about what it takes of memory until
/// the entry is applied.
pub const ROW_BYTES: usize = 128;
/// Most commands in one entry.
pub const ENTRY_COMMANDS: usize = 1_024;
/// Most encoded bytes of the calls of one entry; an install is alone in its entry and may be
/// larger.
pub const ENTRY_BYTES: usize = 1_024 * 1_024;
/// Fuel of one call, for its Wasm and for what the host does for it, see [`crate::costs`]: tens of
/// milliseconds. It bounds what is wrong; no honest recipe comes near.
pub const CALL_FUEL: u64 = 100_000_000;
/// Fuel that a call has used at least when the processor ended it, as a division by zero does or an
/// address outside of memory: what it used since its last call of a function is not known then.
pub const TRAP_FUEL: u64 = CALL_FUEL / 8;
/// Cost that the proposer packs into one entry, by its estimates: keeps apply of an entry below an
/// election timeout.
pub const ENTRY_FUEL: u64 = 250_000_000;
/// Cost of an entry's commands, once reached later ones are deferred: what bounds an entry whose
/// commands cost more than was estimated.
pub const ENTRY_COST: u64 = 500_000_000;
/// Live instances in one entry; the least recently used is dropped first.
pub const ENTRY_INSTANCES: usize = 32;

/// Sessions of a cluster.
pub const SESSIONS: u32 = 100_000;
/// Bytes of a session's label.
pub const SESSION_LABEL_BYTES: usize = 256;
/// Shortest time to live that a cluster may be set to grant, in milliseconds: a leader's election
/// must fit in it.
pub const SESSION_TTL_FLOOR_MS: u64 = 1_000;
/// Longest time to live that a cluster may be set to grant, in milliseconds: a day.
pub const SESSION_TTL_CEILING_MS: u64 = 86_400_000;
/// Time to live of a session whose client names none, in milliseconds.
pub const SESSION_TTL_DEFAULT_MS: u64 = 10_000;
/// Outcomes that a session's client has not acknowledged, its parked calls among them; further
/// calls are rejected.
pub const SESSION_OUTCOMES: u32 = 1_024;
/// Bytes of those outcomes; a further call is rejected once they are reached.
pub const SESSION_OUTCOME_BYTES: u64 = 4 * 1_024 * 1_024;
/// Spaces whose recipes hear of a session's end; a call to a further one is rejected. Bounds the
/// command that ends a session.
pub const SESSION_SPACES: usize = 64;
/// Tickets of the calls that wait in a space, and therefore calls that one command may complete:
/// whatever waits can be answered at once.
pub const SPACE_TICKETS: u32 = 4_096;
/// Tickets of one call that waits: the places in which it can stand in line. Its hook runs once for
/// each when it gives up.
pub const CALL_TICKETS: u16 = 16;
/// Pending timers of a cluster's recipes.
pub const TIMERS: u64 = 1_000_000;
/// Pending timers of one space: a tenth of the cluster's, so that no space takes them all.
pub const SPACE_TIMERS: u32 = 100_000;
/// Calls of a cluster that wait with a deadline: apart from timers, which leave them their room.
pub const DEADLINES: u64 = 1_000_000;
/// How long after it is set a timer is due at the earliest, in milliseconds: a hook that sets one
/// for the past does not run again in the same tick.
pub const TIMER_FLOOR_MS: u64 = 1;
/// Hooks that a space is owed before further sessions that it would hear the end of are refused:
/// as many as a cluster has sessions. Owing itself is never refused, so that a space may be owed
/// what its sessions and timers come to beyond it.
pub const SPACE_OWED: u32 = 100_000;
/// How long after its first failure a hook is tried again, in milliseconds; doubled with each.
pub const OWED_RETRY_FLOOR_MS: u64 = 1_000;
/// The longest time between two tries, in milliseconds: an hour.
pub const OWED_RETRY_CEILING_MS: u64 = 3_600_000;
/// How long no other hook of a space is tried again after one failed again, in milliseconds: a
/// space whose hooks always fail takes 40 ms of each second at most.
pub const OWED_PAUSE_MS: u64 = 250;
/// Bytes of a timer's payload.
pub const TIMER_PAYLOAD_BYTES: usize = 4 * 1_024;
/// Timers that one tick fires at most, and deadlines that it meets; the rest follow in the next. A
/// tick ends sooner when it has run or written its share of what an entry may.
pub const TICK_TIMERS: usize = 1_024;
/// Timers that a space fires in its turn, before others have theirs.
pub const TURN_TIMERS: usize = 16;

/// Longest topic of an event or of a filter, in bytes.
pub const EVENT_TOPIC_BYTES: usize = 512;
/// Bytes of an event's payload.
pub const EVENT_PAYLOAD_BYTES: usize = 256 * 1_024;
/// Events that one call may emit.
pub const CALL_EVENTS: usize = 1_024;
/// Bytes of topics and payloads that one call may emit.
pub const CALL_EVENT_BYTES: usize = 1_024 * 1_024;
/// Operations that one call may send.
pub const CALL_SENDS: usize = 256;
/// Bytes of arguments that one call may send.
pub const CALL_SEND_BYTES: usize = 1_024 * 1_024;
/// Events of one cause: an operation or a hook, with the handlers and sends that it sets off. All
/// of one revision reach a watch together.
pub const CAUSE_EVENTS: usize = 4_096;
/// Bytes of topics and payloads of one cause.
pub const CAUSE_EVENT_BYTES: usize = 4 * 1_024 * 1_024;
/// Handlers and sends that one cause sets off.
pub const CAUSE_DELIVERIES: usize = 4_096;
/// Bytes of arguments of those that wait to run.
pub const CAUSE_DELIVERY_BYTES: usize = 8 * 1_024 * 1_024;
/// Most bytes of keys and values that a cause and all that it sets off may read.
pub const CAUSE_READ_BYTES: usize = 64 * 1_024 * 1_024;
/// How deep handlers and sends may set off further ones; the cause itself is at 0.
pub const DELIVERY_DEPTH: u32 = 8;
/// Bindings of which one space is the source; and of which one is the handler.
pub const SPACE_BINDINGS: usize = 64;
/// Bindings of a cluster.
pub const BINDINGS: u32 = 16_384;
/// Events that a space keeps, unless it is told otherwise.
pub const EVENTS_DEFAULT: u64 = 100_000;
/// Most that it may be told to keep.
pub const EVENTS_CEILING: u64 = 10_000_000;
/// Bytes of keys and values of events that a space keeps, unless it is told otherwise.
pub const EVENT_BYTES_DEFAULT: u64 = 64 * 1_024 * 1_024;
/// Most that it may be told to keep.
pub const EVENT_BYTES_CEILING: u64 = 16 * 1_024 * 1_024 * 1_024;
/// How long a space keeps its events, unless it is told otherwise, in milliseconds: a day.
pub const EVENT_AGE_DEFAULT_MS: u64 = 86_400_000;
/// Shortest age that it may be told to keep events for, in milliseconds.
pub const EVENT_AGE_FLOOR_MS: u64 = 1_000;
/// Events that one compaction takes away, rounded up to a whole revision; the rest follow in the
/// next.
pub const COMPACTION_EVENTS: usize = 4_096;

/// Largest module, in bytes.
pub const MODULE_BYTES: usize = 1_024 * 1_024;
/// Linear memory of every instance, in pages of 64 KiB: fixed, because growth can fail on one
/// member only.
pub const MEMORY_PAGES: u64 = 128;
/// Stack of a call, in bytes, by what instrumentation takes for the largest native frame of each
/// function: 256, and 16 for each local and for each instruction that makes a value, and 4,096 at
/// least. So a thread touches no more, whatever the processor.
pub const CALL_STACK_BYTES: u32 = 4 * 1_024 * 1_024;
/// Functions of a module, imported ones included.
pub const MODULE_FUNCTIONS: u32 = 5_000;
/// Bytes of one function body.
pub const FUNCTION_BYTES: usize = 64 * 1_024;
/// Locals of one function, parameters included.
pub const FUNCTION_LOCALS: u32 = 500;
/// Locals of all functions of a module.
pub const MODULE_LOCALS: u32 = 50_000;
/// Parameters of a function type.
pub const TYPE_PARAMS: usize = 16;
/// Results of a function type.
pub const TYPE_RESULTS: usize = 1;
/// Function types of a module.
pub const MODULE_TYPES: u32 = 1_000;
/// Globals of a module.
pub const MODULE_GLOBALS: u32 = 100;
/// Data segments of a module.
pub const MODULE_DATA_SEGMENTS: u32 = 256;
/// Element segments of a module.
pub const MODULE_ELEMENT_SEGMENTS: u32 = 16;
/// Elements of the one table.
pub const TABLE_ELEMENTS: u64 = 4_096;
/// Targets of one `br_table`.
pub const BR_TABLE_TARGETS: u32 = 1_024;
/// Memories of a module.
pub const MODULE_MEMORIES: u32 = 1;
/// Tables of a module.
pub const MODULE_TABLES: u32 = 1;
/// Imports of a module.
pub const MODULE_IMPORTS: u32 = 64;
/// Exports of a module.
pub const MODULE_EXPORTS: u32 = 64;
/// Nesting of blocks in a function.
pub const BLOCK_DEPTH: u32 = 256;
/// Blocks, loops and conditionals of a function: the work of a compiler grows with these times its
/// locals.
pub const FUNCTION_BLOCKS: u32 = 4_096;
/// Blocks, loops and conditionals of all functions of a module.
pub const MODULE_BLOCKS: u32 = 100_000;
/// Operands on the stack of a function at once: thousands would make a compiler take minutes and
/// native frames huge.
pub const OPERAND_STACK: u32 = 1_000;

/// Bytes of the schema section.
pub const SCHEMA_BYTES: usize = 64 * 1_024;
/// Nesting of a shape.
pub const SHAPE_DEPTH: usize = 16;
/// Operations, or queries, of a recipe.
pub const RECIPE_ENTRY_POINTS: usize = 256;
/// State fields of a recipe.
pub const RECIPE_FIELDS: usize = 256;
/// Bytes of a recipe's or a space's name.
pub const NAME_BYTES: usize = 128;
/// Installed recipes of a cluster, every version counted.
pub const RECIPES: usize = 1_024;
/// Spaces of a cluster.
pub const SPACES: usize = 65_536;
/// Spaces that a cluster can create in its life, deleted ones included: ids are never used again.
pub const SPACE_IDS: u32 = u32::MAX;

/// Bytes of one line in the log ring of a recipe; longer ones are cut.
pub const LOG_LINE_BYTES: usize = 1_024;
/// Lines in the log ring of a member.
pub const LOG_RING_LINES: usize = 4_096;
/// Log lines of one call; further ones are dropped.
pub const CALL_LOG_LINES: u32 = 64;

macro_rules! limits {
    ($($name:ident),* $(,)?) => {
        &[$(crate::limit!($name)),*]
    };
}

/// The limits that decide how a command or an admission ends: part of the execution environment, in
/// this order. A test compares them with the constants above.
pub const REPLICATED: &[Limit] = limits![
    KEY_BYTES,
    VALUE_BYTES,
    ARGS_BYTES,
    REPLY_BYTES,
    CALL_WRITE_BYTES,
    CALL_WRITE_ROWS,
    CALL_READ_BYTES,
    CALL_HOST_CALLS,
    RANGE_CHUNK_ROWS,
    RANGE_CHUNK_BYTES,
    ENTRY_WRITE_BYTES,
    ROW_BYTES,
    CALL_FUEL,
    TRAP_FUEL,
    ENTRY_FUEL,
    ENTRY_COST,
    ENTRY_INSTANCES,
    SESSIONS,
    SESSION_LABEL_BYTES,
    SESSION_OUTCOMES,
    SESSION_OUTCOME_BYTES,
    SESSION_SPACES,
    SPACE_TICKETS,
    CALL_TICKETS,
    TIMERS,
    SPACE_TIMERS,
    DEADLINES,
    TIMER_FLOOR_MS,
    SPACE_OWED,
    OWED_RETRY_FLOOR_MS,
    OWED_RETRY_CEILING_MS,
    OWED_PAUSE_MS,
    TIMER_PAYLOAD_BYTES,
    TICK_TIMERS,
    TURN_TIMERS,
    EVENT_TOPIC_BYTES,
    EVENT_PAYLOAD_BYTES,
    CALL_EVENTS,
    CALL_EVENT_BYTES,
    CALL_SENDS,
    CALL_SEND_BYTES,
    CAUSE_EVENTS,
    CAUSE_EVENT_BYTES,
    CAUSE_DELIVERIES,
    CAUSE_DELIVERY_BYTES,
    CAUSE_READ_BYTES,
    DELIVERY_DEPTH,
    SPACE_BINDINGS,
    BINDINGS,
    EVENTS_DEFAULT,
    EVENTS_CEILING,
    EVENT_BYTES_DEFAULT,
    EVENT_BYTES_CEILING,
    EVENT_AGE_DEFAULT_MS,
    EVENT_AGE_FLOOR_MS,
    COMPACTION_EVENTS,
    MODULE_BYTES,
    MEMORY_PAGES,
    CALL_STACK_BYTES,
    MODULE_FUNCTIONS,
    FUNCTION_BYTES,
    FUNCTION_LOCALS,
    MODULE_LOCALS,
    TYPE_PARAMS,
    TYPE_RESULTS,
    MODULE_TYPES,
    MODULE_GLOBALS,
    MODULE_DATA_SEGMENTS,
    MODULE_ELEMENT_SEGMENTS,
    TABLE_ELEMENTS,
    BR_TABLE_TARGETS,
    MODULE_MEMORIES,
    MODULE_TABLES,
    MODULE_IMPORTS,
    MODULE_EXPORTS,
    BLOCK_DEPTH,
    FUNCTION_BLOCKS,
    MODULE_BLOCKS,
    OPERAND_STACK,
    SCHEMA_BYTES,
    SHAPE_DEPTH,
    RECIPE_ENTRY_POINTS,
    RECIPE_FIELDS,
    NAME_BYTES,
    RECIPES,
    SPACES,
    SPACE_IDS,
    CALL_LOG_LINES,
];

#[cfg(test)]
mod tests;
