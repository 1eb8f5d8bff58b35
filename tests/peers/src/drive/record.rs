//! What a driver tells at its end: latencies, the longest time without any operation, and what the
//! process used.
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// What a driver measured, as `DRIVERS.md` says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// Operations that ended within the window.
    pub operations: u64,
    /// Attempts that failed and were made again.
    pub failed: u64,
    /// The window's length.
    pub measured_ms: f64,
    /// Median latency.
    pub p50_us: f64,
    /// Of a hundred operations, one takes longer.
    pub p99_us: f64,
    /// Of a thousand operations, one takes longer.
    pub p999_us: f64,
    /// The longest latency.
    pub max_us: f64,
    /// The longest time in which no operation of any client ended.
    pub longest_gap_ms: f64,
    /// What the driver's process used of processors within the window.
    pub client_cpu_ms: f64,
}

/// One client's operations, measured or not: when each ended, and how long it took.
#[derive(Debug, Default)]
pub struct Record {
    /// Operations.
    pub ended: Vec<(Instant, Duration)>,
    /// When attempts failed.
    pub failed: Vec<Instant>,
}

impl Answer {
    /// Sums up all clients' records of the window from `opened` to `closed`.
    pub fn of(records: Vec<Record>, opened: Instant, closed: Instant, client_cpu: Duration) -> Self {
        let window = opened..=closed;
        let failures = records.iter().flat_map(|record| &record.failed);
        let failed = failures.filter(|at| window.contains(at)).count() as u64;
        let mut ended: Vec<_> = records.into_iter().flat_map(|record| record.ended).collect();
        ended.retain(|(at, _)| window.contains(at));
        ended.sort_unstable_by_key(|(at, _)| *at);
        let moments = ended.iter().map(|(at, _)| *at).chain([closed]);
        let gaps = moments.scan(opened, |last, at| Some(at - std::mem::replace(last, at)));
        let longest_gap = gaps.max().unwrap_or_default();
        let mut latencies: Vec<Duration> = ended.iter().map(|(_, took)| *took).collect();
        latencies.sort_unstable();
        let us = |took: Duration| took.as_secs_f64() * 1e6;
        let ms = |took: Duration| took.as_secs_f64() * 1e3;
        Self {
            operations: latencies.len() as u64,
            failed,
            measured_ms: ms(closed - opened),
            p50_us: us(rank(&latencies, 500)),
            p99_us: us(rank(&latencies, 990)),
            p999_us: us(rank(&latencies, 999)),
            max_us: us(latencies.last().copied().unwrap_or_default()),
            longest_gap_ms: ms(longest_gap),
            client_cpu_ms: ms(client_cpu),
        }
    }
}

/// The nearest rank of so many thousandths; zero of nothing.
fn rank(sorted: &[Duration], thousandths: usize) -> Duration {
    let place = (sorted.len() * thousandths).div_ceil(1_000).max(1) - 1;
    sorted.get(place).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn answer(ended_after_ms: &[u32], took_ms: &[u32]) -> Answer {
        let opened = Instant::now();
        let ended = ended_after_ms.iter().zip(took_ms).map(|(at, took)| (opened + MS * *at, MS * *took));
        let failed = [0, 50, 101].map(|at| opened + MS * at);
        let record = Record { ended: ended.collect(), failed: failed.into() };
        Answer::of(vec![record, Record::default()], opened, opened + MS * 100, MS * 30)
    }

    #[test]
    fn percentiles_are_nearest_ranks_of_what_ended_within_the_window() {
        let took: Vec<u32> = (1..=200).collect();
        let ended: Vec<u32> = (1..=200).collect();
        let answer = answer(&ended, &took);
        assert_eq!((answer.operations, answer.failed), (100, 2));
        assert_eq!((answer.p50_us, answer.p99_us), (50_000.0, 99_000.0));
        assert_eq!((answer.p999_us, answer.max_us), (100_000.0, 100_000.0));
        assert_eq!((answer.measured_ms, answer.client_cpu_ms), (100.0, 30.0));
    }

    #[test]
    fn the_longest_gap_counts_the_ends_of_the_window() {
        for (ended, gap_ms) in
            [(&[][..], 100.0), (&[60], 60.0), (&[10], 90.0), (&[50, 20, 95], 45.0), (&[40, 140], 60.0)]
        {
            let took = vec![1; ended.len()];
            assert_eq!(answer(ended, &took).longest_gap_ms, gap_ms, "{ended:?}");
        }
    }
}
