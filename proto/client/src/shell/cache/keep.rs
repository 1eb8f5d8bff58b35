//! The task that keeps a cache: it reads the watch, folds events or asks the query again, and
//! starts over when events that it missed are compacted.
use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use synod_api::v1::{Consistency, Context, QueryReply};
use tokio::sync::watch;

use super::{Cache, CacheBuilder, Held, Keeper, Shared};
use crate::shell::client::Client;
use crate::shell::watch::{Begun, Form, Watch, WatchItem};
use crate::{Error, WatchError};

type Asking = Pin<Box<dyn Future<Output = Result<QueryReply, Error>> + Send>>;

pub(super) async fn open<F: Form, T: Send + Sync + 'static>(
    plan: CacheBuilder<F, T>,
) -> Result<Cache<T>, WatchError> {
    let (begun, watch) = begin(&plan, 0).await?;
    let held = Held {
        value: Arc::new((plan.read)(begun.result)?),
        revision: begun.revision,
        as_of: begun.revision,
        stale: false,
        observer: watch.observer(),
        over: None,
    };
    let shared =
        Arc::new(Shared { held: held.into(), values: watch::Sender::new(0), news: watch::Sender::new(0) });
    let task = tokio::spawn(keep(plan, Arc::clone(&shared), watch));
    let values = shared.values.subscribe();
    Ok(Cache { shared, values, _keeper: Arc::new(Keeper(task.abort_handle())) })
}

async fn begin<F: Form, T>(
    plan: &CacheBuilder<F, T>,
    at_least: u64,
) -> Result<(Begun, Watch<F>), WatchError> {
    plan.watch.clone().begin_with(&plan.query, plan.args.clone(), at_least).await
}

/// Runs until the cache can no longer be kept.
async fn keep<F: Form, T: Send + Sync + 'static>(
    plan: CacheBuilder<F, T>,
    shared: Arc<Shared<T>>,
    watch: Watch<F>,
) {
    let mut watch = watch;
    let why = loop {
        match follow(&plan, &shared, &mut watch).await {
            WatchError::Compacted { .. } => {}
            why => break why,
        }
        match start_over(&plan, &shared).await {
            Ok(fresh) => watch = fresh,
            Err(why) => break why,
        }
    };
    tracing::debug!(%why, space = plan.watch.space(), "a cache is not kept up to date any more");
    shared.change(|held| {
        held.over = Some(why);
        true
    });
}

/// Follows the watch until it ends; returns why.
async fn follow<F: Form, T: Send + Sync + 'static>(
    plan: &CacheBuilder<F, T>,
    shared: &Shared<T>,
    watch: &mut Watch<F>,
) -> WatchError {
    let mut asking: Option<Asking> = None;
    let mut wanted = 0;
    let mut failures = 0;
    loop {
        tokio::select! {
            item = watch.next() => match item {
                Ok(Some(item)) => {
                    let revision = item.revision();
                    let asks = hear(plan, shared, item);
                    if asks {
                        wanted = revision;
                        asking.get_or_insert_with(|| ask(plan, revision, 0));
                    }
                }
                Ok(None) => return Error::Internal("the watch has ended".into()).into(),
                Err(why) => return why,
            },
            reply = answered(&mut asking) => {
                asking = None;
                match reply {
                    Ok(reply) => {
                        failures = 0;
                        let revision = reply.header.as_ref().map_or(0, |header| header.revision);
                        let value = match (plan.read)(reply.result) {
                            Ok(value) => value,
                            Err(error) => return error.into(),
                        };
                        read(shared, value, revision, revision >= wanted, watch.revision());
                    }
                    Err(Error::Unavailable(why)) => {
                        tracing::debug!(why, "a cache could not ask its query again yet");
                        failures += 1;
                    }
                    Err(error) => return error.into(),
                }
                if shared.held().stale {
                    asking = Some(ask(plan, wanted, pause_ms(plan.watch.client(), failures)));
                }
            }
        }
    }
}

/// Takes in an item of the watch. Returns whether to ask the query again.
fn hear<F: Form, T>(plan: &CacheBuilder<F, T>, shared: &Shared<T>, item: WatchItem<F::Payload>) -> bool {
    let mut asks = false;
    shared.change(|held| match (item, &plan.fold) {
        (WatchItem::Progress { revision, .. }, _) => {
            if !held.stale {
                held.as_of = held.as_of.max(revision);
            }
            false
        }
        (WatchItem::Events { revision, .. }, _) if revision <= held.revision => false,
        (WatchItem::Events { revision, events, .. }, Some(fold)) => {
            for event in &events {
                fold(&mut held.value, event);
            }
            held.revision = revision;
            held.as_of = revision;
            true
        }
        (WatchItem::Events { .. }, None) => {
            held.stale = true;
            asks = true;
            false
        }
    });
    asks
}

/// Takes in the query's answer from the state of `revision`. `current`: it includes every event
/// that the watch delivered; `told` is the watch's revision.
fn read<T>(shared: &Shared<T>, value: T, revision: u64, current: bool, told: u64) {
    shared.change(|held| {
        if revision < held.revision {
            return false;
        }
        held.value = Arc::new(value);
        held.revision = revision;
        held.as_of = held.as_of.max(revision);
        if current {
            held.stale = false;
            held.as_of = held.as_of.max(told);
        }
        true
    });
}

/// Asks the query after a pause: any member whose state has at least `revision` will do.
fn ask<F: Form, T>(plan: &CacheBuilder<F, T>, revision: u64, pause_ms: u64) -> Asking {
    let (client, space) = (plan.watch.client().clone(), plan.watch.space().to_owned());
    let (query, args) = (plan.query.clone(), plan.args.clone());
    Box::pin(async move {
        if pause_ms > 0 {
            tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        }
        let context = Context { at_least_revision: revision, ..Context::default() };
        client.query_in(context, &space, &query, args, Consistency::Serializable).await
    })
}

fn pause_ms(client: &Client, failures: u32) -> u64 {
    if failures == 0 {
        return 0;
    }
    client.options().policy.backoff.delay_ms(failures, client.jitter())
}

async fn answered(asking: &mut Option<Asking>) -> Result<QueryReply, Error> {
    match asking {
        Some(asking) => asking.await,
        None => pending().await,
    }
}

/// Reads the state again, not older than what is held, and watches from there.
async fn start_over<F: Form, T: Send + Sync + 'static>(
    plan: &CacheBuilder<F, T>,
    shared: &Shared<T>,
) -> Result<Watch<F>, WatchError> {
    let mut failures = 0;
    loop {
        let as_of = shared.held().as_of;
        let (begun, watch) = match begin(plan, as_of).await {
            Ok(begun) => begun,
            Err(WatchError::Failed(Error::Unavailable(why))) => {
                tracing::debug!(why, "a cache could not start over yet");
                failures += 1;
                let pause_ms = pause_ms(plan.watch.client(), failures);
                tokio::time::sleep(Duration::from_millis(pause_ms)).await;
                continue;
            }
            Err(why) => return Err(why),
        };
        let value = (plan.read)(begun.result)?;
        shared.held().observer = watch.observer();
        read(shared, value, begun.revision, true, watch.revision());
        return Ok(watch);
    }
}
