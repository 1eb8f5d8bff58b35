//! What processes use, as Linux tells it in `/proc`.
use std::time::Duration;

/// What some processes used so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Processor time, user and system.
    pub cpu: Duration,
    /// Bytes that they caused to be written to disk.
    pub written_bytes: u64,
    /// Memory that is resident now.
    pub resident_bytes: u64,
}

impl Usage {
    /// What these processes used together. One that has ended counts nothing.
    pub fn of(processes: &[u32]) -> Self {
        processes.iter().map(|process| Self::one(*process)).fold(Self::default(), |sum, one| Self {
            cpu: sum.cpu + one.cpu,
            written_bytes: sum.written_bytes + one.written_bytes,
            resident_bytes: sum.resident_bytes + one.resident_bytes,
        })
    }

    /// What was used since `before`; of memory, what is resident now.
    pub fn since(self, before: Self) -> Self {
        Self {
            cpu: self.cpu.saturating_sub(before.cpu),
            written_bytes: self.written_bytes.saturating_sub(before.written_bytes),
            resident_bytes: self.resident_bytes,
        }
    }

    fn one(process: u32) -> Self {
        let read =
            |file: &str| std::fs::read_to_string(format!("/proc/{process}/{file}")).unwrap_or_default();
        let field = |text: &str, name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            line.split_whitespace().next().and_then(|number| number.parse::<u64>().ok()).unwrap_or_default()
        };
        let stat = read("stat");
        // The second field is a name in brackets, which may hold blanks.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<u64>().ok()).unwrap_or_default();
        // SAFETY: it reads a constant of the system.
        let ticks_per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
        let seconds = (ticks(11) + ticks(12)) as f64 / ticks_per_second as f64;
        Self {
            cpu: Duration::from_secs_f64(seconds),
            written_bytes: field(&read("io"), "write_bytes:"),
            resident_bytes: field(&read("status"), "VmRSS:") * 1_024,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_runs_has_memory_and_one_that_does_not_has_nothing() {
        let own = Usage::of(&[std::process::id()]);
        assert!(own.resident_bytes > 100_000, "{own:?}");
        assert_eq!(Usage::of(&[u32::MAX]), Usage::default());
        assert!(Usage::of(&[std::process::id(), u32::MAX]).resident_bytes > 0);
    }

    #[test]
    fn what_was_used_since_is_a_difference_but_memory_is_what_there_is() {
        let usage = |cpu_ms, written_bytes, resident_bytes| Usage {
            cpu: Duration::from_millis(cpu_ms),
            written_bytes,
            resident_bytes,
        };
        assert_eq!(usage(50, 700, 9).since(usage(20, 100, 5)), usage(30, 600, 9));
    }
}
