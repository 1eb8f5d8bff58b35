//! What the members' processes use together.
use std::time::Duration;

use synod_tests::process::{processor_time, resident_bytes, written_bytes};

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
        processes.iter().map(|process| Self::one(*process)).fold(Self::default(), Self::and)
    }

    /// The sum of both.
    pub fn and(self, other: Self) -> Self {
        Self {
            cpu: self.cpu + other.cpu,
            written_bytes: self.written_bytes + other.written_bytes,
            resident_bytes: self.resident_bytes + other.resident_bytes,
        }
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
        Self {
            cpu: processor_time(process).unwrap_or_default(),
            written_bytes: written_bytes(process).unwrap_or_default(),
            resident_bytes: resident_bytes(process).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
