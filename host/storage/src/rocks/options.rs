//! Options of RocksDB, in one place, and what they are for.
//!
//! The write-ahead log is where durability is decided: a damaged one must be refused, never
//! skipped, and only what a torn last write left may be dropped. RocksDB's defaults do otherwise.
use std::sync::Arc;

use rocksdb::{BlockBasedOptions, Cache, DBCompressionType, DBRecoveryMode, LogLevel, Options};

use crate::InstallStep;

/// Called after each step of installing a snapshot.
pub type InstallHook = Arc<dyn Fn(InstallStep) + Send + Sync>;

/// How much memory and disk a store may use. The defaults suit three members on one small machine.
#[derive(Clone)]
pub struct RocksOptions {
    /// Cache of blocks of every table, their indexes and filters included.
    pub block_cache_bytes: usize,
    /// Memory for rows that are not in files yet, over all tables.
    pub memtable_bytes: usize,
    /// Total length of write-ahead logs; tables are flushed to stay below.
    pub wal_bytes: u64,
    /// Newest records of the log kept in memory, for replication and apply.
    pub log_tail_bytes: usize,
    /// Appends wait, as with a full disk, while less than this is free on the disk, so that
    /// purging, snapshots and compaction can still free space.
    pub reserve_bytes: u64,
    /// Threads that flush and compact.
    pub background_jobs: i32,
    /// Open table files.
    pub open_files: i32,
    /// For tests that kill a member while it installs a snapshot.
    pub on_install_step: Option<InstallHook>,
}

impl Default for RocksOptions {
    fn default() -> Self {
        Self {
            block_cache_bytes: 128 * 1_024 * 1_024,
            memtable_bytes: 192 * 1_024 * 1_024,
            wal_bytes: 256 * 1_024 * 1_024,
            log_tail_bytes: 64 * 1_024 * 1_024,
            reserve_bytes: 64 * 1_024 * 1_024,
            background_jobs: 2,
            open_files: 512,
            on_install_step: None,
        }
    }
}

/// Lines RocksDB may write about itself.
const INFO_LOG_FILES: usize = 3;
const INFO_LOG_BYTES: usize = 2 * 1_024 * 1_024;
const BLOOM_BITS_PER_KEY: f64 = 10.0;
/// A table file of rows is compacted soon if so many of so many neighbours in it are deletions:
/// else ranges step over them until much more is written.
const DELETIONS_WINDOW: usize = 512;
const DELETIONS: usize = 256;

/// Options ready to use, with the shared cache.
pub(crate) struct Prepared {
    pub(crate) database: Options,
    pub(crate) log: Options,
    pub(crate) meta: Options,
    pub(crate) rows: Options,
}

impl Prepared {
    pub(crate) fn new(options: &RocksOptions) -> Self {
        let cache = Cache::new_lru_cache(options.block_cache_bytes);
        let mut database = Options::default();
        database.create_if_missing(true);
        database.create_missing_column_families(true);
        database.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
        database.set_track_and_verify_wals_in_manifest(true);
        database.set_paranoid_checks(true);
        database.set_recycle_log_file_num(0);
        database.set_wal_bytes_per_sync(0);
        database.set_manual_wal_flush(false);
        database.set_enable_pipelined_write(false);
        database.set_max_total_wal_size(options.wal_bytes);
        database.set_db_write_buffer_size(options.memtable_bytes);
        database.set_max_background_jobs(options.background_jobs);
        database.set_max_open_files(options.open_files);
        database.set_keep_log_file_num(INFO_LOG_FILES);
        database.set_max_log_file_size(INFO_LOG_BYTES);
        database.set_log_level(LogLevel::Warn);
        database.set_stats_dump_period_sec(0);
        database.set_stats_persist_period_sec(0);

        let mut log = Options::default();
        log.set_compression_type(DBCompressionType::None);
        log.set_write_buffer_size(options.memtable_bytes / 3);
        log.set_block_based_table_factory(&blocks(&cache, false));

        let mut meta = Options::default();
        meta.set_write_buffer_size(options.memtable_bytes / 24);
        meta.set_compression_type(DBCompressionType::None);
        meta.set_block_based_table_factory(&blocks(&cache, false));

        let mut rows = Options::default();
        rows.set_compression_type(DBCompressionType::Lz4);
        rows.set_write_buffer_size(options.memtable_bytes / 6);
        rows.set_level_compaction_dynamic_level_bytes(true);
        rows.add_compact_on_deletion_collector_factory(DELETIONS_WINDOW, DELETIONS, 0.0);
        rows.set_block_based_table_factory(&blocks(&cache, true));
        Self { database, log, meta, rows }
    }
}

fn blocks(cache: &Cache, filter: bool) -> BlockBasedOptions {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(cache);
    blocks.set_cache_index_and_filter_blocks(true);
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
    if filter {
        blocks.set_bloom_filter(BLOOM_BITS_PER_KEY, false);
    }
    blocks
}
