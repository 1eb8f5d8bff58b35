//! Events in a test: what was emitted and is kept, bindings between spaces, and compaction.
//!
//! There are no watches here: what one would deliver is what [`TestHost::events`] returns, in that
//! order. Nobody compacts but the test.
use synod_abi::{EventPayload, Revision, SpaceId, SpaceName, TopicFilter, decode};
use synod_machine::directory::{self, HookFailures};
use synod_machine::events::{self, EventLog, EventPosition};
use synod_machine::{Action, Binding, Fatal, OnFailure, RangeLimit, Reply};

use crate::TestHost;
use crate::host::Inner;

impl<R> TestHost<R> {
    /// Binds the space `handler` to those events of `source` whose topics `filter` wants, written
    /// as on the command line: `config/` and `db*` are prefixes, `*` is all, anything else is one
    /// topic.
    ///
    /// ```
    /// use synod_sdk::prelude::*;
    /// use synod_test::{OnFailure, TestHost};
    ///
    /// /// A door opened.
    /// #[data]
    /// pub struct Opened {
    ///     by: String,
    /// }
    ///
    /// /// Doors.
    /// #[recipe(name = "doors", version = 1, emits = Opened)]
    /// pub struct Doors {}
    ///
    /// #[ops]
    /// impl Doors {
    ///     /// Opens a door.
    ///     #[op]
    ///     fn open(&self, cx: &mut Ctx, door: String, by: String) {
    ///         cx.emit(&door, &Opened { by });
    ///     }
    /// }
    ///
    /// /// Who went through which door last.
    /// #[recipe(name = "porter", version = 1)]
    /// pub struct Porter {
    ///     last: Map<String, String>,
    /// }
    ///
    /// #[ops]
    /// impl Porter {
    ///     #[on_event]
    ///     fn opened(&self, cx: &mut Ctx, event: Event) {
    ///         if let Some(Opened { by }) = event.decode() {
    ///             self.last.put(cx, &event.topic, &by);
    ///         }
    ///     }
    ///
    ///     /// Who went through `door` last.
    ///     #[query]
    ///     fn last(&self, cx: &QueryCtx, door: String) -> Option<String> {
    ///         self.last.get(cx, &door)
    ///     }
    /// }
    ///
    /// let host = TestHost::of::<Doors>();
    /// host.install::<Porter>();
    /// host.bind("porter", "doors", "front", OnFailure::Reject);
    /// host.client().open("front", "ann").unwrap();
    /// host.client().open("back", "bob").unwrap();
    /// let porter = Porter::blocking(&host, "porter");
    /// assert_eq!(porter.last("front").unwrap().as_deref(), Some("ann"));
    /// assert_eq!(porter.last("back").unwrap(), None);
    /// let opened = host.events_of::<Opened>("doors");
    /// assert_eq!(opened[0], ("front".to_string(), Opened { by: "ann".into() }));
    /// assert_eq!(opened.len(), 2);
    /// ```
    pub fn bind(&self, handler: &str, source: &str, filter: &str, on_failure: OnFailure) {
        let bound = self.apply(Action::BindSpace { binding: binding(handler, source, filter), on_failure });
        bound.unwrap_or_else(|rejection| {
            panic!("{handler} cannot be bound to {filter} of {source}: {rejection}")
        });
    }

    /// Takes a binding back.
    pub fn unbind(&self, handler: &str, source: &str, filter: &str) {
        let unbound = self.apply(Action::UnbindSpace { binding: binding(handler, source, filter) });
        unbound.unwrap_or_else(|rejection| {
            panic!("the binding of {handler} to {filter} of {source} cannot be taken back: {rejection}")
        });
    }

    /// The events that the space called `space` keeps, in the order in which a watch delivers them:
    /// revision, number within it, topic, and the payload as it was encoded.
    pub fn events(&self, space: &str) -> Vec<(Revision, u32, String, Vec<u8>)> {
        let inner = self.lock();
        let all = RangeLimit { rows: usize::MAX, bytes: usize::MAX };
        let page = must(events::events(&inner.state, inner.space(space).id, EventPosition::default(), all));
        page.events
            .into_iter()
            .map(|(at, event)| (at.revision, at.number, event.topic, event.payload.0))
            .collect()
    }

    /// The same with their payloads decoded, as topic and payload: `T` is what the space's recipe
    /// emits.
    pub fn events_of<T: EventPayload>(&self, space: &str) -> Vec<(String, T)> {
        let emits = {
            let inner = self.lock();
            must(directory::schema(&inner.state, inner.space(space).module)).and_then(|schema| schema.emits)
        };
        let signature = emits.map(|emits| emits.signature);
        assert!(signature == Some(T::SIGNATURE), "{space} does not emit {}", std::any::type_name::<T>());
        let payload =
            |bytes: &[u8]| decode(bytes).unwrap_or_else(|_| panic!("an event of {space} does not decode"));
        self.events(space).into_iter().map(|(_, _, topic, bytes)| (topic, payload(&bytes))).collect()
    }

    /// How many events the space called `space` keeps, since when, and how much it may.
    pub fn event_log(&self, space: &str) -> EventLog {
        let inner = self.lock();
        must(events::event_log(&inner.state, inner.space(space).id))
    }

    /// Makes the space called `space` forget its events up to and with revision `through`, as a
    /// leader does with what exceeds its retention.
    pub fn compact(&self, space: &str, through: Revision) {
        let id = self.lock().space(space).id;
        loop {
            match self.apply(Action::CompactEvents { space: id, through }) {
                Ok(Reply::Compacted { more: true, .. }) => {}
                Ok(Reply::Compacted { .. }) => return,
                other => panic!("events of {space} cannot be forgotten: {other:?}"),
            }
        }
    }

    /// What failed in the space called `space` and left nothing: hooks, and handlers of bindings
    /// with [`OnFailure::Skip`].
    pub fn hook_failures(&self, space: &str) -> Option<HookFailures> {
        let inner = self.lock();
        must(directory::hook_failures(&inner.state, inner.space(space).id))
    }

    /// Id of the space called `space`, which some actions and rejections name.
    pub fn space_id(&self, space: &str) -> SpaceId {
        self.lock().space(space).id
    }
}

impl Inner {
    /// The space called `name`, which is there.
    pub(crate) fn space(&self, name: &str) -> directory::SpaceRecord {
        must(directory::space(&self.state, &space_name(name)))
            .unwrap_or_else(|| panic!("there is no space {name}; create it first"))
    }
}

fn space_name(name: &str) -> SpaceName {
    SpaceName::new(name).unwrap_or_else(|error| panic!("{name} is no name of a space: {error}"))
}

fn binding(handler: &str, source: &str, filter: &str) -> Binding {
    Binding { handler: space_name(handler), source: space_name(source), filter: TopicFilter::parse(filter) }
}

fn must<T>(read: Result<T, Fatal>) -> T {
    read.unwrap_or_else(|fatal| panic!("the member stopped: {fatal}"))
}
