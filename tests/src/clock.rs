//! Clocks of members that a test sets while they run: the wall clock ahead or behind, or both
//! clocks at another rate. Only the member that is started with one sees it.
//!
//! It works by a library that stands before libc's own function, compiled by the rustc that
//! compiles the tests, so that nothing has to be installed.
use std::io::{Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use tempfile::{NamedTempFile, TempDir};

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/shims/clock.rs");
/// Numbers of a setting, of which the last is not used.
const NUMBERS: usize = 4;

/// A clock, right at first.
#[derive(Debug)]
pub struct TestClock {
    setting: NamedTempFile,
}

impl TestClock {
    /// A right clock.
    ///
    /// # Panics
    /// When the temporary folder cannot be written.
    pub fn right() -> Self {
        let mut setting = NamedTempFile::new().expect("the temporary folder can be written");
        setting.write_all(&[0; NUMBERS * size_of::<i64>()]).expect("it is written");
        Self { setting }
    }

    /// The command that runs a member with this clock; see
    /// [`Cluster::wrap`](crate::cluster::Cluster::wrap).
    pub fn wrapper(&self) -> [String; 3] {
        let library = library();
        let setting = self.setting.path();
        [
            "env".to_owned(),
            format!("LD_PRELOAD={}", library.display()),
            format!("SYNOD_TEST_CLOCK={}", setting.display()),
        ]
    }

    /// Sets the wall clock ahead, or behind, by so many milliseconds.
    ///
    /// # Panics
    /// When the setting cannot be written.
    pub fn set_ahead_ms(&mut self, ms: i64) {
        self.write(0, ms * 1_000_000);
    }

    /// From now on both clocks run faster by so many parts in a thousand. They go on from what they
    /// show, if they ran right so far.
    ///
    /// # Panics
    /// When the setting cannot be written.
    pub fn run_faster_by_permille(&mut self, permille: i64) {
        self.write(1, i64::try_from(uptime().as_nanos()).expect("less than centuries"));
        self.write(2, permille);
    }

    fn write(&mut self, number: usize, value: i64) {
        let file = self.setting.as_file_mut();
        let at = (number * size_of::<i64>()) as u64;
        file.seek(SeekFrom::Start(at)).expect("it is found");
        file.write_all(&value.to_ne_bytes()).expect("it is written");
    }
}

/// What the monotonic clock shows.
fn uptime() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes one time, to where there is room for it.
    let read = unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    assert_eq!(read, 0, "there is a monotonic clock");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The library, compiled at most once in this process.
fn library() -> PathBuf {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = TempDir::with_prefix("synod-clock-").expect("the temporary folder can be written");
        let output = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
            .args(["--edition", "2024", "--crate-type", "cdylib", "-O", "-C", "panic=abort", SOURCE, "-o"])
            .arg(folder.path().join("libclock.so"))
            .output()
            .expect("rustc can be started");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        folder
    });
    folder.path().join("libclock.so")
}
