//! Unit tests of `snapshot`.
use super::*;

fn mark() -> AppliedMark {
    AppliedMark { index: Some(7), id: (*b"id").into(), membership: (*b"abc").into() }
}

fn write(folder: &Path, rows: &[(Table, &[u8], &[u8])]) -> SnapshotFile {
    let mut writer = SnapshotWriter::create(folder.join("t.tmp"), mark()).expect("create");
    for (table, key, value) in rows {
        writer.row(*table, key, value).expect("row");
    }
    writer.finish(folder.join("t.snapshot")).expect("finish")
}

#[test]
fn what_was_written_is_read_and_the_file_goes_with_its_last_handle() {
    let folder = tempfile::tempdir().expect("folder");
    let big = vec![9; 2 * CHUNK_BYTES];
    let rows: [(Table, &[u8], &[u8]); 4] = [
        (Table::System, b"", b"head"),
        (Table::State, b"a", &big),
        (Table::State, b"b", b""),
        (Table::Timers, b"a", b"x"),
    ];
    let file = write(folder.path(), &rows);
    let mut read = Vec::new();
    let meta = read_rows(&file.path, &mut |table, key, value| {
        read.push((table, key.to_vec(), value.to_vec()));
        Ok(())
    })
    .expect("read");
    assert_eq!(meta, file.meta);
    assert_eq!(read, rows.map(|(table, key, value)| (table, key.to_vec(), value.to_vec())));
    let copy = folder.path().join("copy");
    std::fs::copy(&file.path, &copy).expect("copy");
    let received = open_snapshot(&copy).expect("open");
    assert_eq!((&received.meta, received.length_bytes), (&file.meta, file.length_bytes));
    let second = received.clone();
    drop(received);
    assert!(copy.exists());
    drop(second);
    assert!(!copy.exists());
}

#[test]
fn every_flipped_byte_and_every_cut_is_found() {
    let folder = tempfile::tempdir().expect("folder");
    let file = write(folder.path(), &[(Table::State, b"key", b"value"), (Table::State, b"key2", b"value")]);
    let bytes = std::fs::read(&file.path).expect("read");
    let damaged = folder.path().join("damaged");
    let verify = |bytes: &[u8]| {
        std::fs::write(&damaged, bytes).expect("write");
        read_rows(&damaged, &mut |_, _, _| Ok(()))
    };
    assert!(verify(&bytes).is_ok());
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x10;
        assert!(matches!(verify(&flipped), Err(StorageError::BadSnapshot(_))), "flipped at {at}");
        assert!(matches!(verify(&bytes[..at]), Err(StorageError::BadSnapshot(_))), "cut at {at}");
    }
    let longer = [bytes.as_slice(), b"x"].concat();
    assert!(matches!(verify(&longer), Err(StorageError::BadSnapshot(_))));
}

#[test]
fn the_digest_depends_on_the_rows_alone() {
    let (mut one, mut other) = (Digest::default(), Digest::default());
    one.add(Table::State, b"a", b"1");
    one.add(Table::State, b"b", b"2");
    other.add(Table::State, b"b", b"2");
    other.add(Table::State, b"a", b"1");
    assert_eq!(one.0, other.0);
    let mut moved = Digest::default();
    moved.add(Table::State, b"a1", b"");
    moved.add(Table::State, b"b", b"2");
    assert_ne!(one.0, moved.0);
}

#[test]
fn marks_survive_encoding_and_garbage_is_none() {
    for mark in [mark(), AppliedMark::default()] {
        assert_eq!(decode_mark(&encode_mark(&mark)), Some(mark));
    }
    let bytes = encode_mark(&mark());
    for cut in 0..bytes.len() {
        assert_eq!(decode_mark(&bytes[..cut]), None);
    }
}
