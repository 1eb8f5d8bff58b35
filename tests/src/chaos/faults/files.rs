//! Damage to the files of a member that does not run.
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::dice::Dice;

/// What a member does not read from its data, or writes again itself.
const UNREAD: [&str; 2] = ["LOCK", "LOG"];

/// Flips one bit of one of a member's files, and says where.
///
/// # Panics
/// When there are none, or they cannot be changed.
pub(super) fn flip_a_bit(folder: &Path, dice: &mut Dice) -> String {
    let mut files = Vec::new();
    collect(folder, &mut files);
    files.sort();
    let path = &files[dice.below(files.len() as u64) as usize];
    let open = OpenOptions::new().read(true).write(true).open(path);
    let file = open.unwrap_or_else(|error| panic!("cannot change {}: {error}", path.display()));
    let length = path.metadata().map_or(1, |metadata| metadata.len());
    let (at, bit) = (dice.below(length), dice.below(8));
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).expect("a byte of the file can be read");
    file.write_all_at(&[byte[0] ^ (1 << bit)], at).expect("it can be written");
    format!("{} at {at} of {length}", path.display())
}

/// All files that are not empty and are read by a member.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name();
        if path.is_dir() {
            collect(&path, files);
        } else if !UNREAD.iter().any(|unread| name.to_string_lossy().starts_with(unread))
            && entry.metadata().is_ok_and(|metadata| metadata.len() > 0)
        {
            files.push(path);
        }
    }
}
