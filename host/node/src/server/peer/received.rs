//! A snapshot that another member sends: received into a file, chunk by chunk, and checked.
use std::path::PathBuf;

use synod_api::peer::SnapshotChunk;
use tokio::io::AsyncWriteExt;
use tonic::{Status, Streaming};

/// A file that is removed when this is dropped, unless it was handed over.
pub(super) struct ReceivedFile(PathBuf);

impl ReceivedFile {
    /// The file at `path`, which does not exist yet.
    pub(super) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Hands the file over to the installation, which continues when the sender has gone and this
    /// call with it.
    pub(super) fn hand_over(mut self) -> PathBuf {
        std::mem::take(&mut self.0)
    }
}

impl Drop for ReceivedFile {
    fn drop(&mut self) {
        if !self.0.as_os_str().is_empty()
            && let Err(error) = std::fs::remove_file(&self.0)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(path = %self.0.display(), %error, "a received snapshot cannot be removed");
        }
    }
}

/// Receives `first` and the rest of the `announced` bytes into the file, and syncs it.
///
/// # Errors
/// The file cannot be written, or the chunks are damaged or end early.
pub(super) async fn receive(
    into: &ReceivedFile,
    first: SnapshotChunk,
    chunks: &mut Streaming<SnapshotChunk>,
    announced: u64,
) -> Result<(), Status> {
    let failed =
        |error: std::io::Error| Status::resource_exhausted(format!("cannot write the snapshot: {error}"));
    let mut file = tokio::fs::File::create(&into.0).await.map_err(failed)?;
    let mut chunk = first;
    let mut offset = 0;
    loop {
        let length = chunk.data.len() as u64;
        if chunk.offset != offset
            || crc32fast::hash(&chunk.data) != chunk.crc32
            || offset + length > announced
        {
            return Err(Status::data_loss(format!("the snapshot was damaged on its way, at byte {offset}")));
        }
        file.write_all(&chunk.data).await.map_err(failed)?;
        offset += length;
        if chunk.last {
            break;
        }
        chunk = chunks
            .message()
            .await?
            .ok_or_else(|| Status::aborted(format!("the snapshot ended at byte {offset} of {announced}")))?;
    }
    file.sync_all().await.map_err(failed)
}

#[cfg(test)]
mod tests;
