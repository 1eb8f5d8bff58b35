//! How a command reaches a cluster: the flags that every command takes, and the client made of
//! them.
use clap::Args;
use synod_abi::schema::Schema;
use synod_client::api::Consistency;
use synod_client::core::Policy;
use synod_client::{Client, Error, Options};

use super::fail::{Exit, Failed};
use super::output::{self, Format};

/// The help's heading for flags of every command, apart from the command's own.
const TALKING: &str = "Talking to a cluster";

/// Flags that every command takes.
#[derive(Args, Clone, Debug)]
pub(crate) struct Global {
    /// Members to talk to, host:port, separated by commas; any one will do.
    #[arg(short, long, global = true, help_heading = TALKING, value_name = "HOST:PORT,…")]
    #[arg(env = "SYNOD_ENDPOINTS", default_value = "127.0.0.1:7070")]
    pub(crate) endpoint: String,
    /// How answers and errors look.
    #[arg(short, long, global = true, help_heading = TALKING, value_enum, default_value_t)]
    pub(crate) output: Format,
    /// How long the command may take, with everything that it asks and tries again, in
    /// milliseconds; for commands that keep running: how long a request may.
    #[arg(long, global = true, help_heading = TALKING, default_value_t = 5_000, value_name = "MS")]
    pub(crate) timeout_ms: u64,
}

impl Global {
    /// A client that knows only the given endpoints, for a command that does one thing: all its
    /// requests end when the command's time is over.
    pub(crate) async fn client(&self) -> Result<Client, Failed> {
        let options = Options { deadline_ms: Some(self.timeout_ms), ..self.client_options() };
        Ok(Client::connect_with(&self.endpoint, options).await?)
    }

    /// A client that learns the members and follows the leader, for commands that keep running.
    pub(crate) async fn learning_client(&self) -> Result<Client, Failed> {
        let options = Options { learn_members: true, ..self.client_options() };
        Ok(Client::connect_with(&self.endpoint, options).await?)
    }

    /// A client that learns the members and follows the leader, for a command that does one thing.
    pub(crate) async fn learning_client_of_one_command(&self) -> Result<Client, Failed> {
        let deadline_ms = Some(self.timeout_ms);
        let options = Options { learn_members: true, deadline_ms, ..self.client_options() };
        Ok(Client::connect_with(&self.endpoint, options).await?)
    }

    /// The options of a client that knows only the given endpoints.
    pub(crate) fn client_options(&self) -> Options {
        let policy = Policy { give_up_ms: self.timeout_ms, ..Policy::default() };
        Options { learn_members: false, policy, ..Options::default() }
    }
}

/// The schema of the recipe that a space runs.
pub(crate) async fn schema_of_space(client: &Client, space: &str) -> Result<Schema, Failed> {
    schema_from(client, space, Consistency::Linearizable).await
}

/// The same from a state that is as fresh as `consistency` says.
pub(crate) async fn schema_from(
    client: &Client,
    space: &str,
    consistency: Consistency,
) -> Result<Schema, Failed> {
    decode(&client.describe_space_from(space, consistency).await?.schema)
}

/// What `ask` finds, as fresh as it can be had. While no majority answers, that is what one member
/// has, and a remark says so.
pub(crate) async fn freshest<T>(
    global: &Global,
    ask: impl AsyncFn(Client, Consistency) -> Result<T, Error>,
) -> Result<T, Failed> {
    let half = Global { timeout_ms: global.timeout_ms / 2, ..global.clone() };
    let why = match ask(half.client().await?, Consistency::Linearizable).await {
        Err(error @ Error::Unavailable(_)) => error,
        answer => return Ok(answer?),
    };
    match ask(half.client().await?, Consistency::Serializable).await {
        Err(Error::Unavailable(_)) => Err(why.into()),
        answer => {
            let answer = answer?;
            output::remark(&format!("{why}\nthis is what one member has, and may be old"));
            Ok(answer)
        }
    }
}

/// Decodes a schema as a member sends it.
pub(crate) fn decode(schema: &[u8]) -> Result<Schema, Failed> {
    Schema::decode(schema).map_err(|error| {
        Failed::new(Exit::Internal, format!("the member sent a schema that is not valid: {error}"))
            .next("use a `synod` of the member's version")
    })
}
