//! The two engines, option by option: one that replicas agree about, and one for queries.
//!
//! A build has one or several editions of them, so that a cluster can move from one to the next
//! while its binaries are replaced one by one. Nothing is left to a default that may change or to
//! what the processor can do, and everything that could make two members differ goes into one
//! fingerprint for each edition, which is replicated: a member that would compute something else
//! stops instead. Compiling, caching and running are not done here.
use std::hash::{Hash, Hasher};

use synod_abi::limits::{self, ENTRY_INSTANCES, TABLE_ELEMENTS};
use synod_abi::{Limit, costs};
use wasmtime::wasmparser::WasmFeatures;
use wasmtime::{
    Config, Enabled, Engine, Inlining, InstanceAllocationStrategy, OperatorCost, OptLevel,
    PoolingAllocationConfig, RegallocAlgorithm, Strategy,
};

use crate::{VmError, instrument, pristine, stack};

/// Instances that the apply engine can hold: those of an entry, and room for what is being
/// replaced.
pub(crate) const APPLY_SLOTS: u32 = 2 * ENTRY_INSTANCES as u32;
/// Queries that run at once on one member.
pub const QUERY_SLOTS: u32 = 64;

const WASMTIME_VERSION: &str = "48.0.8";
const MEMORY_BYTES: usize = pristine::PAGES as usize * 64 * 1_024;
const INSTANCE_BYTES: usize = 1_024 * 1_024;
const MEMORY_KEEP_RESIDENT_BYTES: usize = 128 * 1_024;
const TABLE_KEEP_RESIDENT_BYTES: usize = 32 * 1_024;

#[cfg(target_arch = "x86_64")]
const TARGET: &str = "x86_64-unknown-linux-gnu";
#[cfg(target_arch = "aarch64")]
const TARGET: &str = "aarch64-unknown-linux-gnu";

/// What every x86-64 server of the last fifteen years has (x86-64-v2); more would make code differ
/// between members.
#[cfg(target_arch = "x86_64")]
const CPU_FLAGS: &[&str] = &["has_sse3", "has_ssse3", "has_sse41", "has_sse42", "has_popcnt"];
#[cfg(target_arch = "aarch64")]
const CPU_FLAGS: &[&str] = &[];

const OFF: &[WasmFeatures] = &[
    WasmFeatures::REFERENCE_TYPES,
    WasmFeatures::BULK_MEMORY,
    WasmFeatures::SIMD,
    WasmFeatures::RELAXED_SIMD,
    WasmFeatures::THREADS,
    WasmFeatures::SHARED_EVERYTHING_THREADS,
    WasmFeatures::TAIL_CALL,
    WasmFeatures::MULTI_MEMORY,
    WasmFeatures::MEMORY64,
    WasmFeatures::EXCEPTIONS,
    WasmFeatures::LEGACY_EXCEPTIONS,
    WasmFeatures::FUNCTION_REFERENCES,
    WasmFeatures::GC,
    WasmFeatures::STACK_SWITCHING,
    WasmFeatures::WIDE_ARITHMETIC,
    WasmFeatures::CUSTOM_PAGE_SIZES,
    WasmFeatures::MEMORY_CONTROL,
    WasmFeatures::COMPONENT_MODEL,
];

/// Which edition of the engines. Whoever changes anything that the fingerprint covers appends one
/// and keeps the last, until no cluster can come from it: until then members that have the new
/// binary run the old edition, and move on together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Edition {
    /// The only one that was released.
    First,
    /// Divisions cost more: for tests of a move from one edition to the next.
    #[cfg(any(test, feature = "next-edition"))]
    Next,
}

impl Edition {
    /// Those of this build, oldest first.
    pub(crate) const ALL: &[Self] = &[
        Self::First,
        #[cfg(any(test, feature = "next-edition"))]
        Self::Next,
    ];

    /// The newest.
    pub(crate) const NEWEST: Self = Self::ALL[Self::ALL.len() - 1];

    /// The one with this fingerprint; none if this build does not have it.
    pub(crate) fn of(fingerprint: &[u8; 32]) -> Result<Option<Self>, VmError> {
        for edition in Self::ALL {
            if self::fingerprint(*edition, &compiling(*edition, Kind::Apply)?) == *fingerprint {
                return Ok(Some(*edition));
            }
        }
        Ok(None)
    }

    /// Fuel of each operator: one, but for those that take several times as long as others.
    fn operator_cost(self) -> OperatorCost {
        let division = match self {
            Self::First => 4,
            #[cfg(any(test, feature = "next-edition"))]
            Self::Next => 5,
        };
        OperatorCost {
            F32Div: 6,
            F64Div: 6,
            F32Sqrt: 8,
            F64Sqrt: 8,
            I32DivS: division,
            I32DivU: division,
            I32RemS: division,
            I32RemU: division,
            I64DivS: division,
            I64DivU: division,
            I64RemS: division,
            I64RemU: division,
            ..OperatorCost::new()
        }
    }
}

/// Which engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    /// Fuel, no interruption: every member does the same.
    Apply,
    /// Interruption by time, no fuel.
    Query,
}

impl Kind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Apply => "apply",
            Self::Query => "query",
        }
    }
}

/// Makes the engine of a kind.
pub(crate) fn engine(edition: Edition, kind: Kind) -> Result<Engine, VmError> {
    let slots = match kind {
        Kind::Apply => APPLY_SLOTS,
        Kind::Query => QUERY_SLOTS,
    };
    let mut config = config(edition, kind)?;
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(slots)));
    Engine::new(&config).map_err(VmError::engine)
}

/// Makes an engine whose code runs on the engine of the kind, and that runs nothing itself: it
/// reserves no memory and uses no thread but its caller's.
pub(crate) fn compiling(edition: Edition, kind: Kind) -> Result<Engine, VmError> {
    let mut config = config(edition, kind)?;
    config.parallel_compilation(false);
    Engine::new(&config).map_err(VmError::engine)
}

/// What decides which code is made, and what it does.
fn config(edition: Edition, kind: Kind) -> Result<Config, VmError> {
    let mut config = Config::new();
    config.target(TARGET).map_err(VmError::engine)?;
    for flag in CPU_FLAGS {
        // SAFETY: the flags name instructions that wasmtime looks for on this processor before it
        // runs any code made with them.
        unsafe { config.cranelift_flag_enable(flag) };
    }
    config
        .strategy(Strategy::Cranelift)
        .cranelift_opt_level(OptLevel::Speed)
        .cranelift_regalloc_algorithm(RegallocAlgorithm::Backtracking)
        .compiler_inlining(Inlining::No)
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true);
    for feature in OFF {
        config.wasm_features(*feature, false);
    }
    config
        .wasm_features(WasmFeatures::CALL_INDIRECT_OVERLONG, true)
        .wasm_features(WasmFeatures::BULK_MEMORY_OPT, true);
    config
        .gc_support(false)
        .shared_memory(false)
        .concurrency_support(false)
        .max_wasm_stack(stack::WASM_STACK_BYTES)
        .async_stack_size(stack::WASM_STACK_BYTES)
        .wasm_backtrace_max_frames(None)
        .native_unwind_info(false)
        .generate_address_map(false)
        .memory_may_move(false)
        .memory_init_cow(true)
        .table_lazy_init(true);
    match kind {
        Kind::Apply => {
            config.consume_fuel(true).epoch_interruption(false).operator_cost(edition.operator_cost());
        }
        Kind::Query => {
            config.consume_fuel(false).epoch_interruption(true);
        }
    }
    Ok(config)
}

fn pool(slots: u32) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_core_instances(slots)
        .total_memories(slots)
        .total_tables(slots)
        .max_memories_per_module(1)
        .max_tables_per_module(1)
        .max_memory_size(MEMORY_BYTES)
        .table_elements(TABLE_ELEMENTS as usize)
        .max_core_instance_size(INSTANCE_BYTES)
        .linear_memory_keep_resident(MEMORY_KEEP_RESIDENT_BYTES)
        .table_keep_resident(TABLE_KEEP_RESIDENT_BYTES)
        .max_unused_warm_slots(slots)
        .decommit_batch_size(1)
        .pagemap_scan(Enabled::Auto);
    pool
}

/// Hash of what wasmtime says decides whether compiled code fits an engine: target, flags,
/// features, tunables with the table of operator costs, and version.
pub(crate) fn compatibility(engine: &Engine) -> [u8; 32] {
    struct Blake3(blake3::Hasher);
    impl Hasher for Blake3 {
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
        fn finish(&self) -> u64 {
            0
        }
    }
    let mut hasher = Blake3(blake3::Hasher::new());
    engine.precompile_compatibility_hash().hash(&mut hasher);
    *hasher.0.finalize().as_bytes()
}

/// Everything about execution in an edition that is decided in this crate or below it, as one hash.
pub(crate) fn fingerprint(edition: Edition, apply: &Engine) -> [u8; 32] {
    fingerprint_of(
        WASMTIME_VERSION,
        instrument::VERSION,
        limits::REPLICATED,
        costs::TABLE,
        &format!("{:?}", edition.operator_cost()),
        &compatibility(apply),
    )
}

fn fingerprint_of(
    version: &str,
    instrumentation: u32,
    limits: &[Limit],
    costs: &[Limit],
    operator_costs: &str,
    compatibility: &[u8; 32],
) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("synod 2026-11 execution environment of synod-vm");
    let mut part = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    part(version.as_bytes());
    part(&instrumentation.to_le_bytes());
    for table in [limits, costs] {
        part(&table.len().to_le_bytes());
        for Limit { name, value } in table {
            part(name.as_bytes());
            part(&value.to_le_bytes());
        }
    }
    part(operator_costs.as_bytes());
    part(compatibility);
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests;
