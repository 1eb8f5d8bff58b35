//! For tests: named points at which the process kills itself, as a power cut would.
use std::sync::Arc;

/// The point of this process, from `--crash-at`; most have none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct KillPoint(Option<Arc<str>>);

impl KillPoint {
    /// The process dies when it reaches `point`.
    pub(crate) fn new(point: Option<String>) -> Self {
        Self(point.map(Arc::from))
    }

    /// Dies here, if this is the point.
    pub(crate) fn reach(&self, point: &str) {
        if self.0.as_deref() == Some(point) {
            tracing::warn!(point, "dying, as --crash-at wants it");
            std::process::abort();
        }
    }
}
