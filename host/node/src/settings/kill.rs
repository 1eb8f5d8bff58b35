//! For tests: named points at which the process kills itself, as a power cut would.
//!
//! Those of the store are its [`Step`]s; the others are named where they are reached.
use std::sync::Arc;

use synod_storage::{Step, StepHook};

/// The point of this process, from `--crash-at`; most have none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct KillPoint(Option<Arc<str>>);

impl KillPoint {
    /// The process dies when it reaches `point`.
    pub(crate) fn new(point: Option<String>) -> Self {
        Self(point.map(Arc::from))
    }

    /// What a store is opened with, so that its steps are such points; none if this one has none.
    pub(crate) fn hook(&self) -> Option<StepHook> {
        self.0.as_ref()?;
        let point = self.clone();
        Some(Arc::new(move |step: Step| point.reach(step.name())))
    }

    /// Dies here, if this is the point.
    pub(crate) fn reach(&self, point: &str) {
        if self.0.as_deref() == Some(point) {
            tracing::warn!(point, "dying, as --crash-at wants it");
            std::process::abort();
        }
    }
}
