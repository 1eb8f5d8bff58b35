//! Installing a snapshot: into a new generation beside the present one, then one synced write that
//! switches.
//!
//! The rows go into table files and are ingested, so neither the write-ahead log nor memory sees
//! them, and the log goes on meanwhile. Before the switch nothing refers to the new generation,
//! after it nothing to the old one: opening the store drops whatever is not the present one.
//! Readers of the old generation keep it until they are done.
use std::path::PathBuf;
use std::sync::Arc;

use rocksdb::{IngestExternalFileOptions, SstFileWriter, WriteBatch};
use synod_machine::Table;

use super::state::Generation;
use super::store::{RocksStore, synced};
use crate::snapshot::{self, encode_mark};
use crate::{InstallStep, SnapshotFile, StorageError};

/// A table file is ended when it is as long.
const TABLE_FILE_BYTES: u64 = 64 * 1_024 * 1_024;
/// How many rows go by between two looks at a file's length.
const ROWS_BETWEEN_LOOKS: u32 = 256;

impl RocksStore {
    /// Installs a snapshot, calling `on_step` after each step.
    ///
    /// # Errors
    /// [`StorageError::BadSnapshot`] and [`StorageError::Full`] leave everything as it was.
    pub fn install_snapshot_with(
        &self,
        file: &SnapshotFile,
        on_step: &dyn Fn(InstallStep),
    ) -> Result<(), StorageError> {
        let inner = self.inner();
        let _turn = inner.turn();
        self.shared().usable()?;
        let step = |step: InstallStep| {
            tracing::debug!(step = step.name(), "installing a snapshot");
            on_step(step);
            if let Some(hook) = &inner.on_install_step {
                hook(step);
            }
        };
        let meta = snapshot::read_rows(&file.path, &mut |_, _, _| Ok(()))?;
        if meta != file.meta {
            return Err(StorageError::BadSnapshot(format!(
                "the snapshot file {} is not of what was announced",
                file.path.display()
            )));
        }
        step(InstallStep::Verified);

        let old = Arc::clone(&inner.generation());
        let number = old.number + 1;
        let mut unfinished = Unfinished { store: self, number, files: Vec::new(), done: false };
        for table in Table::ALL {
            let created =
                self.shared().database.create_cf(Generation::family_name(number, table), &inner.rows_options);
            created.map_err(|error| self.failed("cannot create a generation in", &error))?;
        }
        let generation = Arc::new(Generation::open(&self.shared().database, number)?);
        step(InstallStep::GenerationCreated);

        let loaded = self.load(file, &mut unfinished)?;
        if loaded != meta {
            return Err(StorageError::BadSnapshot(format!(
                "the snapshot file {} changed while it was read",
                file.path.display()
            )));
        }
        step(InstallStep::Loaded);

        self.ingest(&generation, &unfinished.files)?;
        step(InstallStep::Flushed);

        self.switch(&generation, &meta)?;
        unfinished.done = true;
        step(InstallStep::Switched);

        for table in Table::ALL {
            let name = Generation::family_name(old.number, table);
            if let Err(error) = self.shared().database.drop_cf(&name) {
                tracing::warn!(%error, family = name, "cannot drop an old generation; the next start will");
            }
        }
        step(InstallStep::OldDropped);
        Ok(())
    }

    /// Writes the rows into table files.
    fn load(
        &self,
        file: &SnapshotFile,
        unfinished: &mut Unfinished<'_>,
    ) -> Result<crate::SnapshotMeta, StorageError> {
        let options = &self.inner().rows_options;
        let folder = self.shared().directory.snapshots.clone();
        let number = unfinished.number;
        let mut open: Option<(Table, SstFileWriter<'_>)> = None;
        let mut rows = 0u32;
        let finish = |open: &mut Option<(Table, SstFileWriter<'_>)>| match open.take() {
            Some((_, mut writer)) => {
                writer.finish().map_err(|error| self.failed("cannot finish a table file in", &error))
            }
            None => Ok(()),
        };
        let meta = snapshot::read_rows(&file.path, &mut |table, key, value| {
            rows = rows.wrapping_add(1);
            let ended = match &open {
                Some((of, writer)) => {
                    *of != table
                        || (rows.is_multiple_of(ROWS_BETWEEN_LOOKS) && writer.file_size() >= TABLE_FILE_BYTES)
                }
                None => true,
            };
            if ended {
                finish(&mut open)?;
                let path = folder.join(format!("g{number}-{}.sst", unfinished.files.len()));
                unfinished.files.push((table, path.clone()));
                let writer = SstFileWriter::create(options);
                writer.open(&path).map_err(|error| self.failed("cannot create a table file in", &error))?;
                open = Some((table, writer));
            }
            let (_, writer) = open.as_mut().expect("opened above");
            writer.put(key, value).map_err(|error| self.failed("cannot write a table file in", &error))
        })?;
        finish(&mut open)?;
        Ok(meta)
    }

    /// Moves the table files into the new generation; on disk when it returns.
    fn ingest(&self, generation: &Generation, files: &[(Table, PathBuf)]) -> Result<(), StorageError> {
        for table in Table::ALL {
            let paths: Vec<_> =
                files.iter().filter(|(of, _)| *of == table).map(|(_, path)| path.clone()).collect();
            if paths.is_empty() {
                continue;
            }
            let mut options = IngestExternalFileOptions::default();
            options.set_move_files(true);
            let ingested = self.shared().database.ingest_external_file_cf_opts(
                generation.family(table).get(),
                &options,
                paths,
            );
            ingested.map_err(|error| self.failed("cannot load a snapshot into", &error))?;
        }
        Ok(())
    }

    /// The one write that makes the new generation the present one.
    fn switch(&self, generation: &Arc<Generation>, meta: &crate::SnapshotMeta) -> Result<(), StorageError> {
        let (inner, shared) = (self.inner(), self.shared());
        let mut present = inner.generation_to_switch();
        let mut batch = WriteBatch::default();
        batch.put_cf(shared.meta.get(), super::KEY_GENERATION, generation.number.to_be_bytes());
        batch.put_cf(shared.meta.get(), super::KEY_APPLIED, encode_mark(&meta.mark));
        shared
            .database
            .write_opt(batch, &synced())
            .map_err(|error| self.failed("cannot switch to a snapshot in", &error))?;
        *present = Arc::clone(generation);
        inner.set_mark(meta.mark.clone());
        drop(present);
        shared.set_applied(meta.mark.index.map_or(0, |index| index + 1), true);
        Ok(())
    }

    fn failed(&self, action: &str, error: &rocksdb::Error) -> StorageError {
        self.shared().fail(self.shared().sort(action, error))
    }
}

/// Removes a generation that did not become the present one, and its table files.
struct Unfinished<'a> {
    store: &'a RocksStore,
    number: u64,
    files: Vec<(Table, PathBuf)>,
    done: bool,
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        for (_, path) in &self.files {
            let _ = std::fs::remove_file(path);
        }
        if self.done {
            return;
        }
        for table in Table::ALL {
            let name = Generation::family_name(self.number, table);
            if self.store.shared().database.cf_handle(&name).is_some()
                && let Err(error) = self.store.shared().database.drop_cf(&name)
            {
                tracing::warn!(%error, family = name, "cannot drop an unfinished generation; the next start \
                    will");
            }
        }
    }
}
