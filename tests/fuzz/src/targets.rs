//! The targets, by name.
//!
//! A target takes any bytes. It panics only if something is wrong: what was taken does not encode
//! to what it was, a member would stop because of it, two ways to the same result differ.
mod frames;
mod generate;
mod messages;
mod modules;
mod state;
mod stores;
mod values;

use std::time::Duration;

/// A function that takes any bytes.
#[derive(Debug)]
pub struct Target {
    /// Its name: `make fuzz TARGET=name`.
    pub name: &'static str,
    /// What the bytes are taken for.
    pub about: &'static str,
    /// Takes them.
    pub run: fn(&[u8]),
    /// Real encodings, made by the code as it is.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Inputs in each test run.
    pub inputs: usize,
    /// Longest input that is made.
    pub most_bytes: usize,
    /// Longest time that one input may take.
    pub most_time: Duration,
    /// Most memory that it may ask for, for an input without bytes.
    pub heap_bytes: usize,
    /// And for each byte of the input.
    pub heap_per_byte: usize,
}

const KIB: usize = 1_024;
const MIB: usize = 1_024 * KIB;

/// What most targets have.
const DECODER: Target = Target {
    name: "",
    about: "",
    run: |_| (),
    seeds: Vec::new,
    inputs: 10_000,
    most_bytes: 4 * KIB,
    most_time: Duration::from_secs(2),
    heap_bytes: 256 * KIB,
    heap_per_byte: 1_024,
};

/// What targets have that run a machine: its engine's instances, and what an entry may write.
const MACHINE: Target = Target { heap_bytes: 64 * MIB, ..DECODER };

/// All targets.
pub const TARGETS: &[Target] = &[
    Target {
        name: "peer-frames",
        about: "frames of Raft between members",
        run: frames::peer_frame,
        seeds: frames::peer_frames,
        heap_bytes: 4 * MIB,
        ..DECODER
    },
    Target {
        name: "log-records",
        about: "records of the Raft log",
        run: synod_consensus::fuzzing::log_record,
        seeds: synod_consensus::fuzzing::log_records,
        ..DECODER
    },
    Target {
        name: "small-records",
        about: "votes, positions and memberships beside the log",
        run: synod_consensus::fuzzing::small_record,
        seeds: synod_consensus::fuzzing::small_records,
        heap_bytes: 4 * MIB,
        ..DECODER
    },
    Target {
        name: "data-files",
        about: "identity, FORMAT, WATERMARK, values of the log, applied marks",
        run: frames::data_file,
        seeds: frames::data_files,
        ..DECODER
    },
    Target {
        name: "manifests",
        about: "manifests of snapshots",
        run: synod_storage::fuzzing::manifest,
        seeds: synod_consensus::fuzzing::manifests,
        heap_bytes: 2 * MIB,
        ..DECODER
    },
    Target {
        name: "forward-frames",
        about: "frames in which a follower hands commands to its leader",
        run: synod_service::fuzzing::forward_frame,
        seeds: synod_service::fuzzing::forward_frames,
        heap_bytes: 4 * MIB,
        ..DECODER
    },
    Target {
        name: "entries",
        about: "entries, decoded and applied",
        run: state::entry_target,
        seeds: state::entries,
        ..MACHINE
    },
    Target {
        name: "damaged-rows",
        about: "rows of a state that were changed outside of apply",
        run: state::damaged_rows,
        seeds: state::damages,
        ..MACHINE
    },
    Target {
        name: "schemas",
        about: "schemas of recipes",
        run: values::schema,
        seeds: values::schemas,
        heap_bytes: MIB,
        ..DECODER
    },
    Target {
        name: "json-arguments",
        about: "arguments in JSON",
        run: values::json_arguments,
        seeds: values::json_texts,
        heap_bytes: MIB,
        ..DECODER
    },
    Target {
        name: "json-results",
        about: "results in postcard, to be shown in JSON, with the type that they should have",
        run: values::json_results,
        seeds: values::typed_values,
        heap_bytes: 16 * MIB,
        ..DECODER
    },
    Target {
        name: "boundary",
        about: "keys, ranges, names and topics, as guests and clients write them",
        run: values::boundary,
        seeds: values::boundaries,
        ..DECODER
    },
    Target {
        name: "client-messages",
        about: "protobuf messages of and to clients",
        run: messages::client,
        seeds: messages::client_seeds,
        heap_bytes: MIB,
        ..DECODER
    },
    Target {
        name: "peer-messages",
        about: "protobuf messages between members",
        run: messages::peer,
        seeds: messages::peer_seeds,
        heap_bytes: MIB,
        ..DECODER
    },
    Target {
        name: "statuses",
        about: "details of a gRPC status, as clients read failures",
        run: messages::status,
        heap_bytes: MIB,
        ..DECODER
    },
    Target {
        name: "compiler-pipe",
        about: "what goes between a member and its compiler",
        run: synod::fuzzing::compiler_answer,
        seeds: synod::fuzzing::compiler_messages,
        ..DECODER
    },
    Target {
        name: "config-files",
        about: "config files, addresses, members, time-outs of requests",
        run: values::config_file,
        seeds: values::config_files,
        ..DECODER
    },
    Target {
        name: "command-lines",
        about: "words of `synod call`",
        run: values::command_line,
        seeds: values::command_lines,
        heap_bytes: MIB,
        ..DECODER
    },
    Target {
        name: "modules",
        about: "modules that are uploaded",
        run: modules::module,
        seeds: modules::modules,
        ..MACHINE
    },
    Target {
        name: "valid-modules",
        about: "valid modules that are made of the input",
        run: modules::valid_module,
        seeds: modules::entropies,
        ..MACHINE
    },
    Target {
        name: "host-calls",
        about: "host calls with any pointers and lengths",
        run: modules::host_calls,
        seeds: modules::programs,
        ..MACHINE
    },
    Target {
        name: "stores",
        about: "commands applied over RocksDB and over memory, with kills",
        run: stores::both,
        seeds: stores::histories,
        inputs: 40,
        most_time: Duration::from_secs(120),
        ..MACHINE
    },
];

/// The protobuf messages that are decoded, by package.
pub const MESSAGES: [(&str, &[&str]); 2] = messages::KNOWN;

/// The target of a name.
///
/// # Errors
/// Which targets there are.
pub fn find(name: &str) -> Result<&'static Target, String> {
    let known = || TARGETS.iter().map(|target| format!("  {:16} {}", target.name, target.about));
    TARGETS.iter().find(|target| target.name == name).ok_or_else(|| {
        format!("there is no target `{name}`; there are\n{}", known().collect::<Vec<_>>().join("\n"))
    })
}
