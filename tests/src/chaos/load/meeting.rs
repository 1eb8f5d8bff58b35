//! Clients that wait for each other: a call that waits until another one comes, each in a session.
//! Both are answered once, and not before both came.
use std::time::Duration;

use synod_client::{Client, Error, Session};

use super::{Desk, Effect, MEETINGS, PAUSE};
use crate::recipes;

const TTL: Duration = Duration::from_secs(8);
/// How long one waits for the other, who may have lost its session.
const WAITS_MS: u64 = 3_000;
/// Who meets.
pub(in crate::chaos) const PARTIES: u32 = 2;

/// A meeting to which one came first and another later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::chaos) struct Meeting {
    pub(in crate::chaos) key: String,
    /// How many were there, as the first was told.
    pub(in crate::chaos) first: Result<u32, Effect>,
    /// When it was.
    pub(in crate::chaos) told: u64,
    /// When the other came.
    pub(in crate::chaos) came: u64,
    /// How many were there, as the other was told.
    pub(in crate::chaos) second: Result<u32, Effect>,
}

pub(super) async fn run(desk: Desk) -> Vec<Meeting> {
    let mut meetings = Vec::new();
    let mut dice = desk.dice();
    let mut count = 0;
    while let Some(one) = desk.session(TTL).await {
        let Some(other) = desk.session(TTL).await else { break };
        while !desk.stops() && !one.is_lost() && !other.is_lost() {
            let key = format!("{}-{count}", desk.number);
            count += 1;
            let late = Duration::from_millis(dice.below(20));
            let second = async {
                tokio::time::sleep(late).await;
                let came = desk.now();
                (came, enter(&other, &key).await)
            };
            let first = async { (enter(&one, &key).await, desk.now()) };
            let ((first, told), (came, second)) = tokio::join!(first, second);
            if first.is_err() || second.is_err() {
                tokio::time::sleep(PAUSE).await;
            }
            meetings.push(Meeting { key, first, told, came, second });
        }
        let _expire = tokio::join!(one.close(), other.close());
    }
    meetings
}

async fn enter(session: &Session, key: &str) -> Result<u32, Effect> {
    let arguments = format!(r#"{{"key": "{key}", "parties": {PARTIES}}}"#);
    match session.call_json_waiting(MEETINGS, "enter", &arguments, Some(WAITS_MS)).await {
        Ok(answer) => Ok(answer.value.trim_matches('"').parse().expect("a number of who is there")),
        Err(Error::WaitTimeout) => Err(Effect::Never),
        Err(error) => Err(error.into()),
    }
}

/// Installs a newer version of the recipe, and moves its space to it.
pub(in crate::chaos) async fn upgrade(client: &Client) -> Result<(), Error> {
    let version = 2;
    client.install_recipe(recipes::install_as(MEETINGS, version)).await?;
    client.upgrade_space(MEETINGS, version).await?;
    Ok(())
}
