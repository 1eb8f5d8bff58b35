//! Unit tests of `archive`.
use super::*;

const FILES: [File<'_>; 2] =
    [File { path: "a/b.rs", contents: b"fn main() {}" }, File { path: "empty", contents: b"" }];

#[test]
fn what_is_written_is_read() {
    assert_eq!(read(&write(FILES)).unwrap(), FILES);
}

#[test]
fn a_cut_archive_is_refused() {
    let archive = write(FILES);
    let whole: Vec<usize> = (0..=archive.len()).filter(|len| read(&archive[..*len]).is_some()).collect();
    let first = write(FILES.into_iter().take(1)).len();
    assert_eq!(whole, [MAGIC.len(), first, archive.len()], "only cuts between files can pass");
}

#[test]
fn a_path_that_leaves_the_folder_is_refused() {
    for path in ["../x", "/x", "a//x", "a/./x", ""] {
        assert_eq!(read(&write([File { path, contents: b"" }])), None, "{path}");
    }
}

#[test]
fn the_hash_is_the_published_one() {
    assert_eq!(fnv1a_64(b"foobar"), 0x8594_4171_f739_67e8);
}
