//! Frames between members, and files of a data directory.
use synod_consensus::TokioRuntime;
use synod_storage::fuzzing;

pub(super) fn peer_frame(bytes: &[u8]) {
    synod_consensus::fuzzing::peer_frame::<TokioRuntime>(bytes);
}

pub(super) fn peer_frames() -> Vec<Vec<u8>> {
    synod_consensus::fuzzing::peer_frames::<TokioRuntime>()
}

pub(super) fn data_file(bytes: &[u8]) {
    fuzzing::identity(bytes);
    fuzzing::format(bytes);
    fuzzing::watermark(bytes);
    fuzzing::record(bytes);
    fuzzing::applied_mark(bytes);
}

pub(super) fn data_files() -> Vec<Vec<u8>> {
    let kinds = [
        fuzzing::identities(),
        fuzzing::formats(),
        fuzzing::watermarks(),
        fuzzing::records(),
        fuzzing::applied_marks(),
    ];
    kinds.concat()
}
