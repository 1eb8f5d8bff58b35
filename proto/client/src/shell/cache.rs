//! A query's result, kept up to date by the events of its space: reads cost nothing, and report how
//! fresh the result is.
//!
//! The result is as fresh as the network: it was true at its revision and may be outdated. A
//! decision that must not rest on outdated data belongs in a recipe or a query. Revisions only
//! grow, whichever member serves the cache.

mod keep;

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use synod_abi::RawQuery;
use synod_api::v1::{Value, value::Form as ValueForm};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::one_query::{self, OneQuery};
use super::watch::{Form, WatchBuilder, WatchEvent, WatchObserver, WatchState};
use crate::error::{json_of, postcard_of};
use crate::{Error, WatchError};

/// [`Cache::wait_for`] asks the member this often how far it is.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// Whether a cache is up to date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheState {
    /// It follows a member, and has received everything up to now.
    Live,
    /// It knows, or must assume, that there is something newer, and is getting it.
    CatchingUp,
    /// It follows no member, and looks for one.
    Disconnected {
        /// Since when.
        since: Instant,
    },
    /// It is no longer kept up to date; [`Cache::changed`] returns why.
    Over,
}

/// What a cache holds at a moment.
#[derive(Debug)]
pub struct Snapshot<T> {
    /// The value.
    pub value: Arc<T>,
    /// The revision that changed it last, or of the state that it was read from.
    pub revision: u64,
    /// Nothing up to this revision has changed it since; at least `revision`.
    pub as_of_revision: u64,
    /// When a member last sent something.
    pub heard_at: Instant,
    /// Whether it is up to date.
    pub state: CacheState,
}

impl<T> Snapshot<T> {
    /// How long no member has sent anything. Without traffic, members send progress marks every few
    /// seconds.
    pub fn age(&self) -> Duration {
        self.heard_at.elapsed()
    }
}

impl<T> Clone for Snapshot<T> {
    fn clone(&self) -> Self {
        Self { value: Arc::clone(&self.value), ..*self }
    }
}

struct Held<T> {
    value: Arc<T>,
    revision: u64,
    as_of: u64,
    /// Whether events came that are not in the value yet.
    stale: bool,
    observer: WatchObserver,
    over: Option<WatchError>,
}

/// What handles and the task that keeps it share.
struct Shared<T> {
    held: Mutex<Held<T>>,
    /// Counts values; `news`: counts all changes, progress marks included.
    values: watch::Sender<u64>,
    news: watch::Sender<u64>,
}

impl<T> Shared<T> {
    fn held(&self) -> MutexGuard<'_, Held<T>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what is held, and notifies waiters; `change` returns whether the value changed.
    fn change(&self, change: impl FnOnce(&mut Held<T>) -> bool) {
        let value_changed = change(&mut self.held());
        if value_changed {
            self.values.send_modify(|count| *count += 1);
        }
        self.news.send_modify(|count| *count += 1);
    }
}

/// Ends the task with the last handle.
struct Keeper(AbortHandle);

impl Drop for Keeper {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A cache. Cheap to clone; each clone is notified of changes on its own.
pub struct Cache<T> {
    shared: Arc<Shared<T>>,
    values: watch::Receiver<u64>,
    _keeper: Arc<Keeper>,
}

impl<T> Clone for Cache<T> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            values: self.values.clone(),
            _keeper: Arc::clone(&self._keeper),
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Cache<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cache").field(&self.get()).finish()
    }
}

impl<T> Cache<T> {
    /// What it holds now, and how fresh that is.
    pub fn get(&self) -> Snapshot<T> {
        let held = self.shared.held();
        let state = match held.observer.state() {
            _ if held.over.is_some() => CacheState::Over,
            WatchState::Live if !held.stale => CacheState::Live,
            WatchState::Disconnected { since } => CacheState::Disconnected { since },
            WatchState::Live | WatchState::CatchingUp | WatchState::Waiting | WatchState::Over => {
                CacheState::CatchingUp
            }
        };
        let heard_at = held.observer.heard_at();
        Snapshot {
            value: Arc::clone(&held.value),
            revision: held.revision,
            as_of_revision: held.as_of,
            heard_at,
            state,
        }
    }

    /// Waits for a value that this handle has not been notified of yet.
    ///
    /// # Errors
    /// Why it is not kept up to date any more.
    pub async fn changed(&mut self) -> Result<(), WatchError> {
        if let Some(why) = self.over() {
            return Err(why);
        }
        let _told = self.values.changed().await;
        self.over().map_or(Ok(()), Err)
    }

    /// Waits until it has everything up to `revision`, such as that of a call whose effect is to be
    /// seen.
    ///
    /// # Errors
    /// Why it is not kept up to date any more.
    pub async fn wait_for(&self, revision: u64) -> Result<Snapshot<T>, WatchError> {
        let mut news = self.shared.news.subscribe();
        loop {
            news.mark_unchanged();
            let observer = {
                let held = self.shared.held();
                if let Some(why) = &held.over {
                    return Err(why.clone());
                }
                held.observer.clone()
            };
            let snapshot = self.get();
            if snapshot.as_of_revision >= revision {
                return Ok(snapshot);
            }
            observer.request_progress();
            let _late = tokio::time::timeout(ASK_EVERY, news.changed()).await;
        }
    }

    fn over(&self) -> Option<WatchError> {
        self.shared.held().over.clone()
    }
}

type Read<T> = Arc<dyn Fn(Option<Value>) -> Result<T, Error> + Send + Sync>;
type Fold<T, P> = Arc<dyn Fn(&mut Arc<T>, &WatchEvent<P>) + Send + Sync>;

/// Asks for a cache: see [`WatchBuilder::cache_json`].
#[must_use = "nothing is kept before `open`"]
pub struct CacheBuilder<F: Form, T> {
    watch: WatchBuilder<F>,
    query: String,
    args: Value,
    read: Read<T>,
    fold: Option<Fold<T, F::Payload>>,
}

impl<F: Form> WatchBuilder<F> {
    /// Keeps the result of a query; `read` makes the value of its JSON. The watch selects the
    /// events that may change it: data that the query reads must emit one of these when it changes.
    /// Where the watch was to begin does not matter.
    ///
    /// ```no_run
    /// # async fn example(synod: synod_client::Client) -> Result<(), synod_client::WatchError> {
    /// let config = synod.watch("kv").prefix("config/");
    /// let args = r#"{"prefix": "config/"}"#;
    /// let cache = config.cache_json("range", args, |json| Ok(json.to_owned())).open().await?;
    /// let config = cache.get();
    /// println!("{} as of revision {}", config.value, config.as_of_revision);
    /// # Ok(())
    /// # }
    /// ```
    pub fn cache_json<T, R>(self, query: &str, args: &str, read: R) -> CacheBuilder<F, T>
    where
        R: Fn(&str) -> Result<T, Error> + Send + Sync + 'static,
    {
        let args = Value { form: Some(ValueForm::Json(args.to_owned())), signature: 0 };
        let read = Arc::new(move |result| read(&json_of(result)?));
        CacheBuilder { watch: self, query: query.to_owned(), args, read, fold: None }
    }

    /// The same with a query of a typed client, which asks through what it is given and waits for
    /// nothing else. What it makes of the answer is the value: `.cache(|t| async move {
    /// Kv::client(&t, "kv").get("a".into()).await })`.
    ///
    /// # Errors
    /// [`Error::Refused`] if it is not one query of the space that is watched.
    pub fn cache<T, E, A, Q>(self, query: Q) -> Result<CacheBuilder<F, T>, Error>
    where
        E: fmt::Display,
        A: Future<Output = Result<T, E>>,
        Q: Fn(OneQuery) -> A + Send + Sync + 'static,
    {
        let RawQuery { query: name, signature, args, .. } = one_query::asked(self.space(), &query)?;
        Ok(self.cache_raw(name, signature, args, move |bytes| one_query::answered(&query, 0, bytes.to_vec())))
    }

    /// The same with a query's arguments and result in postcard; `signature` is that of the query.
    pub fn cache_raw<T, R>(self, query: &str, signature: u64, args: Vec<u8>, read: R) -> CacheBuilder<F, T>
    where
        R: Fn(&[u8]) -> Result<T, Error> + Send + Sync + 'static,
    {
        let args = Value { form: Some(ValueForm::Postcard(args)), signature };
        let read = Arc::new(move |result| read(&postcard_of(result)?));
        CacheBuilder { watch: self, query: query.to_owned(), args, read, fold: None }
    }
}

impl<F: Form, T: Send + Sync + 'static> CacheBuilder<F, T> {
    /// Changes the value by each event, instead of asking the query again. It must make of it what
    /// the query would answer. The value is copied only while somebody holds an older one.
    pub fn fold(self, fold: impl Fn(&mut T, &WatchEvent<F::Payload>) + Send + Sync + 'static) -> Self
    where
        T: Clone,
    {
        let fold: Fold<T, F::Payload> = Arc::new(move |value, event| fold(Arc::make_mut(value), event));
        Self { fold: Some(fold), ..self }
    }

    /// Asks the query, and keeps its result up to date until the last handle is dropped.
    ///
    /// # Errors
    /// As [`WatchBuilder::open_with_json`].
    pub async fn open(self) -> Result<Cache<T>, WatchError> {
        keep::open(self).await
    }
}
