//! Fair locks that are free again when their holder's session has ended.
//!
//! `acquire` stands in line in one call, without polling or a watch. Whatever frees a lock hands it to the next in line within the
//! same command: a release, the end of the holder's session, or a caller that gave up a lock it was just granted. A lock
//! belongs to a session and an owner within it, such as a thread; the same owner may acquire it again and holds it until it
//! has released it as often.
//!
//! **A lock alone does not exclude anybody.** A holder that was paused or cut off may go on after its session ended and the lock
//! was handed on. So every acquisition draws a token, larger than all before it: pass the token to the resource that the lock
//! guards, and have the resource refuse a token smaller than one it has seen. Without that there is no mutual exclusion.
use std::ops::Bound;

use synod_sdk::prelude::*;

/// Longest name of a lock, and of an owner, in bytes.
pub const NAME_BYTES: usize = 250;
/// Calls of `acquire` and `try_acquire` of one session that hold or wait: all of them end in the command that ends the session.
pub const SESSION_CLAIMS: usize = 256;
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

/// Why a call is refused.
#[errors]
pub enum LockError {
    /// A lock is held by a session, so that it is free again when its holder is gone: open one and call within it.
    #[error(1)]
    NoSession,
    /// This session and owner do not hold the lock: they released it, never had it, or are another owner.
    #[error(2)]
    NotHeld,
    /// The name of a lock or owner has at most 250 bytes and no control characters.
    #[error(3, invalid_argument)]
    BadName,
    /// The session holds and waits 256 times, which is the most; release something, or use another session.
    #[error(4, resource_exhausted)]
    TooMany,
}

/// Fair locks that are free again when their holder's session has ended.
#[recipe(name = "lock", version = 1)]
pub struct Lock {
    /// Who holds each lock that is held.
    holders: Map<String, Holder>,
    /// Who waits for each: tickets grow, so they stand in line.
    lines: Map<(String, TicketId), Waiter>,
    /// Which lock each call is for that holds or waits, so that the end of a session finds its own.
    claims: Map<(SessionId, TicketId), String>,
}

#[ops]
impl Lock {
    /// Acquires the lock, and waits in line for it as long as the caller allows. An owner that waits twice stands in line twice.
    #[op]
    fn acquire(&self, cx: &mut Ctx, name: String, owner: Option<String>) -> Result<Reply<Held>, LockError> {
        let owner = self.claimant(cx, &name, owner)?;
        if let Some(held) = self.enter(cx, &name, &owner) {
            return Ok(Reply::Now(held));
        }
        let (ticket, since) = (cx.ticket(), cx.now());
        self.claims.put(cx, &(owner.session, ticket.id()), &name);
        self.lines.put(cx, &(name, ticket.id()), &Waiter { owner, since, ticket });
        Ok(Reply::Later(ticket))
    }

    /// Acquires the lock if it is free or held by this owner; does not wait.
    #[op]
    fn try_acquire(&self, cx: &mut Ctx, name: String, owner: Option<String>) -> Result<Option<Held>, LockError> {
        let owner = self.claimant(cx, &name, owner)?;
        Ok(self.enter(cx, &name, &owner))
    }

    /// Releases the lock once, and returns whether this owner still holds it, because it acquired it more often.
    #[op]
    fn release(&self, cx: &mut Ctx, name: String, owner: Option<String>) -> Result<bool, LockError> {
        let owner = Owner { session: cx.session().ok_or(LockError::NoSession)?, name: owner.unwrap_or_default() };
        let holder = self.holders.get(cx, &name).filter(|holder| holder.owner == owner).ok_or(LockError::NotHeld)?;
        holder.tickets.last().into_iter().for_each(|ticket| self.give_up(cx, owner.session, *ticket, &name));
        Ok(holder.tickets.len() > 1)
    }

    /// Everything that the session held is free, and it waits for nothing.
    #[on_session_end]
    fn session_ended(&self, cx: &mut Ctx, session: SessionId) {
        let claims: Vec<_> = self.claims.prefix(cx, &session).collect();
        claims.iter().for_each(|((_, ticket), name)| self.give_up(cx, session, *ticket, name));
    }

    /// Who gave up leaves the line, or gives back the lock that it was granted without hearing of it.
    #[on_cancel]
    fn cancelled(&self, cx: &mut Ctx, ticket: TicketId, _granted: bool) {
        let session = cx.session().expect("a call that waits belongs to a session");
        if let Some(name) = self.claims.get(cx, &(session, ticket)) {
            self.give_up(cx, session, ticket, &name);
        }
    }

    /// Whether the lock is held with this token now: ask it in the same command as the write that the lock guards.
    #[query]
    fn is_current(&self, cx: &QueryCtx, name: String, token: Token) -> bool {
        self.holders.get(cx, &name).is_some_and(|holder| holder.token == token)
    }

    /// Who holds the lock, if anybody does.
    #[query]
    fn holder(&self, cx: &QueryCtx, name: String) -> Option<Holder> {
        self.holders.get(cx, &name)
    }

    /// Who waits for the lock, in line behind the call `after`: at most `limit`, 500 if absent or more.
    #[query]
    fn queue(&self, cx: &QueryCtx, name: String, limit: Option<u32>, after: Option<TicketId>) -> Vec<Waiter> {
        let (limit, from, to) = (page(limit), after.map_or(0, |after| after.0.saturating_add(1)), u64::MAX);
        let line = self.lines.range(cx, (name.clone(), TicketId(from))..=(name, TicketId(to)));
        line.at_most(limit).take(limit).map(|(_, waiter)| waiter).collect()
    }

    /// The locks that are held, by name behind `after`, and their holders: at most `limit`, 500 if absent or more.
    #[query]
    fn list(&self, cx: &QueryCtx, limit: Option<u32>, after: Option<String>) -> Vec<(String, Holder)> {
        let (limit, from) = (page(limit), after.map_or(Bound::Unbounded, Bound::Excluded));
        self.holders.range(cx, (from, Bound::Unbounded)).at_most(limit).take(limit).collect()
    }

    /// Who calls, if it may have one more claim.
    fn claimant(&self, cx: &QueryCtx, name: &str, owner: Option<String>) -> Result<Owner, LockError> {
        let owner = Owner { session: cx.session().ok_or(LockError::NoSession)?, name: owner.unwrap_or_default() };
        let good = |name: &str| name.len() <= NAME_BYTES && !name.bytes().any(|byte| byte.is_ascii_control());
        ensure!(good(name) && good(&owner.name), LockError::BadName);
        let claims = self.claims.prefix(cx, &owner.session).take(SESSION_CLAIMS).count();
        ensure!(claims < SESSION_CLAIMS, LockError::TooMany);
        Ok(owner)
    }

    /// Takes the lock if it is free, once more if `owner` holds it. Nobody is in line for a lock that is free.
    fn enter(&self, cx: &mut Ctx, name: &str, owner: &Owner) -> Option<Held> {
        let mut holder = match self.holders.get(cx, name) {
            Some(holder) if holder.owner != *owner => return None,
            Some(holder) => holder,
            None => Holder { owner: owner.clone(), token: cx.next_token(), since: cx.now(), tickets: Vec::new() },
        };
        holder.tickets.push(cx.ticket::<Held>().id());
        self.claims.put(cx, &(owner.session, cx.ticket::<Held>().id()), &name.into());
        self.holders.put(cx, name, &holder);
        Some(holder.held())
    }

    /// Ends what the call with this ticket waits for or holds.
    fn give_up(&self, cx: &mut Ctx, session: SessionId, ticket: TicketId, name: &str) {
        self.claims.delete(cx, &(session, ticket));
        let holder = self.holders.get(cx, name).filter(|holder| holder.tickets.contains(&ticket));
        let Some(mut holder) = holder else { return self.lines.delete(cx, &(name.into(), ticket)) };
        holder.tickets.retain(|other| *other != ticket);
        if holder.tickets.is_empty() { self.hand_on(cx, name) } else { self.holders.put(cx, name, &holder) }
    }

    /// Gives a lock that was released to the first in line whose call still waits.
    fn hand_on(&self, cx: &mut Ctx, name: &str) {
        self.holders.delete(cx, name);
        while let Some((key, Waiter { owner, ticket, .. })) = self.lines.prefix(cx, name).at_most(1).next() {
            self.lines.delete(cx, &key);
            let holder = Holder { owner, token: cx.next_token(), since: cx.now(), tickets: vec![ticket.id()] };
            if cx.complete(ticket, &holder.held()) {
                return self.holders.put(cx, name, &holder);
            }
            self.claims.delete(cx, &(holder.owner.session, ticket.id()));
        }
    }
}

impl Holder {
    fn held(&self) -> Held {
        Held { token: self.token, count: self.tickets.len() as u32 }
    }
}

fn page(limit: Option<u32>) -> usize {
    limit.unwrap_or(PAGE_ROWS).min(PAGE_ROWS) as usize
}
