//! What the samples come to: medians over the rounds, and Synod's ratio to the better of the
//! others.
use std::collections::{BTreeMap, BTreeSet};

use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, Table};
use serde::Serialize;

use crate::comparison::{Figures, Sample, Scenario};
use crate::install::Versions;
use crate::kind::Kind;

/// The medians of one scenario.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// What was measured.
    #[serde(flatten)]
    pub scenario: Scenario,
    /// How many clients there were.
    pub clients: usize,
    /// What each service showed.
    pub medians: BTreeMap<Kind, Figures>,
    /// Synod's operations a second by those of the better of the others, if any was measured.
    pub rate_ratio: Option<f64>,
    /// Synod's 99th percentile by that of the better of the others.
    pub p99_ratio: Option<f64>,
    /// Synod's median latency by that of the better of the others.
    pub p50_ratio: Option<f64>,
}

/// Everything that a run showed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// The releases that it was compared with.
    pub zookeeper: String,
    /// The same.
    pub etcd: String,
    /// How many rounds there were.
    pub rounds: usize,
    /// A row a scenario.
    pub rows: Vec<Row>,
    /// What they are made of.
    pub samples: Vec<Sample>,
}

impl Summary {
    /// Of all samples of a run.
    pub fn of(rounds: usize, samples: Vec<Sample>) -> Self {
        let scenarios: BTreeSet<Scenario> = samples.iter().map(|sample| sample.scenario).collect();
        let rows = scenarios.into_iter().map(|scenario| Row::of(scenario, &samples)).collect();
        let Versions { zookeeper, etcd, .. } = Versions::present();
        Self { zookeeper, etcd, rounds, rows, samples }
    }

    /// A table for people, as Markdown.
    pub fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(ASCII_MARKDOWN);
        table.set_header([
            "workload",
            "clients",
            "service",
            "ops/s",
            "p50 ms",
            "p99 ms",
            "p99.9 ms",
            "servers CPU s/1k",
            "clients CPU s/1k",
            "disk B/op",
            "memory MiB",
            "gap ms",
            "start ms",
            "failed",
            "ratio",
        ]);
        for row in &self.rows {
            for (kind, figures) in &row.medians {
                let ratio = row.rate_ratio.filter(|_| *kind == Kind::Synod);
                table.add_row(cells(row, *kind, figures, ratio));
            }
        }
        for column in table.column_iter_mut().skip(3) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }
}

impl Row {
    fn of(scenario: Scenario, samples: &[Sample]) -> Self {
        let of_kind = |kind: Kind| {
            let those = samples.iter().filter(|sample| sample.kind == kind && sample.scenario == scenario);
            those.map(|sample| sample.figures).collect::<Vec<_>>()
        };
        let medians: BTreeMap<Kind, Figures> = Kind::ALL
            .into_iter()
            .map(|kind| (kind, of_kind(kind)))
            .filter(|(_, figures)| !figures.is_empty())
            .map(|(kind, figures)| (kind, medians(&figures)))
            .collect();
        let ratio = |figure: fn(&Figures) -> f64, better: fn(f64, f64) -> f64| {
            let own = figure(medians.get(&Kind::Synod)?);
            let others = medians.iter().filter(|(kind, _)| **kind != Kind::Synod);
            others.map(|(_, figures)| figure(figures)).reduce(better).map(|best| own / best)
        };
        Self {
            scenario,
            clients: scenario.clients(),
            rate_ratio: ratio(|figures| figures.operations_per_s, f64::max),
            p99_ratio: ratio(|figures| figures.p99_us, f64::min),
            p50_ratio: ratio(|figures| figures.p50_us, f64::min),
            medians,
        }
    }
}

/// The median of each figure by itself.
fn medians(figures: &[Figures]) -> Figures {
    let median = |of: fn(&Figures) -> f64| {
        let mut values: Vec<f64> = figures.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) }
    };
    Figures {
        operations_per_s: median(|figures| figures.operations_per_s),
        p50_us: median(|figures| figures.p50_us),
        p99_us: median(|figures| figures.p99_us),
        p999_us: median(|figures| figures.p999_us),
        servers_cpu_s: median(|figures| figures.servers_cpu_s),
        clients_cpu_s: median(|figures| figures.clients_cpu_s),
        disk_bytes: median(|figures| figures.disk_bytes),
        memory_mib: median(|figures| figures.memory_mib),
        failed: median(|figures| figures.failed),
        gap_ms: median(|figures| figures.gap_ms),
        start_ms: median(|figures| figures.start_ms),
    }
}

fn cells(row: &Row, kind: Kind, figures: &Figures, ratio: Option<f64>) -> Vec<String> {
    let ms = |us: f64| format!("{:.2}", us / 1e3);
    vec![
        row.scenario.name(),
        row.clients.to_string(),
        kind.name().to_owned(),
        format!("{:.0}", figures.operations_per_s),
        ms(figures.p50_us),
        ms(figures.p99_us),
        ms(figures.p999_us),
        format!("{:.3}", figures.servers_cpu_s),
        format!("{:.3}", figures.clients_cpu_s),
        format!("{:.0}", figures.disk_bytes),
        format!("{:.0}", figures.memory_mib),
        format!("{:.0}", figures.gap_ms),
        if figures.start_ms > 0.0 { format!("{:.0}", figures.start_ms) } else { String::new() },
        format!("{:.0}", figures.failed),
        ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Workload;

    const WRITES: Scenario = Scenario::Load { workload: Workload::Write, clients: 64 };

    fn sample(kind: Kind, round: usize, operations_per_s: f64, p99_us: f64) -> Sample {
        let figures = Figures { operations_per_s, p99_us, ..Figures::default() };
        Sample { round, kind, scenario: WRITES, figures }
    }

    #[test]
    fn a_ratio_is_of_medians_and_to_the_better_of_the_others() {
        let mut samples = Vec::new();
        for (round, rate) in [900.0, 300.0, 600.0].into_iter().enumerate() {
            samples.push(sample(Kind::Synod, round, rate, 100.0));
            samples.push(sample(Kind::Etcd, round, 200.0, 400.0));
            samples.push(sample(Kind::ZooKeeper, round, 150.0, 200.0));
        }
        let summary = Summary::of(3, samples);
        let [row] = &summary.rows[..] else { panic!("one scenario has one row") };
        assert_eq!(row.medians[&Kind::Synod].operations_per_s, 600.0);
        assert_eq!((row.rate_ratio, row.p99_ratio), (Some(3.0), Some(0.5)));
    }

    #[test]
    fn without_the_others_there_is_no_ratio() {
        let summary = Summary::of(1, vec![sample(Kind::Synod, 0, 10.0, 1.0)]);
        assert_eq!((summary.rows[0].rate_ratio, summary.rows[0].p99_ratio), (None, None));
        assert_eq!(summary.table().row_iter().count(), 1);
    }

    #[test]
    fn the_median_of_two_lies_between_them() {
        let two = [1.0, 4.0].map(|gap_ms| Figures { gap_ms, ..Figures::default() });
        assert_eq!(medians(&two).gap_ms, 2.5);
    }
}
