//! What a process uses, as Linux tells it in `/proc`. Of one that is not there it tells nothing.
use std::time::Duration;

/// Bytes of memory that it has.
pub fn resident_bytes(process: u32) -> Option<u64> {
    let pages: u64 = read(process, "statm")?.split_whitespace().nth(1)?.parse().ok()?;
    // SAFETY: `sysconf` only looks a constant up.
    Some(pages * unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as u64)
}

/// Time that it has had a processor, user and system, in steps of the kernel's, mostly 10 ms.
pub fn processor_time(process: u32) -> Option<Duration> {
    let stat = read(process, "stat")?;
    // The second field is a name in brackets, which may hold blanks.
    let fields = stat.rsplit(')').next()?.split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    // SAFETY: `sysconf` only looks a constant up.
    let a_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as u64;
    Some(Duration::from_millis(ticks * 1_000 / a_second))
}

/// Bytes that it caused to be written to disks.
pub fn written_bytes(process: u32) -> Option<u64> {
    read(process, "io")?.lines().find_map(|line| line.strip_prefix("write_bytes:"))?.trim().parse().ok()
}

fn read(process: u32, file: &str) -> Option<String> {
    std::fs::read_to_string(format!("/proc/{process}/{file}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_is_there_has_memory_and_one_that_is_not_has_nothing() {
        let own = std::process::id();
        assert!(resident_bytes(own).is_some_and(|bytes| bytes > 100_000));
        assert!(processor_time(own).is_some() && written_bytes(own).is_some());
        let nobody = u32::MAX;
        assert_eq!(
            (resident_bytes(nobody), processor_time(nobody), written_bytes(nobody)),
            (None, None, None)
        );
    }
}
