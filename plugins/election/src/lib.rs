//! Elections: of those who campaign, one leads, and the next follows within the command that ends
//! its leadership.
//!
//! `campaign` is one call that returns when its candidate leads, without polling or a watch. A
//! leadership ends when its leader resigns, transfers it, or its session ends; whoever is next
//! leads from that same command on. Observers watch the election's topic and miss nothing: each
//! change is one event, in order.
//!
//! **An election alone does not keep a former leader from acting.** One that was paused or cut off
//! may go on after its session ended and another leads. So every leadership has a token, larger
//! than all before it: pass the token to whatever the leader writes to, and have that refuse a
//! token smaller than one it has seen. Without that there may be two leaders.
use std::ops::Bound;

use synod_sdk::prelude::*;

/// Longest name of an election, and of a candidate, in bytes.
pub const NAME_BYTES: usize = 250;
/// Longest value, in bytes: an address, not a document. A session's end tells the values of all who
/// follow it, in one command.
pub const VALUE_BYTES: usize = 1_024;
/// Candidates of one session, leading and waiting: all of them leave in the command that ends the
/// session.
pub const SESSION_CANDIDATES: u32 = 256;
/// Most rows of a page.
pub const PAGE_ROWS: u32 = 500;

/// You lead.
#[data]
pub struct Leadership {
    /// Pass it to whatever the leader writes to, and to `resign`, `proclaim` and `transfer`.
    pub token: Token,
    /// Since when.
    pub since: Time,
}

/// Who leads an election.
#[data]
pub struct Leader {
    /// The candidate's name.
    pub candidate: String,
    /// What it campaigned with, or proclaimed since.
    pub value: Blob,
    /// With which token.
    pub token: Token,
    /// Since when.
    pub since: Time,
    /// The session with which its leadership ends.
    pub session: SessionId,
    /// The call by which it campaigned.
    pub ticket: TicketId,
}

/// Who waits to lead.
#[data]
pub struct Candidate {
    /// The candidate's name.
    pub candidate: String,
    /// What it campaigns with.
    pub value: Blob,
    /// Since when.
    pub since: Time,
    /// The session with which it leaves.
    pub session: SessionId,
    /// By which call.
    pub ticket: Ticket<Leadership>,
}

/// The call by which a candidate leads or waits.
#[data]
struct Campaign {
    session: SessionId,
    ticket: TicketId,
}

/// What became of the election that is the event's topic.
#[data]
pub enum ElectionEvent {
    /// A candidate leads now. Who led before does not any more.
    Elected {
        /// Its name.
        candidate: String,
        /// What it campaigned with.
        value: Blob,
        /// The token of its leadership.
        token: Token,
    },
    /// The leader has another value.
    Proclaimed {
        /// The value from now on.
        value: Blob,
        /// The token of its leadership.
        token: Token,
    },
    /// A leadership has ended, and nobody waited to follow.
    Vacant {
        /// The token of the leadership that ended.
        token: Token,
    },
}

/// Why a call is refused.
#[errors]
pub enum ElectionError {
    /// A candidate belongs to a session, so that another can lead when it is gone: open one and
    /// call within it.
    #[error(1)]
    NoSession,
    /// This session does not lead the election with this token: that leadership has ended, or is
    /// another session's. Stop acting as its leader.
    #[error(2)]
    NotLeader,
    /// The names of elections and candidates have 1 to 250 bytes and no control characters.
    #[error(3, invalid_argument)]
    BadName,
    /// A value has at most 1024 bytes; store larger ones elsewhere and their address here.
    #[error(4, invalid_argument)]
    ValueTooLong {
        /// Length of the value that was sent.
        bytes: u64,
        /// The longest that is stored.
        limit: u64,
    },
    /// The session has 256 candidates, which is the most; withdraw some, or use another session.
    #[error(5, resource_exhausted)]
    TooMany,
    /// Another session has a candidate of this name in the election; choose another name, or wait
    /// until that session has ended.
    #[error(6, already_exists)]
    NameTaken,
    /// This session has this candidate in the election already, by another call: wait for that one,
    /// or withdraw first.
    #[error(7, already_exists)]
    AlreadyCandidate {
        /// The token, if the candidate leads.
        token: Option<Token>,
    },
    /// Nobody of this name waits to lead the election: it never campaigned, has left, or leads.
    #[error(8)]
    NotWaiting,
    /// This session has no candidate of this name in the election.
    #[error(9, not_found)]
    NotCandidate,
    /// The candidate was withdrawn while this call waited for it to lead.
    #[error(10, aborted)]
    Withdrawn,
}

/// Elections: of those who campaign, one leads, until it resigns, transfers its leadership, or its
/// session ends.
#[recipe(name = "election", version = 1, emits = ElectionEvent)]
pub struct Election {
    /// Who leads each election that has a leader.
    leaders: Map<String, Leader>,
    /// Who waits to lead each: tickets grow, so they stand in line.
    lines: Map<(String, TicketId), Candidate>,
    /// The leader and the waiting of each election by their names, which differ.
    names: Map<(String, String), Campaign>,
    /// Which election each call of a session is for, so that the session's end finds its own.
    campaigns: Map<(SessionId, TicketId), String>,
    /// How many candidates each session has.
    counts: Map<SessionId, u32>,
}

#[ops]
impl Election {
    /// Has a candidate campaign with a value, and waits in line until it leads, as long as the
    /// caller allows. Nobody else in the election has its name at that time.
    #[op]
    fn campaign(
        &self,
        cx: &mut Ctx,
        election: String,
        candidate: String,
        value: Blob,
    ) -> Result<Reply<Leadership>, ElectionError> {
        let session = cx.session().ok_or(ElectionError::NoSession)?;
        ensure!(is_name(&election) && is_name(&candidate), ElectionError::BadName);
        check_value(&value)?;
        let (since, ticket) = (cx.now(), cx.ticket());
        let candidate = Candidate { candidate, value, since, session, ticket };
        self.enrol(cx, &election, &candidate)?;
        if self.leaders.contains(cx, &election) {
            self.lines.put(cx, &(election, ticket.id()), &candidate);
            return Ok(Reply::Later(ticket));
        }
        let leadership = Leadership { token: cx.next_token(), since };
        self.elect(cx, &election, candidate, &leadership);
        Ok(Reply::Now(leadership))
    }

    /// Ends the leadership: the first in line leads.
    #[op]
    fn resign(&self, cx: &mut Ctx, election: String, token: Token) -> Result<(), ElectionError> {
        let leader = self.led_by_caller(cx, &election, token)?;
        self.leave(cx, leader.session, leader.ticket, &election);
        Ok(())
    }

    /// Takes a candidate of this session out of the election: if it waits, its call of `campaign`
    /// is refused with `Withdrawn`; if it leads, it resigns.
    #[op]
    fn withdraw(&self, cx: &mut Ctx, election: String, candidate: String) -> Result<(), ElectionError> {
        let session = cx.session().ok_or(ElectionError::NoSession)?;
        let campaign =
            self.names.get(cx, &(election.clone(), candidate)).filter(|campaign| campaign.session == session);
        let Campaign { ticket, .. } = campaign.ok_or(ElectionError::NotCandidate)?;
        if let Some(waiting) = self.lines.get(cx, &(election.clone(), ticket)) {
            cx.refuse(waiting.ticket, &ElectionError::Withdrawn);
        }
        self.leave(cx, session, ticket, &election);
        Ok(())
    }

    /// Replaces the value of the leader: whoever asks for the leader gets the new one, whoever
    /// watches the election is told.
    #[op]
    fn proclaim(
        &self,
        cx: &mut Ctx,
        election: String,
        token: Token,
        value: Blob,
    ) -> Result<(), ElectionError> {
        check_value(&value)?;
        let leader = self.led_by_caller(cx, &election, token)?;
        cx.emit(&election, &ElectionEvent::Proclaimed { value: value.clone(), token });
        self.leaders.put(cx, &election, &Leader { value, ..leader });
        Ok(())
    }

    /// Hands the leadership to the candidate `to`, which waits, wherever it stands in line. It
    /// leads from this command on, and who led before has left the election.
    #[op]
    fn transfer(
        &self,
        cx: &mut Ctx,
        election: String,
        token: Token,
        to: String,
    ) -> Result<(), ElectionError> {
        let leader = self.led_by_caller(cx, &election, token)?;
        let to = self.names.get(cx, &(election.clone(), to)).ok_or(ElectionError::NotWaiting)?;
        let next = self.lines.get(cx, &(election.clone(), to.ticket)).ok_or(ElectionError::NotWaiting)?;
        self.strike(cx, &election, leader.candidate, leader.session, leader.ticket);
        ensure!(self.promote(cx, &election, next), ElectionError::NotWaiting);
        Ok(())
    }

    /// The candidates of the session leave: others lead what it led, and it waits for nothing.
    #[on_session_end]
    fn session_ended(&self, cx: &mut Ctx, session: SessionId) {
        let campaigns: Vec<_> = self.campaigns.prefix(cx, &session).collect();
        self.counts.delete(cx, &session);
        campaigns.iter().for_each(|((_, ticket), election)| self.leave(cx, session, *ticket, election));
    }

    /// Who gave up leaves the line, or the leadership that it was given without hearing of it.
    #[on_cancel]
    fn cancelled(&self, cx: &mut Ctx, ticket: TicketId, _granted: bool) {
        let session = cx.session().expect("a call that waits belongs to a session");
        if let Some(election) = self.campaigns.get(cx, &(session, ticket)) {
            self.leave(cx, session, ticket, &election);
        }
    }

    /// Whether the election is led with this token now: ask it in the same command as the write
    /// that only the leader may do.
    #[query]
    fn is_current(&self, cx: &QueryCtx, election: String, token: Token) -> bool {
        self.leaders.get(cx, &election).is_some_and(|leader| leader.token == token)
    }

    /// Who leads the election, if anybody does.
    #[query]
    fn leader(&self, cx: &QueryCtx, election: String) -> Option<Leader> {
        self.leaders.get(cx, &election)
    }

    /// Who waits to lead the election, in line behind the call `after`: at most `limit`, 500 if
    /// absent or more.
    #[query]
    fn candidates(
        &self,
        cx: &QueryCtx,
        election: String,
        limit: Option<u32>,
        after: Option<TicketId>,
    ) -> Vec<Candidate> {
        let (limit, from, to) = (page(limit), after.map_or(0, |after| after.0.saturating_add(1)), u64::MAX);
        let line = self.lines.range(cx, (election.clone(), TicketId(from))..=(election, TicketId(to)));
        line.at_most(limit).take(limit).map(|(_, candidate)| candidate).collect()
    }

    /// The elections that have a leader, by name behind `after`, and their leaders: at most
    /// `limit`, 500 if absent or more.
    #[query]
    fn list(&self, cx: &QueryCtx, limit: Option<u32>, after: Option<String>) -> Vec<(String, Leader)> {
        let (limit, from) = (page(limit), after.map_or(Bound::Unbounded, Bound::Excluded));
        self.leaders.range(cx, (from, Bound::Unbounded)).at_most(limit).take(limit).collect()
    }

    /// The leader with this token, if it is the caller's.
    fn led_by_caller(&self, cx: &QueryCtx, election: &str, token: Token) -> Result<Leader, ElectionError> {
        let session = cx.session().ok_or(ElectionError::NoSession)?;
        let leader = self
            .leaders
            .get(cx, election)
            .filter(|leader| leader.token == token && leader.session == session);
        leader.ok_or(ElectionError::NotLeader)
    }

    /// Puts a candidate on the rolls, if its name is free and its session may have one more.
    fn enrol(&self, cx: &mut Ctx, election: &str, new: &Candidate) -> Result<(), ElectionError> {
        let (name, call) = (
            (election.to_owned(), new.candidate.clone()),
            Campaign { session: new.session, ticket: new.ticket.id() },
        );
        if let Some(former) = self.names.get(cx, &name) {
            ensure!(former.session == new.session, ElectionError::NameTaken);
            let leader = self.leaders.get(cx, election).filter(|leader| leader.ticket == former.ticket);
            return Err(ElectionError::AlreadyCandidate { token: leader.map(|leader| leader.token) });
        }
        let count = self.counts.get(cx, &call.session).unwrap_or(0);
        ensure!(count < SESSION_CANDIDATES, ElectionError::TooMany);
        self.counts.put(cx, &call.session, &(count + 1));
        self.campaigns.put(cx, &(call.session, call.ticket), &name.0);
        self.names.put(cx, &name, &call);
        Ok(())
    }

    /// Takes a candidate off the rolls. A session that ends has no count any more.
    fn strike(&self, cx: &mut Ctx, election: &str, candidate: String, session: SessionId, ticket: TicketId) {
        self.names.delete(cx, &(election.into(), candidate));
        self.campaigns.delete(cx, &(session, ticket));
        match self.counts.get(cx, &session) {
            None => {}
            Some(1) => self.counts.delete(cx, &session),
            Some(count) => self.counts.put(cx, &session, &(count - 1)),
        }
    }

    /// Has a candidate that nobody leads before any more lead.
    fn elect(&self, cx: &mut Ctx, election: &str, elected: Candidate, leadership: &Leadership) {
        let (Candidate { candidate, value, session, ticket, .. }, Leadership { token, since }) =
            (elected, leadership.clone());
        cx.emit(
            election,
            &ElectionEvent::Elected { candidate: candidate.clone(), value: value.clone(), token },
        );
        self.leaders.put(
            cx,
            election,
            &Leader { candidate, value, token, since, session, ticket: ticket.id() },
        );
    }

    /// Ends what the call with this ticket waits for or leads.
    fn leave(&self, cx: &mut Ctx, session: SessionId, ticket: TicketId, election: &str) {
        if let Some(leader) = self.leaders.get(cx, election).filter(|leader| leader.ticket == ticket) {
            self.strike(cx, election, leader.candidate, session, ticket);
            self.succeed(cx, election, leader.token);
        } else if let Some(waiting) = self.lines.get(cx, &(election.into(), ticket)) {
            self.lines.delete(cx, &(election.into(), ticket));
            self.strike(cx, election, waiting.candidate, session, ticket);
        }
    }

    /// After a leadership: the first in line whose call still waits leads, or nobody.
    fn succeed(&self, cx: &mut Ctx, election: &str, ended: Token) {
        while let Some((_, next)) = self.lines.prefix(cx, election).at_most(1).next() {
            if self.promote(cx, election, next) {
                return;
            }
        }
        self.leaders.delete(cx, election);
        cx.emit(election, &ElectionEvent::Vacant { token: ended });
    }

    /// Has a candidate in line lead, if its call still waits; otherwise it has left.
    fn promote(&self, cx: &mut Ctx, election: &str, next: Candidate) -> bool {
        let leadership = Leadership { token: cx.next_token(), since: cx.now() };
        let waits = cx.complete(next.ticket, &leadership);
        self.lines.delete(cx, &(election.into(), next.ticket.id()));
        if waits {
            self.elect(cx, election, next, &leadership);
        } else {
            self.strike(cx, election, next.candidate, next.session, next.ticket.id());
        }
        waits
    }
}

fn is_name(name: &str) -> bool {
    (1..=NAME_BYTES).contains(&name.len()) && !name.bytes().any(|byte| byte.is_ascii_control())
}

fn check_value(value: &Blob) -> Result<(), ElectionError> {
    ensure!(
        value.len() <= VALUE_BYTES,
        ElectionError::ValueTooLong { bytes: value.len() as u64, limit: VALUE_BYTES as u64 }
    );
    Ok(())
}

fn page(limit: Option<u32>) -> usize {
    limit.unwrap_or(PAGE_ROWS).min(PAGE_ROWS) as usize
}
