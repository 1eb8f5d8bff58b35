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
use synod_sdk::state::{Claimed, Waiting};

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

/// A candidate in line.
#[data]
struct Running {
    candidate: String,
    value: Blob,
    session: SessionId,
}

/// What a session claims: a candidate's name in an election.
#[data]
struct Candidacy {
    election: String,
    candidate: String,
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
    /// Who waits to lead each.
    lines: Line<String, Leadership, Running>,
    /// The leader and the waiting of each election by their names, which differ.
    names: Map<(String, String), Campaign>,
    /// Which candidate each call of a session is for, so that the session's end finds its own.
    claims: Claims<Candidacy, SESSION_CANDIDATES>,
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
        let call = cx.ticket::<Leadership>().id();
        self.enrol(cx, &election, &candidate, Campaign { session, ticket: call })?;
        let running = Running { candidate, value, session };
        if self.leaders.contains(cx, &election) {
            return Ok(Reply::Later(self.lines.join(cx, &election, &running)));
        }
        let leadership = leadership(cx);
        self.elect(cx, &election, running, call, &leadership);
        Ok(Reply::Now(leadership))
    }

    /// Ends the leadership: the first in line leads.
    #[op]
    fn resign(&self, cx: &mut Ctx, election: String, token: Token) -> Result<(), ElectionError> {
        let leader = self.led_by_caller(cx, &election, token)?;
        self.end(cx, leader.session, leader.ticket);
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
        if let Some(waiting) = self.lines.get(cx, &election, ticket) {
            cx.refuse(waiting.ticket, &ElectionError::Withdrawn);
        }
        self.end(cx, session, ticket);
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
        let next = self.lines.remove(cx, &election, to.ticket).ok_or(ElectionError::NotWaiting)?;
        self.claims.remove(cx, leader.session, leader.ticket);
        self.names.delete(cx, &(election.clone(), leader.candidate));
        let leadership = leadership(cx);
        ensure!(cx.complete(next.ticket, &leadership), ElectionError::NotWaiting);
        self.elect(cx, &election, next.data, next.ticket.id(), &leadership);
        Ok(())
    }

    /// The candidates of the session leave: others lead what it led, and it waits for nothing.
    #[on_session_end]
    fn session_ended(&self, cx: &mut Ctx, session: SessionId) {
        for (ticket, candidacy) in self.claims.release(cx, session) {
            self.leave(cx, ticket, candidacy);
        }
    }

    /// Who gave up leaves the line, or the leadership that it was given without hearing of it.
    #[on_cancel]
    fn cancelled(&self, cx: &mut Ctx, ticket: TicketId, _granted: bool) {
        let session = cx.session().expect("a call that waits belongs to a session");
        self.end(cx, session, ticket);
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
        let candidate = |Waiting { ticket, since, data, .. }| {
            let Running { candidate, value, session } = data;
            Candidate { candidate, value, since, session, ticket }
        };
        let line = self.lines.page(cx, &election, after.map(|after| (0, after)), page(limit));
        line.into_iter().map(candidate).collect()
    }

    /// The elections that have a leader, by name behind `after`, and their leaders: at most
    /// `limit`, 500 if absent or more.
    #[query]
    fn list(&self, cx: &QueryCtx, limit: Option<u32>, after: Option<String>) -> Vec<(String, Leader)> {
        let (limit, from) = (page(limit), after.map_or(Bound::Unbounded, Bound::Excluded));
        self.leaders.range(cx, (from, Bound::Unbounded)).at_most(limit).take(limit).collect()
    }

    /// Who leads the election `name` and waits to, first to last, or what `session` leads and waits
    /// for; both say what of the election is the session's. At most 500 that wait are told.
    #[query]
    fn who(&self, cx: &QueryCtx, name: Option<String>, session: Option<SessionId>) -> Vec<Claimed> {
        let on = |name: &str| self.claimed_of(cx, name);
        Claimed::by(name.as_deref(), session, on, |session| self.claimed_by(cx, session))
    }

    fn claimed_of(&self, cx: &QueryCtx, election: &str) -> Vec<Claimed> {
        let leader = self.leaders.get(cx, election).map(|leader| led_by(election, leader));
        let line = self.lines.page(cx, election, None, PAGE_ROWS as usize);
        leader.into_iter().chain(line.into_iter().map(|waiting| waited_for(election, waiting))).collect()
    }

    fn claimed_by(&self, cx: &QueryCtx, session: SessionId) -> Vec<Claimed> {
        let claimed = |(ticket, Candidacy { election, .. })| match self.leaders.get(cx, &election) {
            Some(leader) if leader.ticket == ticket => Some(led_by(&election, leader)),
            _ => self.lines.get(cx, &election, ticket).map(|waiting| waited_for(&election, waiting)),
        };
        self.claims.of(cx, session).into_iter().filter_map(claimed).collect()
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
    fn enrol(
        &self,
        cx: &mut Ctx,
        election: &str,
        candidate: &str,
        call: Campaign,
    ) -> Result<(), ElectionError> {
        let name = (election.to_owned(), candidate.to_owned());
        if let Some(former) = self.names.get(cx, &name) {
            ensure!(former.session == call.session, ElectionError::NameTaken);
            let leader = self.leaders.get(cx, election).filter(|leader| leader.ticket == former.ticket);
            return Err(ElectionError::AlreadyCandidate { token: leader.map(|leader| leader.token) });
        }
        self.names.put(cx, &name, &call);
        let (election, candidate) = name;
        let candidacy = Candidacy { election, candidate };
        ensure!(self.claims.add(cx, call.session, call.ticket, &candidacy), ElectionError::TooMany);
        Ok(())
    }

    /// Has a candidate that nobody leads before any more lead.
    fn elect(
        &self,
        cx: &mut Ctx,
        election: &str,
        elected: Running,
        ticket: TicketId,
        leadership: &Leadership,
    ) {
        let Running { candidate, value, session } = elected;
        let Leadership { token, since } = *leadership;
        let elected = ElectionEvent::Elected { candidate: candidate.clone(), value: value.clone(), token };
        cx.emit(election, &elected);
        self.leaders.put(cx, election, &Leader { candidate, value, token, since, session, ticket });
    }

    /// Ends what a call of the session waits for or leads.
    fn end(&self, cx: &mut Ctx, session: SessionId, ticket: TicketId) {
        if let Some(candidacy) = self.claims.remove(cx, session, ticket) {
            self.leave(cx, ticket, candidacy);
        }
    }

    /// Takes a candidate whose claim is gone out of its election.
    fn leave(&self, cx: &mut Ctx, ticket: TicketId, Candidacy { election, candidate }: Candidacy) {
        let name = (election, candidate);
        self.names.delete(cx, &name);
        let (election, _) = name;
        match self.leaders.get(cx, &election).filter(|leader| leader.ticket == ticket) {
            Some(leader) => self.succeed(cx, &election, leader.token),
            None => drop(self.lines.remove(cx, &election, ticket)),
        }
    }

    /// After a leadership: the first in line whose call still waits leads, or nobody.
    fn succeed(&self, cx: &mut Ctx, election: &str, ended: Token) {
        match self.lines.serve(cx, election, |cx, _| leadership(cx)) {
            Some((next, leadership)) => self.elect(cx, election, next.data, next.ticket.id(), &leadership),
            None => {
                self.leaders.delete(cx, election);
                cx.emit(election, &ElectionEvent::Vacant { token: ended });
            }
        }
    }
}

/// A leadership that begins now.
fn leadership(cx: &mut Ctx) -> Leadership {
    Leadership { token: cx.next_token(), since: cx.now() }
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

fn led_by(election: &str, Leader { candidate, token, since, session, .. }: Leader) -> Claimed {
    Claimed { name: election.to_owned(), session, owner: candidate, since, token: Some(token) }
}

fn waited_for(election: &str, Waiting { since, data, .. }: Waiting<Leadership, Running>) -> Claimed {
    let Running { candidate, session, .. } = data;
    Claimed { name: election.to_owned(), session, owner: candidate, since, token: None }
}

fn page(limit: Option<u32>) -> usize {
    limit.unwrap_or(PAGE_ROWS).min(PAGE_ROWS) as usize
}
