//! Runs scripts about [`Requests`], as the shell does: after every command it sends what can be
//! sent, and prints that.
//!
//! The clock stands still but for `wait`, and jitter is at its most, so pauses are whole.
use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::fmt::Write as _;
use std::str::FromStr;

use synod_api::v1::Failure;
use synod_api::v1::failure::Kind;

use super::scripts;
use crate::core::{Backoff, Landed, Patience, Policy, Requests, Sending, Step, Trouble};
use crate::{Error, api};

const PATIENCE: Patience = Patience {
    policy: Policy { give_up_ms: 1_000, backoff: Backoff { base_ms: 10, max_ms: 100 } },
    attempt_ms: 500,
    silent_ms: 500,
};
const JITTER: u32 = u32::MAX;

scripts!(
    Runner::new(1),
    "requests": bounds, cancel, end, out_of_order, park, pipeline, reconnect, refused, silence
);

/// One request or several: `3`, `1..4`, which has 4, or `1,3`.
struct Ids(Vec<u64>);

impl FromStr for Ids {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some((first, last)) = text.split_once("..") {
            return Ok(Self((first.parse()?..=last.parse()?).collect()));
        }
        text.split(',').map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

/// What the cluster answers.
enum Answer {
    Result,
    Parked,
    Failure(Kind, String),
    /// None.
    Lost,
}

impl FromStr for Answer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "result" => Self::Result,
            "parked" => Self::Parked,
            "NO_ANSWER" => Self::Lost,
            "OUT_OF_ORDER" | "NO_LEADER" => Self::Failure(Kind::Unavailable, text.to_owned()),
            "OUTCOME_UNKNOWN" => Self::Failure(Kind::OutcomeUnknown, text.to_owned()),
            reason if reason == reason.to_uppercase() => Self::Failure(Kind::Rejected, text.to_owned()),
            _ => return Err(format!("`{text}` is no answer")),
        })
    }
}

impl From<&Answer> for Landed {
    fn from(answer: &Answer) -> Self {
        match answer {
            Answer::Result => Self::Result,
            Answer::Parked => Self::Parked,
            Answer::Lost => Self::Failed(Trouble::NoAnswer("no answer".into())),
            Answer::Failure(kind, reason) => Self::Failed(Trouble::Answered(Box::new(Failure {
                kind: *kind as i32,
                reason: reason.clone(),
                message: reason.to_lowercase().replace('_', " "),
                ..Failure::default()
            }))),
        }
    }
}

/// What a cancel finds on the cluster.
struct Found(Option<api::Cancelled>);

impl FromStr for Found {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(Some(match text {
            "not_run" => api::Cancelled::NotRun,
            "waiting" => api::Cancelled::Waiting,
            "granted" => api::Cancelled::Granted,
            "final" => api::Cancelled::Final,
            "unknown" => return Ok(Self(None)),
            _ => return Err(format!("a cancel does not find `{text}`")),
        })))
    }
}

#[derive(goldenscript::Command)]
enum Command {
    /// Begins another session, whose next request has this id; its first round begins at once.
    Session { next: u64 },
    /// Makes so many calls, one if that is not said.
    Call { count: Option<u64> },
    /// Begins a round, if the core wants one.
    Connect,
    /// The member answers requests, in the round in which they were last sent or in another.
    Answer {
        ids: Ids,
        answer: Answer,
        #[arg(key)]
        round: Option<u64>,
    },
    /// The stream of a round breaks, of the present one if that is not said.
    Break { round: Option<u64> },
    /// Callers take their results.
    Take { ids: Ids },
    /// The member answers requests with results, and callers take them.
    Finish { ids: Ids },
    /// Callers drop their calls.
    Drop { ids: Ids },
    /// A cancel is answered.
    Cancelled { id: u64, found: Found },
    /// A cancel fails.
    CancelFailed { id: u64 },
    /// Time passes.
    Wait { ms: u64 },
    /// The session ends.
    End { why: String },
    /// Prints when the core wants to be woken, and what it tells further callers.
    State,
}

struct Runner {
    requests: Requests,
    now_ms: u64,
    /// The round in which each request was last sent.
    rounds: BTreeMap<u64, u64>,
    output: String,
}

type Outcome = Result<(), Box<dyn StdError>>;

impl Runner {
    fn new(next: u64) -> Self {
        let mut requests = Requests::new(next, PATIENCE);
        requests.begin_round();
        Self { requests, now_ms: 0, rounds: BTreeMap::new(), output: String::new() }
    }

    fn call(&mut self) -> Outcome {
        if let Some(why) = self.requests.is_silent(self.now_ms) {
            writeln!(self.output, "the cluster is silent: {why}")?;
        }
        match self.requests.add(self.now_ms) {
            Ok(_id) => Ok(()),
            Err(error) => Ok(writeln!(self.output, "refused: {error}")?),
        }
    }

    fn connect(&mut self) -> Outcome {
        if self.requests.wants_round(self.now_ms) {
            self.requests.begin_round();
            return Ok(());
        }
        Ok(writeln!(self.output, "no round is wanted")?)
    }

    fn land(&mut self, id: u64, round: u64, landed: Landed) -> Outcome {
        match self.requests.landed(id, round, landed, self.now_ms, JITTER) {
            Step::Nothing => {}
            Step::Parked => writeln!(self.output, "{id} is parked")?,
            Step::Deliver => writeln!(self.output, "{id} is delivered")?,
            Step::Fail(error) => writeln!(self.output, "{id} fails: {error}")?,
            Step::Leave => {
                let in_flight = self.requests.in_flight();
                writeln!(self.output, "the round is over; take back {in_flight:?}")?;
                in_flight.into_iter().for_each(|id| self.requests.take_back(id));
            }
            Step::Over(error) => {
                writeln!(self.output, "the session is over; {id} fails: {error}")?;
                let others = self.requests.over("the session is over");
                self.fail_all(others.into_iter().filter(|(other, _)| *other != id))?;
            }
        }
        Ok(())
    }

    fn answer(&mut self, ids: &Ids, answer: &Answer, round: Option<u64>) -> Outcome {
        for &id in &ids.0 {
            let sent_in = self.rounds.get(&id).copied();
            let round = round.or(sent_in).ok_or_else(|| format!("{id} was not sent"))?;
            self.land(id, round, Landed::from(answer))?;
        }
        Ok(())
    }

    fn break_round(&mut self, round: Option<u64>) -> Outcome {
        let round = round.or(self.requests.round()).ok_or("there is no round")?;
        let ids: Vec<u64> =
            self.rounds.iter().filter(|(_, sent_in)| **sent_in == round).map(|(id, _)| *id).collect();
        for id in ids {
            self.land(id, round, Landed::Failed(Trouble::NoAnswer("the stream broke".into())))?;
        }
        Ok(())
    }

    fn fail_all(&mut self, failed: impl IntoIterator<Item = (u64, Error)>) -> Outcome {
        for (id, error) in failed {
            writeln!(self.output, "{id} fails: {error}")?;
        }
        Ok(())
    }

    fn wait(&mut self, ms: u64) -> Outcome {
        self.now_ms += ms;
        if let Some(why) = self.requests.overdue(self.now_ms, JITTER) {
            let in_flight = self.requests.in_flight();
            writeln!(self.output, "{why}: the round is over; take back {in_flight:?}")?;
            in_flight.into_iter().for_each(|id| self.requests.take_back(id));
        }
        let given_up = self.requests.given_up(self.now_ms);
        self.fail_all(given_up)
    }

    fn state(&mut self) -> Outcome {
        match self.requests.wake_at(self.now_ms) {
            Some(at_ms) => writeln!(self.output, "wake in {} ms", at_ms.saturating_sub(self.now_ms))?,
            None => writeln!(self.output, "nothing to wait for")?,
        }
        if let Some(why) = self.requests.is_silent(self.now_ms) {
            writeln!(self.output, "the cluster is silent: {why}")?;
        }
        Ok(())
    }

    /// Sends what can be sent.
    fn pump(&mut self) -> Outcome {
        while let Some(sending) = self.requests.next_to_send(self.now_ms) {
            let Sending { id, round, acknowledged_below, after, acknowledged } = sending;
            self.rounds.insert(id, round);
            write!(self.output, "send {id}:")?;
            if after > 0 {
                write!(self.output, " after {after},")?;
            }
            write!(self.output, " settled below {acknowledged_below}")?;
            if !acknowledged.is_empty() {
                write!(self.output, ", acknowledges {acknowledged:?}")?;
            }
            writeln!(self.output)?;
        }
        while let Some(id) = self.requests.next_cancel() {
            writeln!(self.output, "cancel {id}")?;
        }
        Ok(())
    }

    fn execute(&mut self, command: &Command) -> Outcome {
        match command {
            Command::Session { next } => *self = Self::new(*next),
            Command::Call { count } => (0..count.unwrap_or(1)).try_for_each(|_| self.call())?,
            Command::Connect => self.connect()?,
            Command::Answer { ids, answer, round } => self.answer(ids, answer, *round)?,
            Command::Break { round } => self.break_round(*round)?,
            Command::Take { ids } => ids.0.iter().for_each(|id| self.requests.taken(*id)),
            Command::Finish { ids } => {
                self.answer(ids, &Answer::Result, None)?;
                ids.0.iter().for_each(|id| self.requests.taken(*id));
            }
            Command::Drop { ids } => ids.0.iter().for_each(|id| self.requests.abandon(*id)),
            Command::Cancelled { id, found } => {
                let failed = self.requests.cancelled(*id, found.0);
                self.fail_all(failed.map(|error| (*id, error)))?;
            }
            Command::CancelFailed { id } => {
                let failed = self.requests.cancel_failed(*id);
                self.fail_all(failed.map(|error| (*id, error)))?;
            }
            Command::Wait { ms } => self.wait(*ms)?,
            Command::End { why } => {
                let failed = self.requests.over(why);
                self.fail_all(failed)?;
            }
            Command::State => self.state()?,
        }
        self.pump()
    }
}

impl goldenscript::Runner for Runner {
    type Command = Command;

    fn run(
        &mut self,
        command: &Self::Command,
        _context: &goldenscript::Context,
    ) -> Result<String, Box<dyn StdError>> {
        self.execute(command)?;
        Ok(std::mem::take(&mut self.output))
    }
}
