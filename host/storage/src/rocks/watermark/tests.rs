//! Unit tests of `watermark`.
use super::*;

fn open(root: &Path, end: u64) -> Result<Watermark, u64> {
    Watermark::open(root, end).expect("it can be opened")
}

#[test]
fn a_log_that_is_shorter_than_the_mark_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut mark = open(folder.path(), 3).expect("new");
    mark.raise(9).expect("written");
    assert_eq!(open(folder.path(), 8).err(), Some(9));
    assert_eq!(open(folder.path(), 9).expect("it is as long").end(), 9);
    let mut mark = open(folder.path(), 20).expect("it is longer");
    mark.lower(30).expect("nothing to do");
    assert_eq!(mark.end(), 20);
    mark.lower(5).expect("written");
    assert_eq!(open(folder.path(), 5).expect("it may be shorter now").end(), 5);
}

#[test]
fn a_damaged_or_missing_file_tells_nothing_and_is_written_anew() {
    let folder = tempfile::tempdir().expect("a folder");
    drop(open(folder.path(), 9).expect("new"));
    let path = folder.path().join(FILE);
    for length in [0, 5] {
        std::fs::write(&path, vec![1; length]).expect("cut");
        assert_eq!(open(folder.path(), 1).expect("it tells nothing").end(), 1);
    }
    for byte in 0..MARK_BYTES {
        let mut bytes = encode(9);
        bytes[byte] ^= 4;
        std::fs::write(&path, bytes).expect("damaged");
        assert_eq!(open(folder.path(), 1).expect("it tells nothing").end(), 1);
    }
    assert_eq!(open(folder.path(), 0).err(), Some(1));
}
