//! What takes space: folders, and disks that fill up: small tmpfs, where mounting one is allowed.
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cluster::Cluster;

/// Bytes of a disk: the reserve of 64 MiB, and as much for the databases.
const DISK_MIB: u64 = 160;
/// What a full disk has left: less than the reserve, and enough for what was taken in.
const LEFT_MIB: u64 = 48;
const MIB: u64 = 1_024 * 1_024;

/// The length of all files in a folder; a file that has two names there counts twice.
pub fn length(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let lengths = entries.map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => length(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    });
    lengths.sum()
}

/// A mounted tmpfs; unmounted on drop, and copied to a folder beside it before, if a test failed.
#[derive(Debug)]
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts one, where that is allowed.
    ///
    /// # Panics
    /// When the folder cannot be made.
    pub fn mount(path: &Path) -> Option<Self> {
        std::fs::create_dir_all(path).expect("a folder can be made");
        let size = format!("size={DISK_MIB}m");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(path).status();
        mounted.is_ok_and(|status| status.success()).then(|| Self(path.to_path_buf()))
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }

    /// Leaves less space than a member's reserve.
    ///
    /// # Panics
    /// When the disk is gone.
    pub fn fill(&self) {
        let out = Command::new("stat").args(["-f", "-c", "%a %S"]).arg(&self.0).output().expect("stat runs");
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        let free: u64 = text.split_whitespace().map(|part| part.parse::<u64>().expect("a number")).product();
        let ballast = vec![0; free.saturating_sub(LEFT_MIB * MIB) as usize];
        std::fs::write(self.ballast(), ballast).expect("the ballast fits");
    }

    /// Frees what `fill` took, if it did.
    ///
    /// # Panics
    /// When the disk is gone.
    pub fn free(&self) {
        match std::fs::remove_file(self.ballast()) {
            Err(error) if error.kind() != ErrorKind::NotFound => panic!("cannot free the disk: {error}"),
            _ => {}
        }
    }

    /// Mounts it again, read-only (`ro`) or not (`rw`).
    ///
    /// # Panics
    /// When it cannot be.
    pub fn remount(&self, how: &str) {
        let mounted = Command::new("mount").args(["-o", &format!("remount,{how}")]).arg(&self.0).status();
        assert!(mounted.expect("mount runs").success(), "it can be mounted again");
    }

    /// A cluster of three with a small disk each; none where tmpfs cannot be mounted.
    pub async fn cluster() -> Option<(Cluster, Vec<Self>)> {
        let mut cluster = Cluster::new(3, &[]);
        let disks =
            cluster.members.iter().map(|member| Self::mount(&member.data)).collect::<Option<Vec<_>>>();
        let Some(disks) = disks else {
            eprintln!("skipped: no right to mount a tmpfs");
            return None;
        };
        (0..3).for_each(|n| cluster.start(n));
        cluster.ready().await;
        Some((cluster, disks))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let kept = self.0.with_extension("kept");
            let _ = Command::new("cp").arg("-a").args([&self.0, &kept]).status();
        }
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
