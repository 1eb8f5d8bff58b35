//! Options of RocksDB, in one place, and what they are for.
//!
//! The write-ahead log is where durability is decided: a damaged one must be refused, never
//! skipped, and only what a torn last write left may be dropped. RocksDB's defaults do otherwise.
//! The state has none: what it lost, the log runs again.
use std::sync::Arc;

use rocksdb::{
    BlockBasedOptions, Cache, DBCompressionType, DBRecoveryMode, Env, LogLevel, Options, WriteBufferManager,
    WriteOptions,
};

use crate::{IdentityFile, StepHook, StorageError};

/// How much memory and disk a store may use. The defaults suit a state of 10 GB.
#[derive(Clone)]
pub struct RocksOptions {
    /// Cache of blocks of both databases, their indexes and filters included.
    pub block_cache_bytes: usize,
    /// Memory for what is not in table files yet, of both databases. After a crash the log runs
    /// again at most what filled half of it.
    pub write_buffer_bytes: usize,
    /// Total length of write-ahead logs; the log's tables are flushed to stay below.
    pub wal_bytes: u64,
    /// Newest records of the log kept in memory, for replication and apply.
    pub log_tail_bytes: usize,
    /// While less than this is free on the disk, the store is full: new work is to be refused, so
    /// that what was taken in, votes and purges still fit.
    pub reserve_bytes: u64,
    /// Threads that compact the state. The log has one of its own.
    pub background_jobs: i32,
    /// Open table files of the state.
    pub open_files: i32,
    /// Whose folder it is: its snapshots name the member's cluster, and one of another is refused.
    pub identity: Option<Arc<IdentityFile>>,
    /// For tests that kill a member at a step.
    pub on_step: Option<StepHook>,
}

impl Default for RocksOptions {
    fn default() -> Self {
        Self {
            block_cache_bytes: 160 * 1_024 * 1_024,
            write_buffer_bytes: 128 * 1_024 * 1_024,
            wal_bytes: 256 * 1_024 * 1_024,
            log_tail_bytes: 64 * 1_024 * 1_024,
            reserve_bytes: 64 * 1_024 * 1_024,
            background_jobs: 2,
            open_files: 512,
            identity: None,
            on_step: None,
        }
    }
}

/// Lines RocksDB may write about itself.
const INFO_LOG_FILES: usize = 3;
const INFO_LOG_BYTES: usize = 2 * 1_024 * 1_024;
const BLOOM_BITS_PER_KEY: f64 = 10.0;
/// The version of table files, which go from member to member: raised only when every version of
/// Synod that may be in a cluster with this one reads the next.
const TABLE_FORMAT: i32 = 6;
/// How the files of a state are laid out. A snapshot with another layout is refused.
pub(crate) const LAYOUT: &str = "rocksdb, tables 6, rows 2";
/// A table file of rows is compacted soon if so many of so many neighbours in it are deletions:
/// else ranges step over them until much more is written.
const DELETIONS_WINDOW: usize = 512;
const DELETIONS: usize = 256;
/// Each database has at most so many buffers, one that fills up and one that is flushed.
const BUFFERS: i32 = 2;
/// Share of the write buffers that one buffer has.
const BUFFER_OF_BUFFERS: usize = 4;
/// Share of the write buffers that what is not an entry has: votes and marks, overwritten all the
/// time.
const META_OF_BUFFERS: usize = 32;
/// Table files of the log that are open.
const LOG_OPEN_FILES: i32 = 64;
/// Jobs of the log: one flush, one compaction.
const LOG_JOBS: i32 = 2;

/// Options ready to use. Both databases share the cache and the memory for what is not in files.
pub(crate) struct Prepared {
    /// Of the database of the log.
    pub(crate) log_database: Options,
    /// Of its families.
    pub(crate) log: Options,
    pub(crate) meta: Options,
    /// Of a database of state, which has one family.
    pub(crate) state: Options,
}

impl Prepared {
    pub(crate) fn new(options: &RocksOptions) -> Result<Self, StorageError> {
        let cache = Cache::new_lru_cache(options.block_cache_bytes);
        let buffers = WriteBufferManager::new_write_buffer_manager(options.write_buffer_bytes, false);
        let threads = threads(options.background_jobs)?;

        let mut log_database = database(&buffers, &threads);
        log_database.create_missing_column_families(true);
        log_database.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
        log_database.set_track_and_verify_wals_in_manifest(true);
        log_database.set_recycle_log_file_num(0);
        log_database.set_wal_bytes_per_sync(0);
        log_database.set_manual_wal_flush(false);
        log_database.set_max_total_wal_size(options.wal_bytes);
        log_database.set_max_background_jobs(LOG_JOBS);
        log_database.set_max_open_files(LOG_OPEN_FILES);

        let mut log = Options::default();
        log.set_compression_type(DBCompressionType::None);
        log.set_write_buffer_size(options.write_buffer_bytes / BUFFER_OF_BUFFERS);
        log.set_max_write_buffer_number(BUFFERS);
        log.set_block_based_table_factory(&blocks(&cache, false));

        let mut meta = Options::default();
        meta.set_compression_type(DBCompressionType::None);
        meta.set_write_buffer_size(options.write_buffer_bytes / META_OF_BUFFERS);
        meta.set_block_based_table_factory(&blocks(&cache, false));

        let mut state = database(&buffers, &threads);
        state.set_max_background_jobs(options.background_jobs + 1);
        state.set_max_open_files(options.open_files);
        state.set_compression_type(DBCompressionType::Lz4);
        state.set_write_buffer_size(options.write_buffer_bytes / BUFFER_OF_BUFFERS);
        state.set_max_write_buffer_number(BUFFERS);
        state.set_level_compaction_dynamic_level_bytes(true);
        state.add_compact_on_deletion_collector_factory(DELETIONS_WINDOW, DELETIONS, 0.0);
        state.set_block_based_table_factory(&blocks(&cache, true));
        Ok(Self { log_database, log, meta, state })
    }
}

/// Options of writes to the state.
pub(crate) fn without_log() -> WriteOptions {
    let mut options = WriteOptions::default();
    options.disable_wal(true);
    options
}

/// The threads of the process that flush and compact: one of each more than the state may use, so
/// that the log never waits for it.
fn threads(state_jobs: i32) -> Result<Env, StorageError> {
    let mut threads = Env::new()
        .map_err(|error| StorageError::Fatal(format!("cannot have threads that compact: {error}")))?;
    threads.set_high_priority_background_threads(2);
    threads.set_background_threads(state_jobs + 1);
    Ok(threads)
}

fn database(buffers: &WriteBufferManager, threads: &Env) -> Options {
    let mut database = Options::default();
    database.set_env(threads);
    database.set_write_buffer_manager(buffers);
    database.set_paranoid_checks(true);
    database.set_enable_pipelined_write(false);
    database.set_keep_log_file_num(INFO_LOG_FILES);
    database.set_max_log_file_size(INFO_LOG_BYTES);
    database.set_log_level(LogLevel::Warn);
    database.set_stats_dump_period_sec(0);
    database.set_stats_persist_period_sec(0);
    database
}

fn blocks(cache: &Cache, filter: bool) -> BlockBasedOptions {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_format_version(TABLE_FORMAT);
    blocks.set_block_cache(cache);
    blocks.set_cache_index_and_filter_blocks(true);
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
    if filter {
        blocks.set_bloom_filter(BLOOM_BITS_PER_KEY, false);
    }
    blocks
}
