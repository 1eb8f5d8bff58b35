//! `synod who`: who holds a name and waits for it, or what a session holds and waits for, over all
//! spaces.
//!
//! A member knows which calls wait, but what is held is a recipe's own state. So this asks every
//! space whose recipe has a query `who(name, session)`, as `lock` and `election` have: a list of
//! what has a `name`, a `session`, an `owner`, since when, and a token if it is held. A recipe of
//! anybody's that has such a query is asked too.
use std::collections::{BTreeMap, BTreeSet};

use clap::Args;
use serde::Deserialize;
use serde_json::{Value, json};
use synod_abi::SessionId;
use synod_abi::schema::Schema;
use synod_client::Client;
use synod_client::api::{Consistency, SpaceInfo};

use crate::cli::io::cluster::{Global, schema_of_space};
use crate::cli::io::fail::{Exit, Failed};
use crate::cli::io::output;
use crate::cli::io::table::table;
use crate::cli::values::names::recipe_text;
use crate::cli::values::time::utc;
use crate::cli::values::token::SessionName;
use crate::cli::values::units::hex;

/// The query, and what it takes.
const QUERY: &str = "who";
const BY_NAME: &str = "name";
const BY_SESSION: &str = "session";

/// Flags of `synod who`.
#[derive(Args, Clone, Debug)]
pub(crate) struct WhoArgs {
    /// The name of a lock, an election or whatever else recipes hold; or a session, by its id of 32
    /// hexadecimal digits or by its token.
    #[arg(value_name = "NAME|SESSION")]
    subject: String,
}

/// What one call holds or waits for, as a recipe tells it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct Claimed {
    name: String,
    session: String,
    owner: String,
    since: Number,
    token: Option<Number>,
}

/// A u64 in a recipe's JSON, which is text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
struct Number(u64);

impl TryFrom<String> for Number {
    type Error = std::num::ParseIntError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse().map(Self)
    }
}

/// Asks the spaces and shows what they answer.
pub(crate) async fn run(WhoArgs { subject }: WhoArgs, global: &Global) -> Result<(), Failed> {
    let client = global.client().await?;
    let session: Option<SessionName> = subject.parse().ok();
    let (spaces, asked) = match session {
        Some(SessionName(id)) => {
            let called: BTreeSet<String> =
                client.describe_session(SessionId(id)).await?.spaces.into_iter().collect();
            let mut spaces = client.list_spaces().await?;
            spaces.retain(|space| called.contains(&space.name));
            (spaces, json!({ BY_SESSION: hex(&id) }))
        }
        None => (client.list_spaces().await?, json!({ BY_NAME: subject })),
    };
    let mut found = Vec::new();
    for space in asked_spaces(&client, spaces).await? {
        let answer = client.query_json(&space, QUERY, &asked.to_string(), Consistency::Linearizable).await?;
        let claims: Vec<Claimed> = serde_json::from_str(&answer.value).map_err(|error| {
            let why = format!("`{QUERY}` of the space {space} answers what cannot be read: {error}");
            Failed::new(Exit::Internal, why).next("see `who` of the recipe lock for what it is to answer")
        })?;
        found.extend(claims.into_iter().map(|claim| (space.clone(), claim)));
    }
    let json: Value = found.iter().map(|(space, claim)| to_json(space, claim)).collect();
    output::answer(global.output, &json, || text(&subject, &found))
}

/// The names of those of `spaces` that can be asked.
async fn asked_spaces(client: &Client, spaces: Vec<SpaceInfo>) -> Result<Vec<String>, Failed> {
    let mut known: BTreeMap<String, bool> = BTreeMap::new();
    let mut asked = Vec::new();
    for space in spaces {
        let recipe = recipe_text(space.recipe.as_ref());
        let can_be_asked = match known.get(&recipe) {
            Some(known) => *known,
            None => {
                let can_be_asked = can_be_asked(&schema_of_space(client, &space.name).await?);
                known.insert(recipe, can_be_asked);
                can_be_asked
            }
        };
        if can_be_asked {
            asked.push(space.name);
        }
    }
    Ok(asked)
}

fn can_be_asked(schema: &Schema) -> bool {
    schema.query(QUERY).is_some_and(|query| {
        let names: Vec<&str> = query.args.iter().map(|field| field.name.as_str()).collect();
        names == [BY_NAME, BY_SESSION]
    })
}

fn to_json(space: &str, claim: &Claimed) -> Value {
    json!({
        "space": space,
        "name": claim.name,
        "session_id": claim.session,
        "owner": claim.owner,
        "since_ms": claim.since.0,
        "holds": claim.token.is_some(),
        "token": claim.token.map(|token| token.0),
    })
}

fn text(subject: &str, found: &[(String, Claimed)]) -> String {
    if found.is_empty() {
        return format!("nobody holds or waits for anything by the name or session {subject}");
    }
    let rows = found.iter().map(|(space, claim)| {
        [
            space.clone(),
            claim.name.clone(),
            if claim.token.is_some() { "holds" } else { "waits" }.to_owned(),
            claim.token.map_or_else(String::new, |token| token.0.to_string()),
            utc(claim.since.0),
            claim.session.clone(),
            claim.owner.clone(),
        ]
    });
    table(["SPACE", "NAME", "DOES", "TOKEN>", "SINCE", "SESSION", "OWNER"], rows)
}

#[cfg(test)]
mod tests;
