//! A picture of a run: operations a second and the 99th percentile against the number of clients,
//! a pair of diagrams for each workload, as SVG.
use std::path::Path;

use plotters::prelude::*;
use thiserror::Error;

use crate::comparison::{Figures, Scenario};
use crate::kind::Kind;
use crate::summary::Summary;
use crate::workload::Workload;

/// Width of a diagram, in pixels.
const WIDTH: u32 = 420;
/// Its height.
const HEIGHT: u32 = 260;
const FONT: &str = "sans-serif";
const POINT: u32 = 3;

/// Why there is no picture.
#[derive(Debug, Error)]
pub enum PlotError {
    /// No workload was measured with more than one number of clients.
    #[error("nothing to draw: no workload was measured with two numbers of clients; give --clients 1,16")]
    Nothing,
    /// It cannot be drawn or written.
    #[error("cannot draw: {0}")]
    Drawing(String),
}

/// A line of a diagram: a service, and its points.
type Line = (Kind, Vec<(f64, f64)>);

/// Draws a run to a file.
///
/// # Errors
/// [`PlotError`].
pub fn draw(summary: &Summary, file: &Path) -> Result<(), PlotError> {
    let workloads = workloads(summary);
    if workloads.is_empty() {
        return Err(PlotError::Nothing);
    }
    let size = (WIDTH * 2, HEIGHT * workloads.len() as u32);
    let root = SVGBackend::new(file, size).into_drawing_area();
    let failed = |error: &dyn std::fmt::Display| PlotError::Drawing(error.to_string());
    root.fill(&WHITE).map_err(|error| failed(&error))?;
    for (areas, workload) in root.split_evenly((workloads.len(), 2)).chunks(2).zip(&workloads) {
        let [rates, tails] = areas else { continue };
        let name = workload.name();
        let per_second = lines(summary, *workload, |figures| figures.operations_per_s);
        diagram(rates, &format!("{name}: operations a second"), &per_second)?;
        let p99_ms = lines(summary, *workload, |figures| figures.p99_us / 1e3);
        diagram(tails, &format!("{name}: p99, ms"), &p99_ms)?;
    }
    root.present().map_err(|error| failed(&error))
}

/// The workloads that were measured with more than one number of clients.
fn workloads(summary: &Summary) -> Vec<Workload> {
    let measured: Vec<Workload> = summary
        .rows
        .iter()
        .filter_map(|row| match row.scenario {
            Scenario::Load { workload, .. } => Some(workload),
            Scenario::Failover | Scenario::ManyKeys { .. } => None,
        })
        .collect();
    let mut several: Vec<_> =
        measured.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
    several.dedup();
    several
}

fn lines(summary: &Summary, of: Workload, figure: fn(&Figures) -> f64) -> Vec<Line> {
    let line = |kind: Kind| {
        let points = summary.rows.iter().filter_map(|row| match row.scenario {
            Scenario::Load { workload, clients } if workload == of => {
                row.medians.get(&kind).map(|figures| (clients as f64, figure(figures)))
            }
            _ => None,
        });
        (kind, points.collect::<Vec<_>>())
    };
    Kind::ALL.into_iter().map(line).filter(|(_, points)| !points.is_empty()).collect()
}

fn colour(kind: Kind) -> RGBColor {
    match kind {
        Kind::Synod => RGBColor(0, 90, 181),
        Kind::ZooKeeper => RGBColor(220, 50, 32),
        Kind::Etcd => RGBColor(90, 90, 90),
    }
}

fn diagram(
    area: &DrawingArea<SVGBackend, plotters::coord::Shift>,
    title: &str,
    lines: &[Line],
) -> Result<(), PlotError> {
    let failed = |error: &dyn std::fmt::Display| PlotError::Drawing(error.to_string());
    let points = || lines.iter().flat_map(|(_, points)| points);
    let most = |of: fn(&(f64, f64)) -> f64| points().map(of).fold(f64::MIN_POSITIVE, f64::max);
    let least = |of: fn(&(f64, f64)) -> f64| points().map(of).fold(f64::MAX, f64::min);
    let across = (least(|point| point.0)..most(|point| point.0)).log_scale();
    let up = (least(|point| point.1) * 0.8..most(|point| point.1) * 1.25).log_scale();
    let mut chart = ChartBuilder::on(area)
        .caption(title, (FONT, 16))
        .margin(10)
        .x_label_area_size(36)
        .y_label_area_size(64)
        .build_cartesian_2d(across, up)
        .map_err(|error| failed(&error))?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc("clients")
        .label_style((FONT, 12))
        .draw()
        .map_err(|error| failed(&error))?;
    for (kind, points) in lines {
        let style = colour(*kind).stroke_width(2);
        chart
            .draw_series(LineSeries::new(points.iter().copied(), style).point_size(POINT))
            .map_err(|error| failed(&error))?
            .label(kind.name())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], style));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .label_font((FONT, 12))
        .draw()
        .map_err(|error| failed(&error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comparison::Sample;

    fn summary(clients: &[usize]) -> Summary {
        let sample = |kind: Kind, clients: usize| Sample {
            round: 0,
            kind,
            scenario: Scenario::Load { workload: Workload::Write, clients },
            figures: Figures {
                operations_per_s: clients as f64 * 100.0,
                p99_us: 900.0,
                ..Figures::default()
            },
        };
        let kinds = [Kind::Synod, Kind::Etcd];
        Summary::of(1, clients.iter().flat_map(|n| kinds.map(|kind| sample(kind, *n))).collect())
    }

    #[test]
    fn a_picture_names_its_workloads_and_the_services_that_were_measured() {
        let folder = tempfile::tempdir().expect("the temporary folder can be written");
        let file = folder.path().join("peers.svg");
        draw(&summary(&[1, 16]), &file).expect("it is drawn");
        let svg = std::fs::read_to_string(file).expect("it was written");
        for text in ["write: operations a second", "write: p99, ms", "Synod", "etcd"] {
            assert!(svg.contains(text), "no `{text}` in the picture");
        }
        assert!(!svg.contains("ZooKeeper"));
    }

    #[test]
    fn one_number_of_clients_makes_no_picture() {
        let folder = tempfile::tempdir().expect("the temporary folder can be written");
        let drawn = draw(&summary(&[16]), &folder.path().join("peers.svg"));
        assert!(matches!(drawn, Err(PlotError::Nothing)));
    }
}
