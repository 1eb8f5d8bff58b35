//! Begins watches, and begins them again: one task per client, while there is something to do.
//!
//! All watches of a client go to the member that its router names, over one stream. Watches that
//! lost their member are begun again one after another, over one new connection.
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::shared::Shared;
use crate::shell::client::Client;

#[derive(Default)]
struct Queue {
    /// Watches by when they are due, and the order in which they came.
    due: BTreeMap<(u64, u64), Arc<Shared>>,
    count: u64,
    running: bool,
}

/// The watches that are to begin. Each is in here at most once.
#[derive(Default)]
pub(crate) struct Hub {
    queue: Mutex<Queue>,
    wake: Notify,
}

impl Hub {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a watch in `after_ms`.
    pub(super) fn begin(&self, client: &Client, watch: Arc<Shared>, after_ms: u64) {
        let due_ms = client.now_ms().saturating_add(after_ms);
        let mut queue = self.queue();
        queue.count += 1;
        let key = (due_ms, queue.count);
        queue.due.insert(key, watch);
        if std::mem::replace(&mut queue.running, true) {
            self.wake.notify_one();
        } else {
            tokio::spawn(run(client.clone()));
        }
    }

    /// The next watch that is due, or in how many milliseconds one is; none: the queue is empty,
    /// and the task ends.
    fn next(&self, now_ms: u64) -> Option<Result<Arc<Shared>, u64>> {
        let mut queue = self.queue();
        let Some((key, _)) = queue.due.first_key_value() else {
            queue.running = false;
            return None;
        };
        let (due_ms, _) = *key;
        if due_ms > now_ms {
            return Some(Err(due_ms - now_ms));
        }
        queue.due.pop_first().map(|(_, watch)| Ok(watch))
    }
}

async fn run(client: Client) {
    let hub = client.hub();
    let mut failures = 0_u32;
    while let Some(next) = hub.next(client.now_ms()) {
        let watch = match next {
            Ok(watch) => watch,
            Err(pause_ms) => {
                tokio::select! {
                    () = hub.wake.notified() => {}
                    () = tokio::time::sleep(Duration::from_millis(pause_ms)) => {}
                }
                continue;
            }
        };
        if watch.is_over() {
            continue;
        }
        let (address, link) = client.nearest_link().await;
        let begun = match link {
            Ok(link) => {
                let lane = link.watches(&client, &address);
                lane.permit().await.map(|permit| watch.start(&lane, permit))
            }
            Err(trouble) => {
                watch.unreachable(client.noted(&address, trouble).why());
                None
            }
        };
        if begun.is_some() {
            failures = 0;
            continue;
        }
        hub.begin(&client, watch, 0);
        failures = failures.saturating_add(1);
        let pause_ms = client.options().policy.backoff.delay_ms(failures, client.jitter());
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
    }
}
