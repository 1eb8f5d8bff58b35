//! The commands, each in a file of its own with its flags and a `run`. To add one: write its file,
//! declare it here, and give it a variant of [`Command`] and a line in [`Command::run`].
//!
//! A command may use files beside and below it (`held` is what `lock` and `elect` share), the
//! benchmarks, and `io` and `values`.

mod call;
mod cluster;
mod elect;
mod held;
mod lock;
mod member;
mod query;
mod recipe;
mod session;
mod space;
mod status;
mod target;
mod watch;
mod who;

use std::process::ExitCode;

use clap::Subcommand;

use super::io::cluster::Global;
use super::io::fail::Failed;
use crate::bench;
use crate::settings::Mode;

/// What to do.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Runs one member for development: data in a folder, bundled recipes installed, replacing
    /// recipes allowed.
    Dev(Box<member::MemberArgs>),
    /// Runs a member of a cluster.
    Start(Box<member::MemberArgs>),
    /// Makes, builds, tests, installs and inspects recipes.
    #[command(subcommand)]
    Recipe(recipe::RecipeCommand),
    /// Creates, upgrades and deletes spaces, shows their operations, and binds them to each other's
    /// events.
    #[command(subcommand)]
    Space(space::SpaceCommand),
    /// Opens, lists and closes sessions: what calls may wait in, have their effect once in, and
    /// bind locks to.
    #[command(subcommand)]
    Session(session::SessionCommand),
    /// Runs a command while a lock is held: `synod lock NAME -- COMMAND`. Stops it before the lock
    /// can be lost.
    #[command(after_help = lock::AFTER_HELP)]
    Lock(Box<lock::LockArgs>),
    /// Runs a command while a candidate leads an election: `synod elect NAME -- COMMAND`. Stops it
    /// before the leadership can be lost.
    #[command(after_help = elect::AFTER_HELP)]
    Elect(Box<elect::ElectArgs>),
    /// Shows events of a space as they happen: `synod watch kv config/`.
    #[command(after_help = watch::AFTER_HELP)]
    Watch(watch::WatchArgs),
    /// Calls an operation of a space: `synod call limits take --key api --n 1`.
    #[command(after_help = target::AFTER_HELP)]
    Call(call::CallArgs),
    /// Runs a query of a space: `synod query counter get --key a`.
    #[command(after_help = target::AFTER_HELP)]
    Query(query::QueryArgs),
    /// Shows who holds and waits for a name, or what a session holds and waits for: `synod who db`.
    Who(who::WhoArgs),
    /// Shows the members: role, leader, revision, applied entries, digests.
    Status(status::StatusArgs),
    /// Looks after the cluster as a whole.
    #[command(subcommand)]
    Cluster(cluster::ClusterCommand),
    /// Measures a running cluster: calls per second, latencies, fsyncs per second, calls per entry.
    Bench(bench::BenchArgs),
}

impl Command {
    /// Whether it runs a member.
    pub(crate) fn is_member(&self) -> bool {
        matches!(self, Self::Dev(_) | Self::Start(_))
    }

    /// Runs the command. `global` is adapted where a command's arguments hold flags of it, so that
    /// errors are shown in the format that was asked for.
    pub(crate) async fn run(self, global: &mut Global) -> Result<ExitCode, Failed> {
        let done = match self {
            Self::Lock(args) => return lock::run(*args, global).await,
            Self::Elect(args) => return elect::run(*args, global).await,
            Self::Dev(args) => member::run(*args, Mode::Dev).await,
            Self::Start(args) => member::run(*args, Mode::Start).await,
            Self::Recipe(command) => recipe::run(command, global).await,
            Self::Space(command) => space::run(command, global).await,
            Self::Session(command) => session::run(command, global).await,
            Self::Watch(args) => watch::run(args, global).await,
            Self::Call(args) => call::run(args, global).await,
            Self::Query(args) => query::run(args, global).await,
            Self::Who(args) => who::run(args, global).await,
            Self::Status(args) => status::run(args, global).await,
            Self::Cluster(command) => cluster::run(command, global).await,
            Self::Bench(args) => bench::run(args, global).await,
        };
        done.map(|()| ExitCode::SUCCESS)
    }
}
