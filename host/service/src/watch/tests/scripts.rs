//! Transcripts of watches: each script in `scripts/` drives a small cluster and shows what clients
//! get and where their watches are. `UPDATE_GOLDENFILES=1 cargo test` writes the outputs anew.
//!
//! A command's prefix names its stream, `s` if there is none; a stream is opened by its first
//! command, on member 1 unless `open` says another.
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::ffi::OsString;
use std::time::Duration;

use goldenscript::Context;
use synod_abi::{Revision, SpaceId, TopicFilter};
use synod_machine::Caller;

use super::show;
use super::{exact, prefix};
use crate::testing::cluster::{Cluster, Pending, TIMEOUT};
use crate::testing::watching::{Pulled, TestStream, watch};
use crate::watch::{WatchId, WatchLimits};
use crate::{Args, NewWatch, QueryOptions, WatchStart};

type Output = Result<String, Box<dyn Error>>;

#[derive(goldenscript::Command)]
enum Command {
    /// Forms a cluster with the space `counter`, whose members hold so many bytes or events.
    Cluster {
        members: u64,
        #[arg(key)]
        tail_bytes: Option<usize>,
        #[arg(key)]
        feed_events: Option<usize>,
        #[arg(key)]
        page_bytes: Option<usize>,
        #[arg(key)]
        update_bytes: Option<usize>,
    },
    /// Opens the stream on another member than 1.
    Open {
        member: u64,
    },
    /// Drops the stream.
    Close,
    /// Creates a watch of a topic, or of a prefix with `*` behind it, from `now`, `oldest`, a
    /// revision or the query `get`.
    Watch {
        id: u64,
        filter: String,
        #[arg(key)]
        from: Option<String>,
        #[arg(key)]
        space: Option<String>,
        #[arg(key)]
        space_id: Option<u32>,
    },
    /// Emits events in one revision, or `times` revisions.
    Emit {
        topics: Vec<String>,
        #[arg(key)]
        bytes: Option<usize>,
        #[arg(key)]
        times: Option<usize>,
        #[arg(key)]
        member: Option<u64>,
    },
    /// Adds to the row `k`, without an event.
    Add,
    /// Takes one batch.
    Pull,
    /// Takes all batches.
    Take,
    /// Shows the stream's watches.
    Positions,
    Cancel {
        id: u64,
    },
    AskProgress,
    /// Compacts the events of `counter` through a revision, or all.
    Compact {
        through: Option<u64>,
        #[arg(key)]
        member: Option<u64>,
    },
    DeleteSpace,
    CreateSpace,
    /// Lets time pass.
    Advance {
        ms: u64,
    },
    /// Commits nothing until `commit`.
    HoldCommits,
    Commit,
    /// A member applies nothing until `apply`.
    HoldApply {
        member: u64,
    },
    Apply {
        member: u64,
    },
    /// The hub of a member publishes nothing until `resume_hub`; its apply thread goes on.
    PauseHub {
        member: u64,
    },
    ResumeHub {
        member: u64,
    },
    /// A member hears nothing until `reconnect`.
    Isolate {
        member: u64,
    },
    Reconnect {
        member: u64,
    },
    Stop {
        member: u64,
    },
}

/// A cluster and its clients.
#[derive(Default)]
struct World {
    cluster: Option<Cluster>,
    streams: BTreeMap<String, (u64, TestStream)>,
    creates: Vec<Pending<()>>,
}

fn filter(text: &str) -> TopicFilter {
    text.strip_suffix('*').map_or_else(|| exact(text), prefix)
}

fn start_at(from: Option<&str>) -> Result<WatchStart, Box<dyn Error>> {
    Ok(match from {
        None | Some("now") => WatchStart::Now,
        Some("oldest") => WatchStart::Oldest,
        Some("get") => WatchStart::Query {
            query: "get".to_owned(),
            args: Args::Json("{\"key\":\"k\"}".to_owned()),
            options: QueryOptions::default(),
        },
        Some(revision) => WatchStart::Revision(Revision(revision.parse()?)),
    })
}

impl World {
    fn cluster(&mut self) -> Result<&mut Cluster, Box<dyn Error>> {
        self.cluster.as_mut().ok_or_else(|| "the script begins with `cluster`".into())
    }

    fn stream(&mut self, context: &Context) -> Result<(u64, TestStream), Box<dyn Error>> {
        let name = context.prefix.clone().unwrap_or_else(|| "s".to_owned());
        if let Some(stream) = self.streams.get(&name) {
            return Ok(stream.clone());
        }
        let stream = (1, TestStream::on(self.cluster()?, 1));
        self.streams.insert(name, stream.clone());
        Ok(stream)
    }

    fn open(&mut self, context: &Context, member: u64) -> Output {
        let stream = TestStream::on(self.cluster()?, member);
        self.streams.insert(context.prefix.clone().unwrap_or_else(|| "s".to_owned()), (member, stream));
        Ok(String::new())
    }

    fn create(&mut self, context: &Context, new: NewWatch) -> Output {
        let (_, stream) = self.stream(context)?;
        let cluster = self.cluster()?;
        let create = stream.start(cluster, new);
        cluster.run();
        self.creates.push(create);
        Ok(String::new())
    }

    fn emit(&mut self, member: u64, topics: &[String], bytes: usize, times: usize) -> Output {
        let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
        let cluster = self.cluster()?;
        let first = cluster.emit(member, "counter", &topics, bytes);
        let mut last = first;
        for _ in 1..times {
            last = cluster.emit(member, "counter", &topics, bytes);
        }
        cluster.run();
        Ok(if first == last { format!("revision {first}") } else { format!("revisions {first} to {last}") })
    }

    fn administer(&mut self, command: &Command) -> Output {
        let cluster = self.cluster()?;
        let member = cluster.member(1);
        match command {
            Command::Compact { through, member: of } => {
                let member = cluster.member(of.unwrap_or(1));
                let through = through.map(Revision);
                let done = cluster.wait(async move {
                    member.compact_events("counter", through, Caller::default(), TIMEOUT).await
                })?;
                cluster.run();
                let left = cluster.head(1).counts.events;
                return Ok(format!("{} events compacted through {}, {left} left", done.events, done.through));
            }
            Command::DeleteSpace => {
                let work = async move { member.delete_space("counter", Caller::default(), TIMEOUT).await };
                cluster.wait(work)?;
            }
            _ => {
                let work = async move {
                    member.create_space("counter", "counter", None, Caller::default(), TIMEOUT).await
                };
                cluster.wait(work)?;
            }
        }
        cluster.run();
        Ok(String::new())
    }

    /// What happens to members.
    fn disturb(&mut self, command: &Command) -> Output {
        let cluster = self.cluster()?;
        match command {
            Command::HoldCommits => cluster.hold_commits(true),
            Command::Commit => cluster.hold_commits(false),
            Command::HoldApply { member } => cluster.hold_apply(*member, true),
            Command::Apply { member } => cluster.hold_apply(*member, false),
            Command::PauseHub { member } => cluster.stop_tasks(*member, true),
            Command::ResumeHub { member } => cluster.stop_tasks(*member, false),
            Command::Isolate { member } => cluster.isolate(*member),
            Command::Reconnect { member } => cluster.reconnect(*member),
            Command::Stop { member } => {
                let member = cluster.member(*member);
                cluster.wait(async move { member.shut_down(TIMEOUT).await });
            }
            Command::Advance { ms } => cluster.advance(Duration::from_millis(*ms)),
            _ => return Err("no disturbance".into()),
        }
        cluster.run();
        Ok(String::new())
    }
}

impl goldenscript::Runner for World {
    type Command = Command;

    fn run(&mut self, command: &Command, context: &Context) -> Output {
        match command {
            Command::Cluster { members, tail_bytes, feed_events, page_bytes, update_bytes } => {
                let all = WatchLimits::default();
                let limits = WatchLimits {
                    tail_bytes: tail_bytes.unwrap_or(all.tail_bytes),
                    feed_events: feed_events.unwrap_or(all.feed_events),
                    page_bytes: page_bytes.unwrap_or(all.page_bytes),
                    update_bytes: update_bytes.unwrap_or(all.update_bytes),
                    ..all
                };
                let cluster = Cluster::ready_to_hold(*members, limits);
                let revision = cluster.head(1).revision;
                self.streams.clear();
                self.cluster = Some(cluster);
                Ok(format!("revision {revision}"))
            }
            Command::Open { member } => self.open(context, *member),
            Command::Close => {
                self.streams.remove(context.prefix.as_deref().unwrap_or("s"));
                Ok(String::new())
            }
            Command::Watch { id, filter: topics, from, space, space_id } => {
                let mut new = watch(*id, filter(topics), start_at(from.as_deref())?);
                new.space = space.clone().unwrap_or(new.space);
                new.space_id = space_id.map(SpaceId);
                self.create(context, new)
            }
            Command::Emit { topics, bytes, times, member } => {
                self.emit(member.unwrap_or(1), topics, bytes.unwrap_or(0), times.unwrap_or(1))
            }
            Command::Add => {
                let cluster = self.cluster()?;
                let _answer = cluster.start_add(1, "k", 1);
                cluster.run();
                Ok(format!("revision {}", cluster.head(1).revision))
            }
            Command::Pull => Ok(match self.stream(context)?.1.pull() {
                Pulled::Updates(updates) => show::updates(&updates),
                Pulled::Nothing => "nothing".to_owned(),
                Pulled::End => "the stream ended".to_owned(),
            }),
            Command::Take => {
                let updates = self.stream(context)?.1.drain();
                Ok(if updates.is_empty() { "nothing".to_owned() } else { show::updates(&updates) })
            }
            Command::Positions => {
                let (member, stream) = self.stream(context)?;
                let hub = self.cluster()?.member(member).watch_hub().clone();
                Ok(show::positions(&hub, stream.stream.key()))
            }
            Command::Cancel { id } => {
                self.stream(context)?.1.stream.cancel(WatchId(*id));
                Ok(String::new())
            }
            Command::AskProgress => {
                self.stream(context)?.1.stream.request_progress();
                self.cluster()?.run();
                Ok(String::new())
            }
            Command::Compact { .. } | Command::DeleteSpace | Command::CreateSpace => self.administer(command),
            _ => self.disturb(command),
        }
    }
}

fn run(script: &str) {
    let path = format!("{}/src/watch/tests/scripts/{script}", env!("CARGO_MANIFEST_DIR"));
    goldenscript::run(&mut World::default(), path).expect("the script runs");
}

macro_rules! scripts {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                run(stringify!($name));
            }
        )*

        #[test]
        fn every_script_runs() {
            let folder = format!("{}/src/watch/tests/scripts", env!("CARGO_MANIFEST_DIR"));
            let files = std::fs::read_dir(folder).expect("a folder");
            let files: BTreeSet<OsString> = files.map(|file| file.expect("a file").file_name()).collect();
            let names = [$(stringify!($name)),*].map(OsString::from);
            assert_eq!(files, BTreeSet::from(names));
        }
    };
}

scripts! { start follow behind compacted progress stuck cancel resume deleted parts }
