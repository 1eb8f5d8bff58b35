//! The comparison: rounds in which each service in turn has a cluster to itself and gets every
//! load, so that what the machine does meanwhile falls on all of them.
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::driver::{Driver, DriverError, Load, Measured};
use crate::install::Installed;
use crate::kind::Kind;
use crate::servers::Servers;
use crate::workload::Workload;

/// How long after the window has opened the leader is killed.
const KILLED_AFTER: Duration = Duration::from_millis(1_000);
/// Clients that write while the leader is killed, and that write every key.
const WRITERS: usize = 64;
/// Keys of the loads that don't ask for a number of them.
const KEYS: u64 = 10_000;

/// What is measured once in a round with each service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "scenario", rename_all = "kebab-case")]
pub enum Scenario {
    /// Clients in closed loops.
    Load {
        /// What an operation is.
        workload: Workload,
        /// How many clients there are.
        clients: usize,
    },
    /// Clients write, and the leader is killed.
    Failover,
    /// Many keys are written, and the members are started again.
    ManyKeys {
        /// How many.
        keys: u64,
    },
}

impl Scenario {
    /// What a row of the table says.
    pub fn name(self) -> String {
        match self {
            Self::Load { workload, .. } => workload.name(),
            Self::Failover => "leader killed".to_owned(),
            Self::ManyKeys { keys } => format!("{keys} keys"),
        }
    }

    /// How many clients there are.
    pub fn clients(self) -> usize {
        match self {
            Self::Load { clients, .. } => clients,
            Self::Failover | Self::ManyKeys { .. } => WRITERS,
        }
    }
}

/// What one scenario showed of one service in one round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Operations a second, all clients together.
    pub operations_per_s: f64,
    /// Median latency.
    pub p50_us: f64,
    /// 99th percentile of it.
    pub p99_us: f64,
    /// 99.9th percentile of it.
    pub p999_us: f64,
    /// Processor seconds of all members for 1,000 operations.
    pub servers_cpu_s: f64,
    /// Processor seconds of the driver for 1,000 operations.
    pub clients_cpu_s: f64,
    /// Bytes that all members had written to disk, for one operation.
    pub disk_bytes: f64,
    /// Resident memory of all members at the end.
    pub memory_mib: f64,
    /// Attempts that failed.
    pub failed: f64,
    /// The longest time without an acknowledged operation.
    pub gap_ms: f64,
    /// From the start of the members on their data to a leader; zero if they were not started so.
    pub start_ms: f64,
}

/// One measurement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// In which round, from 0.
    pub round: usize,
    /// Of which service.
    pub kind: Kind,
    /// What was measured.
    #[serde(flatten)]
    pub scenario: Scenario,
    /// What it showed.
    pub figures: Figures,
}

/// What is compared, and how long.
#[derive(Clone, Debug)]
pub struct Plan {
    /// In their order within a round. A scenario that is no load ends the cluster of those before.
    pub scenarios: Vec<Scenario>,
    /// How often everything is measured.
    pub rounds: usize,
    /// How long each load runs before it is measured.
    pub warmup: Duration,
    /// How long each load is measured.
    pub measure: Duration,
    /// How long it is measured when the leader is killed, a second of it before.
    pub failover: Duration,
    /// Where the members' data is.
    pub place: PathBuf,
}

/// Something that the comparison tells while it runs.
#[derive(Debug)]
pub enum News<'a> {
    /// It begins a measurement.
    Begins {
        /// In which round, from 0.
        round: usize,
        /// Of which service.
        kind: Kind,
        /// Which.
        scenario: Scenario,
    },
    /// It ended well.
    Measured(&'a Sample),
    /// It failed; the comparison goes on without it.
    Failed {
        /// Of which service.
        kind: Kind,
        /// Which.
        scenario: Scenario,
        /// Why.
        error: DriverError,
    },
}

/// Measures all scenarios of all services, one cluster at a time.
pub fn compare(plan: &Plan, services: &[(Kind, Installed)], mut tell: impl FnMut(News)) -> Vec<Sample> {
    let mut samples = Vec::new();
    for round in 0..plan.rounds {
        for turn in 0..services.len() {
            let (kind, installed) = &services[(turn + round) % services.len()];
            let mut shared: Option<Servers> = None;
            for scenario in plan.scenarios.iter().copied() {
                tell(News::Begins { round, kind: *kind, scenario });
                match measure(plan, installed, scenario, &mut shared) {
                    Ok(figures) => {
                        let sample = Sample { round, kind: *kind, scenario, figures };
                        tell(News::Measured(&sample));
                        samples.push(sample);
                    }
                    Err(error) => {
                        // What failed may have left the cluster unwell.
                        shared = None;
                        tell(News::Failed { kind: *kind, scenario, error });
                    }
                }
            }
            if let Some(mut servers) = shared {
                servers.stop_all();
            }
        }
    }
    samples
}

/// One measurement. Loads share a cluster; the other scenarios end it, and have one of their own.
fn measure(
    plan: &Plan,
    installed: &Installed,
    scenario: Scenario,
    shared: &mut Option<Servers>,
) -> Result<Figures, DriverError> {
    let driver = Driver::of(installed);
    if !matches!(scenario, Scenario::Load { .. })
        && let Some(mut servers) = shared.take()
    {
        servers.stop_all();
    }
    let start = || {
        let mut servers = Servers::start(installed, &plan.place)?;
        let leader = driver.leader(&mut servers)?;
        Ok::<_, DriverError>((servers, leader))
    };
    match scenario {
        Scenario::Load { workload, clients } => {
            let servers = match shared {
                Some(servers) => servers,
                None => shared.insert(start()?.0),
            };
            let load = Load { workload, clients, warmup: plan.warmup, measure: plan.measure, keys: KEYS };
            Ok(figures(&driver.run(servers, load, |_| {})?))
        }
        Scenario::Failover => {
            let (servers, leader) = start()?;
            failover(plan, &driver, servers, leader)
        }
        Scenario::ManyKeys { keys } => many_keys(plan, &driver, start()?.0, keys),
    }
}

/// Clients write, the leader is killed, and the longest time without a write is the answer.
fn failover(
    plan: &Plan,
    driver: &Driver,
    mut servers: Servers,
    leader: usize,
) -> Result<Figures, DriverError> {
    let (warmup, measure) = (plan.warmup, plan.failover);
    let load = Load { workload: Workload::Write, clients: WRITERS, warmup, measure, keys: KEYS };
    let mut killed = Ok(());
    let measured = driver.run(&mut servers, load, |servers| {
        std::thread::sleep(KILLED_AFTER);
        killed = servers.kill(leader);
    })?;
    killed?;
    servers.stop_all();
    Ok(figures(&measured))
}

/// Every key is written; the members are stopped and started; what they need then is measured.
fn many_keys(plan: &Plan, driver: &Driver, mut servers: Servers, keys: u64) -> Result<Figures, DriverError> {
    let none = Duration::ZERO;
    let load = Load { workload: Workload::Fill, clients: WRITERS, warmup: none, measure: none, keys };
    let filled = driver.run(&mut servers, load, |_| {})?;
    servers.stop_all();
    let began = Instant::now();
    servers.start_all()?;
    driver.leader(&mut servers)?;
    let led_after = began.elapsed();
    // What the driver itself needs to find it out, such as to start a virtual machine, is no start.
    let began = Instant::now();
    driver.leader(&mut servers)?;
    let start_ms = led_after.saturating_sub(began.elapsed()).as_secs_f64() * 1e3;
    let read = Load { workload: Workload::Read, clients: 1, warmup: none, measure: plan.measure, keys: 1 };
    driver.run(&mut servers, read, |_| {})?;
    let memory_mib = mib(servers.usage().resident_bytes);
    servers.stop_all();
    Ok(Figures { start_ms, memory_mib, ..figures(&filled) })
}

fn figures(Measured { answer, servers }: &Measured) -> Figures {
    let operations = answer.operations.max(1) as f64;
    Figures {
        operations_per_s: answer.operations as f64 / (answer.measured_ms / 1e3).max(f64::MIN_POSITIVE),
        p50_us: answer.p50_us,
        p99_us: answer.p99_us,
        p999_us: answer.p999_us,
        servers_cpu_s: servers.cpu.as_secs_f64() * 1e3 / operations,
        clients_cpu_s: answer.client_cpu_ms / operations,
        disk_bytes: servers.written_bytes as f64 / operations,
        memory_mib: mib(servers.resident_bytes),
        failed: answer.failed as f64,
        gap_ms: answer.longest_gap_ms,
        start_ms: 0.0,
    }
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / (1_024.0 * 1_024.0)
}
