//! Which events a watch is to deliver, from where on and in which form.
use std::fmt::Display;
use std::future::{Future, poll_fn};
use std::marker::PhantomData;
use std::time::Duration;

use prost::Message;
use synod_abi::{EventPayload, RawQuery, TopicFilter};
use synod_api::v1::{Context, CreateWatch, Value, WatchQuery, value::Form as ValueForm};

use super::form::{Form, Json, Postcard, Typed};
use super::shared::{Begun, Shared};
use super::{Handle, Watch};
use crate::core::{Begin, Trouble};
use crate::error::{json_of, postcard_of};
use crate::shell::client::{Answer, Client};
use crate::shell::one_query::{self, OneQuery};
use crate::shell::trouble::check_size;
use crate::{Error, WatchError};

/// Asks for a watch: see [`Client::watch`].
#[must_use = "nothing is watched before `open`"]
pub struct WatchBuilder<F: Form> {
    client: Client,
    space: String,
    filter: TopicFilter,
    from: Begin,
    form: PhantomData<fn() -> F>,
}

impl<F: Form> Clone for WatchBuilder<F> {
    fn clone(&self) -> Self {
        Self {
            client: self.client.clone(),
            space: self.space.clone(),
            filter: self.filter.clone(),
            from: self.from,
            form: PhantomData,
        }
    }
}

impl Client {
    /// Watches the events of a space: by default those of every topic, from now on, with their
    /// payloads as JSON.
    ///
    /// ```no_run
    /// # async fn example(synod: synod_client::Client) -> Result<(), synod_client::WatchError> {
    /// use synod_client::WatchItem;
    ///
    /// let mut watch = synod.watch("kv").prefix("config/").open().await?;
    /// while let Some(item) = watch.next().await? {
    ///     if let WatchItem::Events { revision, events, .. } = item {
    ///         for event in events {
    ///             println!("{revision} {}: {}", event.topic, event.payload);
    ///         }
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn watch(&self, space: &str) -> WatchBuilder<Json> {
        let filter = TopicFilter::all();
        WatchBuilder {
            client: self.clone(),
            space: space.to_owned(),
            filter,
            from: Begin::Now,
            form: PhantomData,
        }
    }
}

impl<F: Form> WatchBuilder<F> {
    /// Only events of this topic.
    pub fn topic(self, topic: &str) -> Self {
        self.filter(TopicFilter::Exact(topic.to_owned()))
    }

    /// Only events whose topics begin with this.
    pub fn prefix(self, prefix: &str) -> Self {
        self.filter(TopicFilter::Prefix(prefix.to_owned()))
    }

    /// Only events whose topics it matches.
    pub fn filter(self, filter: TopicFilter) -> Self {
        Self { filter, ..self }
    }

    /// From now on: events that were acknowledged before are not delivered, and later ones are.
    pub fn now(self) -> Self {
        Self { from: Begin::Now, ..self }
    }

    /// From this revision on; to resume a watch, the one after [`Watch::revision`].
    pub fn from_revision(self, revision: u64) -> Self {
        Self { from: Begin::Revision(revision), ..self }
    }

    /// From the oldest event that is kept.
    pub fn from_oldest(self) -> Self {
        Self { from: Begin::Oldest, ..self }
    }

    fn form<G: Form>(self) -> WatchBuilder<G> {
        let Self { client, space, filter, from, form: _ } = self;
        WatchBuilder { client, space, filter, from, form: PhantomData }
    }

    /// Payloads as what the space's recipe emits: `T` of its `emits = T`.
    pub fn typed<T: EventPayload>(self) -> WatchBuilder<Typed<T>> {
        self.form()
    }

    /// Payloads as the space's recipe encoded them.
    pub fn postcard(self) -> WatchBuilder<Postcard> {
        self.form()
    }

    /// Begins the watch.
    ///
    /// # Errors
    /// See [`WatchError`]; [`Error::Unavailable`] if no member began it within the policy's time.
    pub async fn open(self) -> Result<Watch<F>, WatchError> {
        let from = self.from;
        let (_begun, watch) = self.begin(from, None).await?;
        Ok(watch)
    }

    /// Runs a query, and watches from the state on that it read: nothing is missed between the
    /// answer and the first event. From where the watch was to begin otherwise does not matter.
    ///
    /// # Errors
    /// As [`open`](Self::open), and those of the query.
    pub async fn open_with_json(
        self,
        query: &str,
        args: &str,
    ) -> Result<(Answer<String>, Watch<F>), WatchError> {
        let args = Value { form: Some(ValueForm::Json(args.to_owned())), signature: 0 };
        let (begun, watch) = self.begin_with(query, args, 0).await?;
        Ok((answer(&begun, json_of(begun.result.clone())?), watch))
    }

    /// The same with a query's arguments and result in postcard; `signature` is that of the query.
    ///
    /// # Errors
    /// As [`open_with_json`](Self::open_with_json).
    pub async fn open_with_raw(
        self,
        query: &str,
        signature: u64,
        args: Vec<u8>,
    ) -> Result<(Answer<Vec<u8>>, Watch<F>), WatchError> {
        let args = Value { form: Some(ValueForm::Postcard(args)), signature };
        let (begun, watch) = self.begin_with(query, args, 0).await?;
        Ok((answer(&begun, postcard_of(begun.result.clone())?), watch))
    }

    /// The same with a query of a typed client, which asks through what it is given and waits for
    /// nothing else: `.open_with(|t| async move { Kv::client(&t, "kv").get("a".into()).await })`.
    ///
    /// # Errors
    /// As [`open_with_json`](Self::open_with_json).
    pub async fn open_with<T, E, A>(
        self,
        query: impl Fn(OneQuery) -> A,
    ) -> Result<(Answer<T>, Watch<F>), WatchError>
    where
        E: Display,
        A: Future<Output = Result<T, E>>,
    {
        let RawQuery { query: name, signature, args, .. } = one_query::asked(&self.space, &query)?;
        let (Answer { value, revision, time_ms, member_id }, watch) =
            self.open_with_raw(name, signature, args).await?;
        let value = one_query::answered(&query, revision, value)?;
        Ok((Answer { value, revision, time_ms, member_id }, watch))
    }

    /// As [`open_with_raw`](Self::open_with_raw), from a state of at least `revision`.
    pub(crate) async fn begin_with(
        self,
        query: &str,
        args: Value,
        revision: u64,
    ) -> Result<(Begun, Watch<F>), WatchError> {
        let at_least_revision = self.client.seen_revision().max(revision);
        let context = Some(Context { at_least_revision, ..Context::default() });
        self.begin(Begin::Query, Some(WatchQuery { query: query.to_owned(), args: Some(args), context }))
            .await
    }

    async fn begin(self, from: Begin, query: Option<WatchQuery>) -> Result<(Begun, Watch<F>), WatchError> {
        let Self { client, space, filter, .. } = self;
        let (topic, prefix) = match filter {
            TopicFilter::Exact(topic) => (topic, false),
            TopicFilter::Prefix(prefix) => (prefix, true),
        };
        let wanted = CreateWatch {
            space,
            topic,
            prefix,
            form: F::FORM as i32,
            signature: F::SIGNATURE,
            ..CreateWatch::default()
        };
        let size = wanted.encoded_len() + query.as_ref().map_or(0, Message::encoded_len);
        if let Err(Trouble::Answered(failure)) = check_size(size) {
            return Err(Error::from(*failure).into());
        }
        let now_ms = client.now_ms();
        let patience = Duration::from_millis(client.end_ms(now_ms).saturating_sub(now_ms));
        let handle = Handle(Shared::begin(client, wanted, from, query));
        let begun = tokio::time::timeout(patience, poll_fn(|cx| handle.0.poll_begun(cx))).await;
        let Ok(begun) = begun else {
            let why = handle.0.trouble().unwrap_or_else(|| "no member began the watch in time".to_owned());
            return Err(handle.0.client.explained(Error::Unavailable(why)).into());
        };
        let begun = begun?;
        let watch = Watch::new(handle, begun.revision);
        Ok((begun, watch))
    }

    /// The client that watches.
    pub(crate) const fn client(&self) -> &Client {
        &self.client
    }

    /// The space that is watched.
    pub(crate) fn space(&self) -> &str {
        &self.space
    }
}

fn answer<T>(begun: &Begun, value: T) -> Answer<T> {
    Answer { value, revision: begun.revision, time_ms: begun.time_ms, member_id: 0 }
}
