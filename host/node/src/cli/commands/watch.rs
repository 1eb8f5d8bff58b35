//! `synod watch SPACE [TOPIC]`: events as they happen, a line each, in order and without a gap.
//!
//! The client library resumes the watch when members fail. What ends a watch, such as compaction,
//! is an error that names the revision to go on from.
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};
use synod_abi::TopicFilter;
use synod_client::{Answer, Json, Watch, WatchError, WatchEvent, WatchItem, WatchState};

use crate::cli::io::cluster::Global;
use crate::cli::io::fail::{Exit, Failed};
use crate::cli::io::output::{self, Format};
use crate::cli::io::table::printable;
use crate::cli::values::time::utc;
use crate::cli::values::units::count;

/// How often it looks whether the watch has lost its member.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Widest topic that columns are aligned for.
const TOPIC_WIDTH: usize = 40;

/// What the help ends with.
pub(crate) const AFTER_HELP: &str = "\
A line is an event: its revision, cluster time, topic, and payload as JSON. Events of one
revision stand together; each comes once, in order, also when members fail meanwhile.

TOPIC is one topic, or what topics begin with if it ends with / or *: config/, db*.
Without it, all of them. Quote a *, so that the shell leaves it alone.

To come back where a watch ended, add one to the last revision that was shown:
  synod watch kv config/ --from 813
With --query, the query's result comes first, then what happened after the state that it
read:
  synod watch kv config/ --query list --args '{\"prefix\": \"config/\"}'

It ends with --events, on Ctrl-C, or when its output is closed. Exit codes:
  1        rejected: events from there on were compacted (COMPACTED), or the space is gone
  2-5      as for every other command of synod";

/// Flags of `synod watch`.
#[derive(Args, Clone, Debug)]
pub(crate) struct WatchArgs {
    /// The space.
    space: String,
    /// The topic, or what topics begin with: `db`, `config/`, `db*` [default: all].
    #[arg(default_value = "*", hide_default_value = true)]
    topic: String,
    /// The first revision that is wanted, or `oldest` for all that is kept [default: from now on].
    #[arg(long, value_name = "REV|oldest", conflicts_with = "query")]
    from: Option<From>,
    /// Begin with the result of this query.
    #[arg(long)]
    query: Option<String>,
    /// Its arguments, as a JSON object.
    #[arg(long, value_name = "JSON", requires = "query", default_value = "{}", hide_default_value = true)]
    args: String,
    /// End after so many events.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    events: Option<u64>,
    /// Also show progress marks: up to which revision nothing is missing.
    #[arg(long)]
    progress: bool,
}

/// Where a watch begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    Oldest,
    Revision(u64),
}

impl FromStr for From {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(revision @ 1..) => Ok(Self::Revision(revision)),
            _ if text == "oldest" => Ok(Self::Oldest),
            _ => Err(format!("`{text}` is neither `oldest` nor a revision, which are numbers from 1")),
        }
    }
}

/// Shows events until the watch, its reader or the wanted number of events ends.
pub(crate) async fn run(args: WatchArgs, global: &Global) -> Result<(), Failed> {
    let client = global.learning_client().await?;
    let builder = client.watch(&args.space).filter(TopicFilter::parse(&args.topic));
    let failed = |error| failed(&args, error);
    let mut lines = Lines::new(global.output);
    let watch = match (&args.query, args.from) {
        (Some(query), _) => {
            let (answer, watch) = builder.open_with_json(query, &args.args).await.map_err(failed)?;
            if !output::more(&lines.result(query, answer)?)? {
                return Ok(());
            }
            watch
        }
        (None, None) => builder.now().open().await.map_err(failed)?,
        (None, Some(From::Oldest)) => builder.from_oldest().open().await.map_err(failed)?,
        (None, Some(From::Revision(revision))) => {
            builder.from_revision(revision).open().await.map_err(failed)?
        }
    };
    follow(&args, watch, &mut lines).await
}

/// Shows what comes, until the watch, its reader or the wanted number of events ends.
async fn follow(args: &WatchArgs, mut watch: Watch<Json>, lines: &mut Lines) -> Result<(), Failed> {
    let mut left = args.events;
    let mut looks = tokio::time::interval(LOOK_EVERY);
    let gone = output::reader_gone();
    tokio::pin!(gone);
    loop {
        let item = tokio::select! {
            () = &mut gone => return Ok(()),
            item = watch.next() => item.map_err(|error| failed(args, error))?,
            _ = looks.tick() => {
                lines.contact(!matches!(watch.state(), WatchState::Disconnected { .. }));
                continue;
            }
        };
        let text = match item {
            None => return Ok(()),
            Some(WatchItem::Progress { .. }) if !args.progress => continue,
            Some(WatchItem::Progress { revision, time_ms }) => lines.progress(revision, time_ms),
            Some(WatchItem::Events { mut events, .. }) => {
                if let Some(left) = &mut left {
                    events.truncate(count(*left));
                    *left -= events.len() as u64;
                }
                lines.events(&events)?
            }
        };
        if !output::more(&text)? || left == Some(0) {
            return Ok(());
        }
    }
}

/// Formats what comes, a line each.
struct Lines {
    format: Format,
    revision_width: usize,
    topic_width: usize,
    connected: bool,
}

impl Lines {
    const fn new(format: Format) -> Self {
        Self { format, revision_width: 1, topic_width: 1, connected: true }
    }

    /// Remarks that contact to the cluster was lost, or that it is back.
    fn contact(&mut self, connected: bool) {
        let changed = connected != self.connected;
        self.connected = connected;
        if changed && self.format == Format::Table {
            output::remark(match connected {
                true => "watching again, nothing was missed",
                false => "no contact to the cluster; trying again",
            });
        }
    }

    fn events(&mut self, events: &[WatchEvent<String>]) -> Result<String, Failed> {
        let lines: Result<Vec<_>, _> = events.iter().map(|event| self.event(event)).collect();
        Ok(lines?.join("\n"))
    }

    fn event(&mut self, event: &WatchEvent<String>) -> Result<String, Failed> {
        let WatchEvent { revision, number, time_ms, topic, payload } = event;
        let value = value(payload)?;
        Ok(match self.format {
            Format::Json => {
                let json = json!({
                    "revision": revision,
                    "number": number,
                    "time_ms": time_ms,
                    "topic": topic,
                    "payload": value,
                });
                json.to_string()
            }
            Format::Table => self.line(*revision, *time_ms, &printable(topic), &value.to_string()),
        })
    }

    fn result(&mut self, query: &str, answer: Answer<String>) -> Result<String, Failed> {
        let Answer { value: text, revision, time_ms, .. } = answer;
        let result = value(&text)?;
        Ok(match self.format {
            Format::Json => json!({ "result": result, "revision": revision, "time_ms": time_ms }).to_string(),
            Format::Table => self.line(revision, time_ms, &format!("({query})"), &result.to_string()),
        })
    }

    fn progress(&mut self, revision: u64, time_ms: u64) -> String {
        match self.format {
            Format::Json => json!({ "progress": { "revision": revision, "time_ms": time_ms } }).to_string(),
            Format::Table => self.line(revision, time_ms, "(progress)", ""),
        }
    }

    /// Columns get as wide as what has come so far.
    fn line(&mut self, revision: u64, time_ms: u64, topic: &str, payload: &str) -> String {
        let revision = revision.to_string();
        self.revision_width = self.revision_width.max(revision.len());
        self.topic_width = self.topic_width.max(topic.chars().count().min(TOPIC_WIDTH));
        let revisions = self.revision_width;
        let topics = self.topic_width;
        let time = utc(time_ms);
        format!("{revision:>revisions$}  {time}  {topic:<topics$}  {payload}").trim_end().to_owned()
    }
}

fn value(json: &str) -> Result<Value, Failed> {
    serde_json::from_str(json).map_err(|error| {
        Failed::new(Exit::Internal, format!("the member sent something that is not JSON: {error}"))
    })
}

fn failed(args: &WatchArgs, error: WatchError) -> Failed {
    let WatchArgs { space, topic, .. } = args;
    let next = match &error {
        WatchError::Compacted { resume_revision, .. } => Some(format!(
            "`synod watch {space} '{topic}' --from {resume_revision}` goes on with what is left; with \
                --query it begins with the present state"
        )),
        WatchError::SpaceDeleted { .. } => {
            Some("`synod space list` shows whether there is another space of that name".to_owned())
        }
        WatchError::Failed(_) => None,
    };
    let failed = Failed::from(synod_client::Error::from(error));
    match next {
        Some(next) => failed.next(next),
        None => failed,
    }
}

#[cfg(test)]
mod tests;
