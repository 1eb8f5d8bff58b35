//! The command line: what each command is called, takes and answers.
//!
//! Rules that hold for every command: nothing but the answer is written to standard output; errors
//! go to standard error and say the next step; `--output json` makes both machine-readable; the
//! exit code says what kind of thing happened. What a command means is the server's and the client
//! library's business.

mod args;
mod bench;
mod calling;
mod elect;
mod fail;
mod held;
mod lock;
mod logging;
mod member;
mod output;
mod progress;
mod recipe;
mod recipe_files;
mod schema;
mod session;
mod settings;
mod signals;
mod space;
mod space_events;
mod status;
mod table;
mod time;
mod token;
mod watch;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

use fail::{Exit, Failed};
use synod_client::core::Policy;
use synod_client::{Client, Options};

/// Keeps what every command takes apart from the command's own flags.
const TALKING: &str = "Talking to a cluster";

const AFTER_HELP: &str = "\
Exit codes:
  0  done
  1  rejected: by a recipe's rules, a limit, or a rule of the cluster; nothing was changed
  2  wrong usage: flags, a config file, an argument that does not fit the schema
  3  unavailable: surely not applied, may be tried again
  4  outcome unknown: it may or may not have been applied
  5  internal error
  6  a call waited as long as it was allowed to: a lock was not acquired, an election not won
  7  the session was lost, or a leadership

Begin with `synod dev`, then `synod call counter add --key a --by 1` in another terminal.";

/// A coordination service whose recipes are WebAssembly modules of your own.
#[derive(Parser)]
#[command(name = "synod", version, after_help = AFTER_HELP, max_term_width = 120)]
pub(crate) struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Args, Clone, Debug)]
pub(crate) struct Global {
    /// Members to talk to, host:port, separated by commas; any one will do.
    #[arg(short, long, global = true, help_heading = TALKING, env = "SYNOD_ENDPOINTS", default_value = "127.0.0.1:7070", value_name = "HOST:PORT,…")]
    pub(crate) endpoint: String,
    /// How answers and errors look.
    #[arg(short, long, global = true, help_heading = TALKING, value_enum, default_value_t)]
    pub(crate) output: Format,
    /// How long to keep trying while the cluster is unavailable, in milliseconds.
    #[arg(long, global = true, help_heading = TALKING, default_value_t = 5_000, value_name = "MS")]
    pub(crate) timeout_ms: u64,
}

/// How answers look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Tables for people.
    #[default]
    Table,
    /// One JSON value for programs; errors are one JSON line on standard error.
    Json,
}

#[derive(Subcommand)]
enum Command {
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
    #[command(after_help = calling::AFTER_HELP)]
    Call(calling::CallingArgs),
    /// Runs a query of a space: `synod query counter get --key a`.
    #[command(after_help = calling::AFTER_HELP)]
    Query(calling::QueryArgs),
    /// Shows the members: role, leader, revision, applied entries, digests.
    Status(status::StatusArgs),
    /// Measures a running cluster: calls per second, latencies, fsyncs per second, calls per entry.
    Bench(bench::BenchArgs),
}

/// Runs the command line of this process.
pub(crate) fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _unwritable = error.print();
            return if error.use_stderr() { Exit::Usage.into() } else { ExitCode::SUCCESS };
        }
    };
    let mut format = cli.global.output;
    let result = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failed::new(Exit::Internal, format!("cannot start threads: {error}")))
        .and_then(|runtime| runtime.block_on(run(cli, &mut format)));
    match result {
        Ok(code) => code,
        Err(failed) => {
            output::error(format, &failed);
            failed.exit.into()
        }
    }
}

/// `format` is where errors are told how to look: the arguments after an operation may hold
/// `--output` too.
async fn run(cli: Cli, format: &mut Format) -> Result<ExitCode, Failed> {
    let global = &cli.global;
    let done = match cli.command {
        Command::Lock(args) => return lock::run(*args, global).await,
        Command::Elect(args) => return elect::run(*args, global).await,
        Command::Watch(args) => watch::run(args, global).await,
        Command::Session(command) => session::run(command, global).await,
        Command::Dev(args) => member::run(*args, settings::Mode::Dev).await,
        Command::Start(args) => member::run(*args, settings::Mode::Start).await,
        Command::Recipe(command) => recipe::run(command, global).await,
        Command::Space(command) => space::run(command, global).await,
        Command::Call(args) => calling::call(args, global, format).await,
        Command::Query(args) => calling::query(args, global, format).await,
        Command::Status(args) => status::run(args, global).await,
        Command::Bench(args) => bench::run(args, global).await,
    };
    done.map(|()| ExitCode::SUCCESS)
}

impl Global {
    /// A client that knows only the given endpoints: one command needs no more.
    pub(crate) async fn client(&self) -> Result<Client, Failed> {
        Ok(Client::connect_with(&self.endpoint, self.client_options()).await?)
    }

    /// A client that learns the members and follows the leader: for commands that stay.
    pub(crate) async fn learning_client(&self) -> Result<Client, Failed> {
        let options = Options { learn_members: true, ..self.client_options() };
        Ok(Client::connect_with(&self.endpoint, options).await?)
    }

    pub(crate) fn client_options(&self) -> Options {
        let policy = Policy { give_up_ms: self.timeout_ms, ..Policy::default() };
        Options { learn_members: false, policy, ..Options::default() }
    }
}

#[cfg(test)]
mod tests;
