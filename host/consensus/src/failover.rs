//! Electing a leader in place of one that has ended, without waiting for the election time-out.
//!
//! A process that is killed leaves it to the kernel to close its connections, and its port refuses
//! new ones. Who sees that tells [`Raft::leader_ended`]. This member then lets go of the leader's
//! lease, as it does when a leader hands over (Raft dissertation, section 4.2.3), and asks for
//! votes by openraft's pre-vote. It wins only if a majority has let go of the lease, too: one
//! member that is mistaken, or lies beyond a cut, disturbs nobody.
//!
//! Members take turns, since two that stand at the same moment take each other's votes and then
//! wait for the election time-out after all. A turn that comes to nothing costs little: the others
//! have not heard of the end yet, or have a longer log.
//!
//! No read relies on a lease, so letting go of it is about availability alone.
use std::time::Duration;

use openraft::raft::TransferLeaderRequest;
use openraft::type_config::TypeConfigExt;
use synod_abi::MemberId;
use synod_storage::StateStore;

use crate::raft::NOBODY;
use crate::runtime::AsyncRuntime;
use crate::types::{Types, Vote};
use crate::{Applier, Raft, Role, Settings, Stopped};

/// Turns in a heartbeat interval, which is several round trips: a turn is one pre-vote and the
/// request for the vote.
const TURNS_PER_HEARTBEAT: u32 = 4;

impl<RT: AsyncRuntime, S: StateStore, A: Applier> Raft<RT, S, A> {
    /// The leader of this term has ended, as far as this member can tell: it gives its vote without
    /// waiting, and asks for the others' when it is its turn, until there is a newer term or the
    /// shortest election time-out is over. Nothing happens if it knows of another leader or term.
    ///
    /// # Errors
    /// The member has stopped.
    pub async fn leader_ended(&self, leader: MemberId, term: u64) -> Result<(), Stopped> {
        if !self.follows(leader, term) {
            return Ok(());
        }
        let leaders = Vote::new_committed(term, leader.0);
        let let_go = TransferLeaderRequest::new(leaders, NOBODY, None);
        self.inner.handle_transfer_leader(let_go).await.map_err(|_| Stopped)?.ok();
        let voters = self.status().voters;
        let others = voters.keys().filter(|id| **id != leader);
        let Some(place) = others.clone().position(|id| *id == self.id) else { return Ok(()) };
        for pause in turns(&self.settings, others.count(), place) {
            Types::<RT>::sleep(pause).await;
            // The term state follows a moment later: standing in that moment would cost the next
            // leader its term.
            let has_voted = self.inner.with_raft_state(move |state| *state.vote_ref() != leaders).await;
            if has_voted.map_err(|_| Stopped)? {
                break;
            }
            if self.stands() {
                self.inner.trigger().elect(true).await.map_err(|_| Stopped)?;
            }
        }
        Ok(())
    }

    fn follows(&self, leader: MemberId, term: u64) -> bool {
        let now = self.term_state();
        now.role == Role::Follower && now.term == term && now.leader == Some(leader)
    }
}

/// The pauses before each turn of the member at this place among so many.
fn turns(settings: &Settings, members: usize, place: usize) -> impl Iterator<Item = Duration> + Send + use<> {
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let turn = Duration::from_millis(settings.heartbeat_interval_ms) / TURNS_PER_HEARTBEAT;
    let between = turn.saturating_mul(count(members));
    let over = Duration::from_millis(settings.election_timeout_min_ms);
    let later = (over.as_nanos() / between.as_nanos().max(1)).saturating_sub(1);
    std::iter::once(turn.saturating_mul(count(place))).chain(std::iter::repeat_n(between, later as usize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_members_have_their_turn_at_the_same_time() {
        let settings = Settings::default();
        for members in 1..=8 {
            let at = |place| {
                turns(&settings, members, place).scan(Duration::ZERO, |at, pause| {
                    *at += pause;
                    Some(*at)
                })
            };
            let mut turns: Vec<_> = (0..members).flat_map(at).collect();
            turns.sort();
            let apart = Duration::from_millis(settings.heartbeat_interval_ms) / TURNS_PER_HEARTBEAT;
            assert!(turns.windows(2).all(|turn| turn[1] - turn[0] == apart), "{members}: {turns:?}");
            let end = Duration::from_millis(settings.election_timeout_min_ms);
            assert!(*turns.last().expect("each has one") <= end.max(apart * members as u32));
        }
    }
}
