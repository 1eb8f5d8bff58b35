//! What waits, keeps an order, or happens later, for the cluster tests. Nothing to learn from:
//! `plugins/lock` is the recipe to read.
//!
//! It emits what it is told to tell, and whatever happens without a call: alarms, ends of sessions,
//! cancels. Bound to another space, it writes down what that emits.
use synod_sdk::prelude::*;

/// What happened.
#[data]
pub enum Happened {
    /// Someone called `tell` with it.
    Told {
        /// What.
        value: u64,
        /// As many zeros as were asked for.
        filling: Blob,
    },
    /// An alarm fired; the topic is `alarm`.
    Fired {
        /// Its text.
        text: String,
    },
    /// A session ended; the topic is `session`.
    Ended {
        /// Which.
        session: SessionId,
    },
    /// A call gave up; the topic is `cancel`.
    Cancelled {
        /// Which.
        ticket: TicketId,
    },
}

/// Why a call is refused.
#[errors]
pub enum WaitingError {
    /// On purpose.
    #[error(1, aborted)]
    Refused,
}

/// A barrier, lists and alarms.
#[recipe(name = "waiting", version = 1, emits = Happened)]
pub struct Waiting {
    /// Who waits at a key.
    waiting: Map<(String, TicketId), (SessionId, Ticket<u32>)>,
    /// How many wait at a key.
    counts: Map<String, u32>,
    /// At which key a call waits.
    keys: Map<(SessionId, TicketId), String>,
    lists: Queue<String, u64>,
    lengths: Map<String, u32>,
    fired: Queue<(), String>,
    /// What was heard of other spaces.
    heard: Queue<(), Heard>,
    /// What sessions hold until they end.
    held: Map<(SessionId, u64), ()>,
}

/// Rows that the end of a session lets go of in one command.
const PART_ROWS: usize = 1_000;

/// An event of another space.
#[data]
pub struct Heard {
    /// The space.
    pub space: String,
    /// What it is about.
    pub topic: String,
    /// Revision of the command that emitted it, and wrote this.
    pub revision: Revision,
}

#[ops]
impl Waiting {
    /// Waits until `parties` calls have entered `key`, or it is opened, and answers how many had.
    #[op]
    fn enter(&self, cx: &mut Ctx, key: String, parties: u32) -> Reply<u32> {
        let entered = self.counts.get(cx, &key).unwrap_or(0) + 1;
        if entered >= parties {
            self.answer_all(cx, &key, entered);
            return Reply::Now(entered);
        }
        let ticket = cx.ticket();
        if let Some(session) = cx.session() {
            self.counts.put(cx, &key, &entered);
            self.keys.put(cx, &(session, ticket.id()), &key);
            self.waiting.put(cx, &(key, ticket.id()), &(session, ticket));
        }
        Reply::Later(ticket)
    }

    /// Answers every call that waits at `key`, and returns how many still did.
    #[op]
    fn open(&self, cx: &mut Ctx, key: String) -> u32 {
        let waiting = self.counts.get(cx, &key).unwrap_or(0);
        self.answer_all(cx, &key, waiting)
    }

    /// Appends to the list of `key`, and returns its length.
    #[op]
    fn append(&self, cx: &mut Ctx, key: String, value: u64) -> u32 {
        let length = self.lengths.get(cx, &key).unwrap_or(0) + 1;
        self.lengths.put(cx, &key, &length);
        self.lists.push_back(cx, &key, &value);
        length
    }

    /// Lets `text` appear in `fired`, not before `after_ms` from now.
    #[op]
    fn alarm(&self, cx: &mut Ctx, after_ms: u64, text: String) -> TimerId {
        cx.set_timer(cx.now().plus_ms(after_ms), &text)
    }

    /// Takes an alarm back, if it has not fired.
    #[op]
    fn silence(&self, cx: &mut Ctx, timer: TimerId) -> bool {
        cx.cancel_timer(timer)
    }

    /// Emits one event per topic, all in one revision, each with `value` and `filling` zeros;
    /// refuses afterwards if told to.
    #[op]
    fn tell(
        &self,
        cx: &mut Ctx,
        topics: Vec<String>,
        value: u64,
        filling: u32,
        refuse: bool,
    ) -> Result<u64, WaitingError> {
        let told = Happened::Told { value, filling: Blob::from(vec![0; filling as usize]) };
        topics.iter().for_each(|topic| cx.emit(topic, &told));
        ensure!(!refuse, WaitingError::Refused);
        Ok(value)
    }

    /// Has the space called `space`, of this recipe, append to the list of `key`, within this
    /// command.
    #[op]
    fn append_there(&self, cx: &mut Ctx, space: String, key: String, value: u64) {
        cx.send(&space, "append", &(key, value));
    }

    /// Holds `from` and the numbers after it, so many, until the session ends.
    #[op]
    fn hold(&self, cx: &mut Ctx, from: u64, count: u64) -> Result<(), WaitingError> {
        let Some(session) = cx.session() else { return Err(WaitingError::Refused) };
        (from..from + count).for_each(|number| self.held.put(cx, &(session, number), &()));
        Ok(())
    }

    /// Writes down what another space emitted.
    #[on_event]
    fn hear(&self, cx: &mut Ctx, event: Event) {
        let heard = Heard { space: event.space.to_string(), topic: event.topic, revision: cx.revision() };
        self.heard.push_back(cx, &(), &heard);
    }

    /// Writes the alarm down.
    #[on_timer]
    fn fire(&self, cx: &mut Ctx, _timer: TimerId, text: String) {
        self.fired.push_back(cx, &(), &text);
        cx.emit("alarm", &Happened::Fired { text });
    }

    /// Forgets what waited in the session and what it held, a part at a time, and writes its end
    /// down.
    #[on_session_end]
    fn session_ended(&self, cx: &mut Ctx, session: SessionId) -> Hook {
        let held: Vec<_> = self.held.prefix(cx, &session).take(PART_ROWS).map(|(key, ())| key).collect();
        held.iter().for_each(|key| self.held.delete(cx, key));
        if held.len() == PART_ROWS {
            return Hook::More;
        }
        let tickets: Vec<_> = self.keys.prefix(cx, &session).map(|((_, ticket), _)| ticket).collect();
        tickets.into_iter().for_each(|ticket| self.forget(cx, session, ticket));
        self.fired.push_back(cx, &(), &format!("end of session {session}"));
        cx.emit("session", &Happened::Ended { session });
        Hook::Done
    }

    /// Forgets who gave up, and writes it down.
    #[on_cancel]
    fn cancelled(&self, cx: &mut Ctx, ticket: TicketId, granted: bool) {
        if let Some(session) = cx.session() {
            self.forget(cx, session, ticket);
        }
        self.fired.push_back(cx, &(), &format!("cancelled {ticket}, granted: {granted}"));
        cx.emit("cancel", &Happened::Cancelled { ticket });
    }

    /// The list of `key`.
    #[query]
    fn list(&self, cx: &QueryCtx, key: String) -> Vec<u64> {
        self.lists.iter(cx, &key).map(|(_, value)| value).collect()
    }

    /// What has fired, was cancelled or ended, in order.
    #[query]
    fn fired(&self, cx: &QueryCtx) -> Vec<String> {
        self.fired.iter(cx, &()).map(|(_, text)| text).collect()
    }

    /// What was heard of other spaces, in order, behind the first `skip`: at most 500.
    #[query]
    fn heard(&self, cx: &QueryCtx, skip: Option<u32>) -> Vec<Heard> {
        self.heard.iter(cx, &()).map(|(_, heard)| heard).skip(skip.unwrap_or(0) as usize).take(500).collect()
    }

    /// How many rows remember who waits: 0 when nobody does.
    #[query]
    fn rows(&self, cx: &QueryCtx) -> u32 {
        (self.waiting.iter(cx).count() + self.keys.iter(cx).count() + self.counts.iter(cx).count()) as u32
    }

    /// The first number that a session holds.
    #[query]
    fn first_held(&self, cx: &QueryCtx) -> Option<u64> {
        self.held.iter(cx).next().map(|((_, number), ())| number)
    }

    /// Answers who waits at `key`, and returns how many still did.
    fn answer_all(&self, cx: &mut Ctx, key: &str, entered: u32) -> u32 {
        let waiting: Vec<_> = self.waiting.prefix(cx, key).collect();
        let mut answered = 0;
        for (row, (session, ticket)) in waiting {
            self.keys.delete(cx, &(session, ticket.id()));
            self.waiting.delete(cx, &row);
            answered += u32::from(cx.complete(ticket, &entered));
        }
        self.counts.delete(cx, key);
        answered
    }

    fn forget(&self, cx: &mut Ctx, session: SessionId, ticket: TicketId) {
        let Some(key) = self.keys.get(cx, &(session, ticket)) else { return };
        match self.counts.get(cx, &key).unwrap_or(1) - 1 {
            0 => self.counts.delete(cx, &key),
            left => self.counts.put(cx, &key, &left),
        }
        self.keys.delete(cx, &(session, ticket));
        self.waiting.delete(cx, &(key, ticket));
    }
}
