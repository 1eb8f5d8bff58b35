//! Unit tests of `error`.
use super::*;

#[test]
fn a_full_disk_is_full_and_anything_else_is_fatal() {
    let path = Path::new("/data");
    let full = StorageError::from_io("cannot write", path, &io::Error::from(io::ErrorKind::StorageFull));
    assert!(matches!(full, StorageError::Full { .. }));
    let broken = StorageError::from_io("cannot write", path, &io::Error::from_raw_os_error(5));
    assert!(matches!(&broken, StorageError::Fatal(message) if message.starts_with("cannot write /data: ")));
}
