//! What a cluster has a maximum of: the limit, and the sentence for people, in one place.
//!
//! A further maximum of this kind is added here and nowhere else in `rejection`. Whoever counts
//! decides when it is met.
use core::fmt;

use serde::{Deserialize, Serialize};
use synod_abi::limits::{DEADLINES, RECIPES, SESSIONS, SPACE_IDS, SPACES};
use synod_abi::{Limit, limit};

/// What a cluster has a maximum of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Counted {
    /// Recipes, every version counted: `limits::RECIPES`.
    Recipes,
    /// Spaces: `limits::SPACES`.
    Spaces,
    /// Spaces that were ever created: `limits::SPACE_IDS`.
    SpaceIds,
    /// Sessions: `limits::SESSIONS`.
    Sessions,
    /// Deadlines of waiting calls: `limits::DEADLINES`.
    Deadlines,
}

impl Counted {
    /// The limit that was met.
    pub(super) const fn limit(self) -> Limit {
        match self {
            Self::Recipes => limit!(RECIPES),
            Self::Spaces => limit!(SPACES),
            Self::SpaceIds => limit!(SPACE_IDS),
            Self::Sessions => limit!(SESSIONS),
            Self::Deadlines => limit!(DEADLINES),
        }
    }
}

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Recipes => {
                write!(f, "the cluster already has {RECIPES} recipes, the maximum; delete one first")
            }
            Self::Spaces => {
                write!(f, "the cluster already has {SPACES} spaces, the maximum; delete one first")
            }
            Self::SpaceIds => {
                write!(f, "the cluster has created {SPACE_IDS} spaces, deleted ones included, the maximum")
            }
            Self::Sessions => {
                write!(f, "the cluster already has {SESSIONS} sessions, the maximum; close one first")
            }
            Self::Deadlines => write!(
                f,
                "{DEADLINES} calls with a limit of time already wait in the cluster, the maximum; wait \
                without one, or later"
            ),
        }
    }
}
