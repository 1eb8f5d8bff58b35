//! `synod cluster scrub`: starts scrubs and follows them until they have ended.
//!
//! The members are asked for their status meanwhile: a scrub may take hours, and goes on whether
//! this command waits or not.
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};
use synod_client::api::{MemberStatus, ScrubStatus, StartedScrub};

use crate::cli::commands::status::scrub_json;
use crate::cli::io::cluster::Global;
use crate::cli::io::fail::{Exit, Failed};
use crate::cli::io::output;
use crate::cli::io::progress::Spinner;
use crate::cli::io::table::table;
use crate::cli::values::units::{bytes, seconds};

/// How often the members are asked how far they are.
const POLL: Duration = Duration::from_millis(200);
/// How long a member may say nothing of its scrub before it is given up.
const SILENCE: Duration = Duration::from_secs(5);

/// Flags of `synod cluster scrub`.
#[derive(Args, Clone, Debug)]
pub(crate) struct ScrubArgs {
    /// Only the member that is asked.
    #[arg(long)]
    local: bool,
    /// How long to wait for the scrubs to end, in seconds; they go on [default: as long as it
    /// takes].
    #[arg(long, value_name = "S", value_parser = seconds)]
    wait: Option<Duration>,
}

/// How a member's scrub stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stand {
    Running,
    Sound,
    Damaged,
    /// It does not answer any more, or began again.
    Lost,
    NotStarted,
}

/// One member's scrub, as it is followed.
struct Followed {
    started: StartedScrub,
    scrub: ScrubStatus,
    stand: Stand,
    heard: Instant,
}

impl Followed {
    fn new(started: StartedScrub) -> Self {
        let stand = if started.number == 0 { Stand::NotStarted } else { Stand::Running };
        Self { started, scrub: ScrubStatus::default(), stand, heard: Instant::now() }
    }

    fn see(&mut self, members: &[MemberStatus]) {
        if self.stand != Stand::Running {
            return;
        }
        let member = members.iter().find(|member| member.id == self.started.member_id && member.reachable);
        match member.and_then(|member| member.scrub.clone()) {
            Some(scrub) if scrub.begun >= self.started.number => {
                self.heard = Instant::now();
                if scrub.ended >= self.started.number {
                    self.stand = if scrub.finding.is_empty() { Stand::Sound } else { Stand::Damaged };
                }
                self.scrub = scrub;
            }
            _ if self.heard.elapsed() >= SILENCE => self.stand = Stand::Lost,
            _ => {}
        }
    }

    fn finding(&self) -> String {
        match self.stand {
            Stand::Running | Stand::Sound => String::new(),
            Stand::Damaged => self.scrub.finding.clone(),
            Stand::Lost => "it does not answer any more; its log says why".to_owned(),
            Stand::NotStarted => self.started.problem.clone(),
        }
    }

    fn result(&self) -> &'static str {
        match self.stand {
            Stand::Running => "running",
            Stand::Sound => "sound",
            Stand::Damaged => "damaged",
            Stand::Lost => "lost",
            Stand::NotStarted => "not started",
        }
    }

    fn json(&self) -> Value {
        let StartedScrub { member_id, name, .. } = &self.started;
        let mut json = scrub_json(&self.scrub);
        json["id"] = (*member_id).into();
        json["name"] = name.as_str().into();
        json["result"] = self.result().into();
        json["finding"] = self.finding().into();
        json
    }
}

/// Starts the scrubs, waits for them, and shows what they have found.
pub(crate) async fn run(args: ScrubArgs, global: &Global) -> Result<(), Failed> {
    let client = global.learning_client().await?;
    let asked = if args.local { global.client().await? } else { client.clone() };
    let mut scrubs: Vec<_> = asked.scrub(args.local).await?.into_iter().map(Followed::new).collect();
    let spinner = Spinner::new(progress(&scrubs));
    let began = Instant::now();
    let is_waited_for = || args.wait.is_none_or(|wait| began.elapsed() < wait);
    while scrubs.iter().any(|scrub| scrub.stand == Stand::Running) && is_waited_for() {
        tokio::time::sleep(POLL).await;
        let members = client.status(false).await?.members;
        scrubs.iter_mut().for_each(|scrub| scrub.see(&members));
        spinner.says(progress(&scrubs));
    }
    drop(spinner);
    let members: Vec<_> = scrubs.iter().map(Followed::json).collect();
    let is_sound = scrubs.iter().all(|scrub| scrub.stand == Stand::Sound);
    output::answer(global.output, &json!({ "sound": is_sound, "members": members }), || text(&scrubs))?;
    failure(&scrubs).map_or(Ok(()), Err)
}

/// What people see while they wait.
fn progress(scrubs: &[Followed]) -> String {
    let of = |scrub: &Followed| {
        let ScrubStatus { rows, bytes: read, .. } = scrub.scrub;
        format!("{}: {}, {rows} rows, {}", scrub.started.name, scrub.result(), bytes(read))
    };
    scrubs.iter().map(of).collect::<Vec<_>>().join("; ")
}

fn text(scrubs: &[Followed]) -> String {
    let rows = scrubs.iter().map(|scrub| {
        let ScrubStatus { rows, bytes: read, index, confirmed_by, .. } = scrub.scrub;
        let number = |n: u64| if scrub.scrub.begun == 0 { String::new() } else { n.to_string() };
        let read = if scrub.scrub.begun == 0 { String::new() } else { bytes(read) };
        [
            scrub.started.name.clone(),
            scrub.result().to_owned(),
            number(rows),
            read,
            number(index),
            number(confirmed_by),
            scrub.finding(),
        ]
    });
    table(["MEMBER", "RESULT", "ROWS>", "READ>", "ENTRY>", "CONFIRMED BY>", "FINDING"], rows)
}

/// Why the command fails, if it does.
fn failure(scrubs: &[Followed]) -> Option<Failed> {
    let named = |stands: &[Stand]| {
        let of = scrubs.iter().filter(|scrub| stands.contains(&scrub.stand));
        of.map(|scrub| scrub.started.name.as_str()).collect::<Vec<_>>().join(", ")
    };
    let damaged = named(&[Stand::Damaged]);
    if !damaged.is_empty() {
        let failed = Failed::new(Exit::Internal, format!("the state of {damaged} is damaged"));
        return Some(failed.next(
            "remove the data directory of such a member and start it with --replace-lost, one at a time",
        ));
    }
    let silent = named(&[Stand::Lost, Stand::NotStarted]);
    if !silent.is_empty() {
        let failed = Failed::new(Exit::Unavailable, format!("nothing is known of the state of {silent}"));
        return Some(
            failed.next(
                "look at `synod status` and into the log of such a member: it stops when it is damaged",
            ),
        );
    }
    let running = named(&[Stand::Running]);
    (!running.is_empty()).then(|| {
        Failed::new(Exit::WaitTimeout, format!("the scrubs of {running} have not ended in that time"))
            .next("they go on: `synod status` shows what they find")
    })
}

#[cfg(test)]
mod tests;
