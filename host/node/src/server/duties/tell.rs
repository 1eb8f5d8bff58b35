//! What operators read in the log of the member's availability: who leads, what the member cannot
//! do and that it can again.
//!
//! A problem is logged when it begins, every ten seconds while it lasts, and when it is over. What
//! every start goes through is logged only if it lasts.
use std::sync::Arc;
use std::time::{Duration, Instant};

use synod_abi::MemberId;
use synod_service::Problem;
use synod_service::ports::Leadership;

use crate::server::net::roster::Roster;
use crate::server::ports::NodeMember;

/// How often it is looked, beside at once when the availability changes.
const EVERY: Duration = Duration::from_millis(100);
/// How often a problem that lasts is logged.
const AGAIN: Duration = Duration::from_secs(10);

/// Logs until the runtime ends.
pub(crate) async fn tell(member: NodeMember, roster: Arc<Roster>) {
    let mut leaders = Leaders { roster, known: None };
    let mut present: Option<Told> = None;
    loop {
        let availability = member.standing().get();
        let leadership = member.status().leadership;
        leaders.see(leadership);
        let problem = availability.problem(leadership.leader == Some(leadership.me));
        if problem != present.as_ref().map(|told| told.problem) {
            if let Some(over) = present.take() {
                over.end();
            }
            present = problem.map(Told::begin);
        }
        if let Some(told) = &mut present {
            told.again(&member);
        }
        let changed = member.standing().changed(availability);
        let _waited = tokio::time::timeout(EVERY, changed).await;
    }
}

/// The leader that was logged last.
struct Leaders {
    roster: Arc<Roster>,
    known: Option<(u64, MemberId)>,
}

impl Leaders {
    fn see(&mut self, Leadership { term, leader, .. }: Leadership) {
        let Some(leader) = leader.filter(|leader| self.known != Some((term, *leader))) else { return };
        self.known = Some((term, leader));
        let name = self.roster.get(leader).map(|listed| listed.name);
        tracing::info!(leader = name.unwrap_or_else(|| leader.to_string()), term, "a leader is known");
    }
}

/// A problem, and when it was logged.
struct Told {
    problem: Problem,
    since: Instant,
    logged: Option<Instant>,
}

impl Told {
    fn begin(problem: Problem) -> Self {
        Self { problem, since: Instant::now(), logged: None }
    }

    /// Logs the problem if that is due.
    fn again(&mut self, member: &NodeMember) {
        let is_usual = matches!(self.problem, Problem::Unformed | Problem::Starting | Problem::SettingUp);
        let is_due = match self.logged {
            None => !is_usual || self.since.elapsed() >= AGAIN,
            Some(at) => at.elapsed() >= AGAIN,
        };
        if is_due && self.problem != Problem::Stopping {
            self.logged = Some(Instant::now());
            let problem = member.describe(self.problem);
            tracing::warn!(seconds = self.since.elapsed().as_secs(), "this member: {problem}");
        }
    }

    /// Logs that the problem is over, if it was logged.
    fn end(self) {
        if self.logged.is_some() {
            tracing::info!(
                seconds = self.since.elapsed().as_secs(),
                "this member, no longer: {}",
                self.problem
            );
        }
    }
}
