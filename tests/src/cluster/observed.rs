//! What the kernel says of a member's process, and what the member logged.
use std::time::Duration;

use super::Cluster;
use crate::process;

impl Cluster {
    /// Bytes of memory that a member's process has, by the kernel's count.
    ///
    /// # Panics
    /// When it does not run.
    pub fn resident_bytes(&self, n: usize) -> u64 {
        process::resident_bytes(self.process_id(n)).expect("the process is there")
    }

    /// Sets how many file descriptors a member's process may have.
    ///
    /// # Panics
    /// When it does not run.
    pub fn limit_descriptors(&self, n: usize, limit: u64) {
        let limits = libc::rlimit { rlim_cur: limit, rlim_max: limit };
        let old = std::ptr::null_mut();
        let process = self.process_id(n) as i32;
        // SAFETY: `limits` lives during the call, which only reads it; no old limits are wanted.
        let set = unsafe { libc::prlimit(process, libc::RLIMIT_NOFILE, &raw const limits, old) };
        assert_eq!(set, 0, "the limit of a child can be lowered");
    }

    /// Open file descriptors of a member's process.
    ///
    /// # Panics
    /// When it does not run.
    pub fn descriptors(&self, n: usize) -> usize {
        let folder = format!("/proc/{}/fd", self.process_id(n));
        std::fs::read_dir(folder).expect("the process is there").count()
    }

    /// Time that a member's process has had a processor.
    ///
    /// # Panics
    /// When it does not run.
    pub fn processor_time(&self, n: usize) -> Duration {
        process::processor_time(self.process_id(n)).expect("the process is there")
    }

    /// The id of a member's process.
    ///
    /// # Panics
    /// When it does not run.
    pub fn process_id(&self, n: usize) -> u32 {
        self.members[n].child.as_ref().expect("the member runs").id()
    }

    /// Everything that a member logged so far.
    pub fn log(&self, n: usize) -> String {
        std::fs::read_to_string(&self.members[n].log).unwrap_or_default()
    }
}
