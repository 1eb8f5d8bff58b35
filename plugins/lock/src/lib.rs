//! Fair locks that are free again when their holder's session has ended.
//!
//! `acquire` stands in line in one call, without polling or a watch. Whatever frees a lock hands it
//! to the next in line within the same command: a release, the end of the holder's session, or a
//! caller that gave up a lock it was just granted. A lock belongs to a session and an owner within
//! it, such as a thread; the same owner may acquire it again and holds it until it has released it
//! as often.
//!
//! **A lock alone does not exclude anybody.** A holder that was paused or cut off may go on after
//! its session ended and the lock was handed on. So every acquisition draws a token, larger than
//! all before it: pass the token to the resource that the lock guards, and have the resource refuse
//! a token smaller than one it has seen. Without that there is no mutual exclusion.
//!
//! Grants and releases are events with the lock's name as their topic. Who waits is none: a line
//! that grows is nobody's news.
use std::ops::Bound;

use synod_sdk::prelude::*;
use synod_sdk::state::{Claimed, Waiting};

/// Longest name of a lock, and of an owner, in bytes; that of a lock has at least one.
pub const NAME_BYTES: usize = 250;
/// Calls of `acquire` and `try_acquire` of one session that hold or wait: all of them end in the
/// command that ends the session.
pub const SESSION_CLAIMS: u32 = 256;
/// Most rows of a page.
pub const PAGE_ROWS: u32 = 500;

/// A session, and who in it: the unit that holds a lock.
#[data]
pub struct Owner {
    /// The session, with which everything ends.
    pub session: SessionId,
    /// Told apart by the client; empty if it does not.
    pub name: String,
}

/// A lock is yours.
#[data]
pub struct Held {
    /// Pass it to whatever the lock guards. Acquiring again what you hold returns the same one.
    pub token: Token,
    /// How often you hold it now.
    pub count: u32,
}

/// What a release left.
#[data]
pub enum Release {
    /// This owner holds the lock no more: it is free, or the next in line has it.
    Released,
    /// This owner acquired it more often than it has released it, and still holds it.
    StillHeld {
        /// How often.
        count: u32,
    },
}

/// Who holds a lock.
#[data]
pub struct Holder {
    /// Who.
    pub owner: Owner,
    /// With which token.
    pub token: Token,
    /// Since when.
    pub since: Time,
    /// The calls that acquired it: it is held once for each.
    pub tickets: Vec<TicketId>,
}

/// Who waits for a lock.
#[data]
pub struct Waiter {
    /// Who.
    pub owner: Owner,
    /// Since when.
    pub since: Time,
    /// By which call.
    pub ticket: Ticket<Held>,
}

/// What became of the lock that is the event's topic. One that is handed on is released first, in
/// the same revision.
#[data]
pub enum LockEvent {
    /// It was free and is held now. Acquiring it again while it is held is no event.
    Granted {
        /// By whom.
        owner: Owner,
        /// With which token.
        token: Token,
    },
    /// Its holder has it no more: it released it as often as it had acquired it, gave back what it
    /// never heard of, or its session ended.
    Released {
        /// Who held it.
        owner: Owner,
        /// With which token.
        token: Token,
    },
}

/// Why a call is refused.
#[errors]
pub enum LockError {
    /// A lock is held by a session, so that it is free again when its holder is gone: open one and
    /// call within it.
    #[error(1)]
    NoSession,
    /// This session and owner do not hold the lock: they released it, never had it, or are another
    /// owner.
    #[error(2)]
    NotHeld,
    /// The name of a lock has 1 to 250 bytes, that of an owner at most 250, and neither has control
    /// characters.
    #[error(3, invalid_argument)]
    BadName,
    /// The session holds and waits 256 times, which is the most; release something, or use another
    /// session.
    #[error(4, resource_exhausted)]
    TooMany,
}

/// Fair locks that are free again when their holder's session has ended.
#[recipe(name = "lock", version = 1, emits = LockEvent)]
pub struct Lock {
    /// Who holds each lock that is held.
    holders: Map<String, Holder>,
    /// Who waits for each.
    lines: Line<String, Held, Owner>,
    /// Which lock each call is for that holds or waits, so that the end of a session finds its own.
    claims: Claims<String, SESSION_CLAIMS>,
}

#[ops]
impl Lock {
    /// Acquires the lock, and waits in line for it as long as the caller allows. An owner that
    /// waits twice stands in line twice.
    #[op]
    fn acquire(&self, cx: &mut Ctx, name: String, owner: Option<String>) -> Result<Reply<Held>, LockError> {
        let owner = self.claimant(cx, &name, owner)?;
        if let Some(held) = self.enter(cx, &name, &owner)? {
            return Ok(Reply::Now(held));
        }
        let ticket = self.lines.join(cx, &name, &owner);
        ensure!(self.claims.add(cx, owner.session, ticket.id(), &name), LockError::TooMany);
        Ok(Reply::Later(ticket))
    }

    /// Acquires the lock if it is free or held by this owner; does not wait.
    #[op]
    fn try_acquire(
        &self,
        cx: &mut Ctx,
        name: String,
        owner: Option<String>,
    ) -> Result<Option<Held>, LockError> {
        let owner = self.claimant(cx, &name, owner)?;
        self.enter(cx, &name, &owner)
    }

    /// Releases the lock once: whoever acquired it more often still holds it.
    #[op]
    fn release(&self, cx: &mut Ctx, name: String, owner: Option<String>) -> Result<Release, LockError> {
        let owner =
            Owner { session: cx.session().ok_or(LockError::NoSession)?, name: owner.unwrap_or_default() };
        let holder = self.holders.get(cx, &name).filter(|holder| holder.owner == owner);
        let holder = holder.ok_or(LockError::NotHeld)?;
        let count = (holder.tickets.len() as u32).saturating_sub(1);
        if let Some(last) = holder.tickets.last().copied() {
            self.claims.remove(cx, owner.session, last);
            self.give_back(cx, &name, holder, last);
        }
        Ok(if count == 0 { Release::Released } else { Release::StillHeld { count } })
    }

    /// Everything that the session held is free, and it waits for nothing.
    #[on_session_end]
    fn session_ended(&self, cx: &mut Ctx, session: SessionId) {
        for (ticket, name) in self.claims.release(cx, session) {
            self.give_up(cx, &name, ticket);
        }
    }

    /// Who gave up leaves the line, or gives back the lock that it was granted without hearing of
    /// it.
    #[on_cancel]
    fn cancelled(&self, cx: &mut Ctx, ticket: TicketId, _granted: bool) {
        let session = cx.session().expect("a call that waits belongs to a session");
        if let Some(name) = self.claims.remove(cx, session, ticket) {
            self.give_up(cx, &name, ticket);
        }
    }

    /// Whether the lock is held with this token now: ask it in the same command as the write that
    /// the lock guards.
    #[query]
    fn is_current(&self, cx: &QueryCtx, name: String, token: Token) -> bool {
        self.holders.get(cx, &name).is_some_and(|holder| holder.token == token)
    }

    /// Who holds the lock, if anybody does.
    #[query]
    fn holder(&self, cx: &QueryCtx, name: String) -> Option<Holder> {
        self.holders.get(cx, &name)
    }

    /// Who waits for the lock, in line behind the call `after`: at most `limit`, 500 if absent or
    /// more.
    #[query]
    fn queue(&self, cx: &QueryCtx, name: String, limit: Option<u32>, after: Option<TicketId>) -> Vec<Waiter> {
        let waiter = |Waiting { ticket, since, data: owner, .. }| Waiter { owner, since, ticket };
        let line = self.lines.page(cx, &name, after.map(|after| (0, after)), page(limit));
        line.into_iter().map(waiter).collect()
    }

    /// The locks that are held, by name behind `after`, and their holders: at most `limit`, 500 if
    /// absent or more.
    #[query]
    fn list(&self, cx: &QueryCtx, limit: Option<u32>, after: Option<String>) -> Vec<(String, Holder)> {
        let (limit, from) = (page(limit), after.map_or(Bound::Unbounded, Bound::Excluded));
        self.holders.range(cx, (from, Bound::Unbounded)).at_most(limit).take(limit).collect()
    }

    /// Who holds the lock `name` and waits for it, first to last, or what `session` holds and waits
    /// for; both say what of the lock is the session's. At most 500 that wait are told.
    #[query]
    fn who(&self, cx: &QueryCtx, name: Option<String>, session: Option<SessionId>) -> Vec<Claimed> {
        let on = |name: &str| self.claimed_of(cx, name);
        Claimed::by(name.as_deref(), session, on, |session| self.claimed_by(cx, session))
    }

    fn claimed_of(&self, cx: &QueryCtx, name: &str) -> Vec<Claimed> {
        let holder = self.holders.get(cx, name).map(|holder| held_by(name, holder));
        let line = self.lines.page(cx, name, None, PAGE_ROWS as usize);
        holder.into_iter().chain(line.into_iter().map(|waiting| waited_for(name, waiting))).collect()
    }

    /// A lock that the session holds by several calls is told once.
    fn claimed_by(&self, cx: &QueryCtx, session: SessionId) -> Vec<Claimed> {
        let claimed = |(ticket, name): (TicketId, String)| match self.holders.get(cx, &name) {
            Some(holder) if holder.tickets.first() == Some(&ticket) => Some(held_by(&name, holder)),
            Some(holder) if holder.tickets.contains(&ticket) => None,
            _ => self.lines.get(cx, &name, ticket).map(|waiting| waited_for(&name, waiting)),
        };
        self.claims.of(cx, session).into_iter().filter_map(claimed).collect()
    }

    /// Who calls, if it and the lock have good names.
    fn claimant(&self, cx: &QueryCtx, name: &str, owner: Option<String>) -> Result<Owner, LockError> {
        let owner =
            Owner { session: cx.session().ok_or(LockError::NoSession)?, name: owner.unwrap_or_default() };
        let good = |name: &str| name.len() <= NAME_BYTES && !name.bytes().any(|byte| byte.is_ascii_control());
        ensure!(!name.is_empty() && good(name) && good(&owner.name), LockError::BadName);
        Ok(owner)
    }

    /// Takes the lock if it is free, once more if `owner` holds it. Nobody is in line for a lock
    /// that is free.
    fn enter(&self, cx: &mut Ctx, name: &str, owner: &Owner) -> Result<Option<Held>, LockError> {
        let ticket = cx.ticket::<Held>().id();
        let held = match self.holders.get(cx, name) {
            Some(holder) if holder.owner != *owner => return Ok(None),
            Some(mut holder) => {
                holder.tickets.push(ticket);
                self.holders.put(cx, name, &holder);
                Held { token: holder.token, count: holder.tickets.len() as u32 }
            }
            None => {
                let held = Held { token: cx.next_token(), count: 1 };
                self.grant(cx, name, owner.clone(), held.token, ticket);
                held
            }
        };
        ensure!(self.claims.add(cx, owner.session, ticket, &name.into()), LockError::TooMany);
        Ok(Some(held))
    }

    /// Has `owner` hold a lock that is free, with one call.
    fn grant(&self, cx: &mut Ctx, name: &str, owner: Owner, token: Token, ticket: TicketId) {
        cx.emit(name, &LockEvent::Granted { owner: owner.clone(), token });
        let holder = Holder { owner, token, since: cx.now(), tickets: vec![ticket] };
        self.holders.put(cx, name, &holder);
    }

    /// Ends what the call with this ticket waits for or holds.
    fn give_up(&self, cx: &mut Ctx, name: &str, ticket: TicketId) {
        match self.holders.get(cx, name).filter(|holder| holder.tickets.contains(&ticket)) {
            Some(holder) => self.give_back(cx, name, holder, ticket),
            None => drop(self.lines.remove(cx, name, ticket)),
        }
    }

    /// Takes one call from the holder of a lock; with its last one the lock goes to the next in
    /// line.
    fn give_back(&self, cx: &mut Ctx, name: &str, mut holder: Holder, ticket: TicketId) {
        holder.tickets.retain(|other| *other != ticket);
        if !holder.tickets.is_empty() {
            return self.holders.put(cx, name, &holder);
        }
        cx.emit(name, &LockEvent::Released { owner: holder.owner, token: holder.token });
        match self.lines.serve(cx, name, |cx, _| Held { token: cx.next_token(), count: 1 }) {
            Some((next, held)) => self.grant(cx, name, next.data, held.token, next.ticket.id()),
            None => self.holders.delete(cx, name),
        }
    }
}

fn held_by(name: &str, Holder { owner, token, since, .. }: Holder) -> Claimed {
    Claimed { name: name.to_owned(), session: owner.session, owner: owner.name, since, token: Some(token) }
}

fn waited_for(name: &str, Waiting { since, data: owner, .. }: Waiting<Held, Owner>) -> Claimed {
    Claimed { name: name.to_owned(), session: owner.session, owner: owner.name, since, token: None }
}

fn page(limit: Option<u32>) -> usize {
    limit.unwrap_or(PAGE_ROWS).min(PAGE_ROWS) as usize
}
