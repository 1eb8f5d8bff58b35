//! An operator at work while others call: it moves the space of counters to later versions of its
//! recipe, removes and installs versions, calls a recipe that misbehaves, and creates, upgrades and
//! deletes spaces of its own.
use std::sync::Arc;
use std::time::Duration;

use synod_abi::Fault;
use synod_service::{Reason, Rejected};

use crate::client::{Failed, SimClient};
use crate::finding::Check;
use crate::modules::{HOSTILE, Modules, UPGRADED, VERSIONS};

/// Longest pause between two tasks.
const PAUSE: Duration = Duration::from_millis(1_500);
/// Additions to a space that is deleted then.
const ADDITIONS: u64 = 4;

/// Operations of the recipe that misbehaves: name, arguments, and the fault that each must end
/// with; no fault: the recipe's own error.
const MISDEEDS: [(&str, &str, Option<Fault>); 4] = [
    ("panic", "", Some(Fault::Panic)),
    ("recurse", r#"{"depth": 1}"#, Some(Fault::TooDeep)),
    ("store", r#"{"key_bytes": 5000, "bytes": 1}"#, Some(Fault::KeyTooLong)),
    ("refuse", "", None),
];
/// The same, using up what a call may use, which takes this host long.
const EXCESSES: [(&str, &str, Option<Fault>); 2] =
    [("write", "", Some(Fault::TooManyWrites)), ("spin", "", Some(Fault::OutOfFuel))];
/// How many of a thousand misdeeds are excesses.
const EXCESSES_PER_MILLE: u64 = 100;

/// Does one task after the other, for ever. The successor of an operator that died begins with new
/// spaces.
pub async fn run(client: SimClient, modules: Arc<Modules>) {
    while client.install(modules.hostile(), true).await.is_err() {
        client.pause().await;
    }
    for version in 2..=VERSIONS {
        reinstall(&client, &modules, version).await;
    }
    loop {
        match client.draw(|dice| dice.below(8)) {
            0 => upgrade(&client, &modules).await,
            1 => forget(&client, &modules).await,
            2..5 => come_and_go(&client).await,
            _ => {
                misbehave(&client).await;
                remember(&client).await;
            }
        }
        let pause = client.draw(|dice| dice.duration(Duration::ZERO, PAUSE));
        client.process().sleep(pause).await;
    }
}

fn version(client: &SimClient) -> u32 {
    client.draw(|dice| dice.between(1, VERSIONS.into())) as u32
}

fn unexpected(client: &SimClient, what: &str, rejected: &Rejected) {
    let (reason, message) = (rejected.reason, &rejected.message);
    client.observer().found(Check::Witness, format!("{what} was refused, {reason:?}: {message}"));
}

async fn reinstall(client: &SimClient, modules: &Modules, version: u32) {
    match client.install(modules.upgraded(version), false).await {
        Ok(()) => client.observer().count("recipe installed"),
        Err(Failed::NotDone | Failed::Unknown) => {}
        Err(Failed::Rejected(rejected)) => unexpected(client, "an installation", &rejected),
    }
}

/// A move back is refused, and so is one to a version that was removed.
async fn upgrade(client: &SimClient, modules: &Modules) {
    let to = version(client);
    match client.upgrade_space(UPGRADED, to).await {
        Ok(()) => client.observer().count("space upgraded"),
        Err(Failed::NotDone | Failed::Unknown) => {}
        Err(Failed::Rejected(rejected)) => match rejected.reason {
            Reason::IncompatibleUpgrade => {}
            Reason::UnknownRecipe => reinstall(client, modules, to).await,
            _ => unexpected(client, "an upgrade", &rejected),
        },
    }
}

/// Removing a version in use is refused.
async fn forget(client: &SimClient, modules: &Modules) {
    let version = version(client);
    match client.remove_recipe(UPGRADED, version).await {
        Ok(()) => {
            client.observer().count("recipe forgotten");
            reinstall(client, modules, version).await;
        }
        Err(Failed::NotDone | Failed::Unknown) => {}
        Err(Failed::Rejected(rejected))
            if matches!(rejected.reason, Reason::RecipeInUse | Reason::UnknownRecipe) => {}
        Err(Failed::Rejected(rejected)) => unexpected(client, "forgetting a recipe", &rejected),
    }
}

/// Creates a space and deletes it, twice under one name: the second is empty. Stops after the first
/// request of unknown outcome, which may still take effect.
async fn come_and_go(client: &SimClient) {
    let name = format!("scratch-{}", client.stamp());
    for _ in 0..2 {
        match live(client, &name).await {
            Ok(()) => client.observer().count("space deleted"),
            Err(Failed::NotDone | Failed::Unknown) => return,
            Err(Failed::Rejected(rejected)) if rejected.reason == Reason::UnknownRecipe => return,
            Err(Failed::Rejected(rejected)) => return unexpected(client, "a space's life", &rejected),
        }
    }
}

/// The life of a space: it counts from 1, goes on after an upgrade, and is deleted.
async fn live(client: &SimClient, space: &str) -> Result<(), Failed> {
    let first = version(client);
    let later = client.draw(|dice| dice.between(first.into(), VERSIONS.into())) as u32;
    client.create_space(space, UPGRADED, first).await?;
    for due in 1..=ADDITIONS {
        if due == ADDITIONS / 2 {
            client.upgrade_space(space, later).await?;
            client.observer().count("space upgraded");
        }
        add(client, space, due).await?;
    }
    client.delete_space(space).await
}

async fn add(client: &SimClient, space: &str, due: u64) -> Result<(), Failed> {
    let sum = client.call_json(space, "add", r#"{"key": "n", "by": 1}"#).await?;
    if sum != format!("\"{due}\"") {
        let what = format!("{space}: {sum} after {due} additions of 1");
        client.observer().found(Check::Witness, what);
    }
    Ok(())
}

/// A call must not see memory of earlier calls, nor of one that failed.
async fn remember(client: &SimClient) {
    match client.call_json(HOSTILE, "count_calls", "").await {
        Ok(calls) if calls == "\"0\"" => client.observer().count("call of a fresh instance"),
        Ok(calls) => {
            client.observer().found(Check::Witness, format!("an instance remembers {calls} calls"));
        }
        Err(Failed::NotDone | Failed::Unknown) => {}
        Err(Failed::Rejected(rejected)) => unexpected(client, "a call", &rejected),
    }
}

/// A call that fails must end with its fault and leave no row.
async fn misbehave(client: &SimClient) {
    let (operation, args, fault) = client.draw(|dice| {
        let misdeeds: &[_] = if dice.happens(EXCESSES_PER_MILLE) { &EXCESSES } else { &MISDEEDS };
        *dice.pick(misdeeds)
    });
    match client.call_json(HOSTILE, operation, args).await {
        Err(Failed::NotDone | Failed::Unknown) => {}
        Err(Failed::Rejected(rejected)) if rejected.fault == fault => {
            client.observer().count("call that failed");
        }
        Err(Failed::Rejected(rejected)) => unexpected(client, operation, &rejected),
        Ok(answer) => {
            client.observer().found(Check::Witness, format!("{operation} answered {answer}"));
        }
    }
    match client.query_json(HOSTILE, "rows").await {
        Ok(rows) if rows != "0" => {
            client.observer().found(Check::Witness, format!("calls that failed left {rows} rows"));
        }
        Ok(_) | Err(Failed::NotDone | Failed::Unknown) => {}
        Err(Failed::Rejected(rejected)) => unexpected(client, "a query", &rejected),
    }
}
