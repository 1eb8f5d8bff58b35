//! For tests: named points at which the process kills itself, as a power cut would.
//!
//! Those of the store are its [`Step`]s; the others are named where they are reached.
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use synod_storage::{Step, StepHook};

/// The point of this process, from `--crash-at NAME` or `NAME:TIMES`; most have none.
#[derive(Clone, Debug, Default)]
pub(crate) struct KillPoint(Option<Arc<Point>>);

#[derive(Debug)]
struct Point {
    name: String,
    /// How often it is still reached before the process dies.
    spared: AtomicU32,
}

/// Parses what `--crash-at` is given: a name, and at which of the times that it is reached.
pub(crate) fn parse(text: &str) -> Result<KillPoint, String> {
    let (name, times) = text.split_once(':').unwrap_or((text, "1"));
    let times: u32 = times.parse().map_err(|_| format!("{times} is no number of times"))?;
    let spared = times.checked_sub(1).ok_or("it is reached for the 1st time at the earliest")?;
    Ok(KillPoint(Some(Arc::new(Point { name: name.to_owned(), spared: AtomicU32::new(spared) }))))
}

impl KillPoint {
    /// What a store is opened with, so that its steps are such points; none if this one has none.
    pub(crate) fn hook(&self) -> Option<StepHook> {
        self.0.as_ref()?;
        let point = self.clone();
        Some(Arc::new(move |step: Step| point.reach(step.name())))
    }

    /// Dies here, if this is the point, and it was reached as often as it is to be.
    pub(crate) fn reach(&self, point: &str) {
        let Some(own) = self.0.as_deref().filter(|own| own.name == point) else { return };
        let one_less = |spared: u32| spared.checked_sub(1);
        if own.spared.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_err() {
            tracing::warn!(point, "dying, as --crash-at wants it");
            std::process::abort();
        }
    }
}

impl PartialEq for KillPoint {
    fn eq(&self, other: &Self) -> bool {
        let name = |point: &Self| point.0.as_ref().map(|point| point.name.clone());
        name(self) == name(other)
    }
}

impl Eq for KillPoint {}

#[cfg(test)]
mod tests {
    use super::*;

    fn spared(text: &str) -> Option<(String, u32)> {
        let KillPoint(point) = parse(text).expect("a point");
        point.map(|point| (point.name.clone(), point.spared.load(Ordering::Relaxed)))
    }

    #[test]
    fn a_point_is_a_name_and_at_which_time() {
        assert_eq!(spared("append_synced"), Some(("append_synced".to_owned(), 0)));
        assert_eq!(spared("append_synced:7"), Some(("append_synced".to_owned(), 6)));
        for wrong in ["append_synced:", "append_synced:0", "append_synced:x", "append_synced:-1"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_point_is_passed_until_its_time() {
        let point = parse("there:3").expect("a point");
        point.reach("there");
        point.reach("elsewhere");
        point.reach("there");
        let KillPoint(own) = &point;
        assert_eq!(own.as_ref().expect("it has one").spared.load(Ordering::Relaxed), 0);
    }
}
