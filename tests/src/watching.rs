//! The watch stream as another language sees it: one member's generated stubs, without the client
//! library, so that what the library makes of it is checked by something else.
use std::collections::VecDeque;

use synod_abi::Revision;
use synod_api::v1::create_watch::Start;
use synod_api::v1::spaces_client::SpacesClient;
use synod_api::v1::watch_request::Request;
use synod_api::v1::watch_update::Update;
use synod_api::v1::{
    CancelWatch, CreateWatch, Event, EventForm, RequestProgress, WatchReply, WatchRequest, WatchUpdate,
    value::Form,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use crate::cluster::PATIENCE;

/// An event, as the log has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Logged {
    /// Revision of the command that emitted it.
    pub revision: Revision,
    /// Counts the events of the space in that revision.
    pub number: u32,
    /// Its topic.
    pub topic: String,
    /// Its payload, in postcard.
    pub payload: Vec<u8>,
}

/// A stream of watches to one member.
#[derive(Debug)]
pub struct WatchStream {
    requests: mpsc::Sender<WatchRequest>,
    replies: Streaming<WatchReply>,
    updates: VecDeque<WatchUpdate>,
}

/// A watch of `topic`, or with `prefix` of all that begin with it, whose payloads come as postcard.
pub fn create(watch_id: u64, space: &str, topic: &str, prefix: bool) -> CreateWatch {
    let (space, topic) = (space.to_owned(), topic.to_owned());
    let mut create = CreateWatch { watch_id, space, topic, prefix, ..CreateWatch::default() };
    create.set_form(EventForm::Postcard);
    create
}

/// The same from a revision on.
pub fn create_from(watch_id: u64, space: &str, topic: &str, prefix: bool, revision: u64) -> CreateWatch {
    CreateWatch { start: Some(Start::FromRevision(revision)), ..create(watch_id, space, topic, prefix) }
}

/// An event as the log has it.
///
/// # Panics
/// When its payload is not postcard.
pub fn logged(event: &Event) -> Logged {
    let Some(Form::Postcard(payload)) = event.payload.as_ref().and_then(|value| value.form.clone()) else {
        panic!("the payload of {event:?} is not postcard")
    };
    Logged {
        revision: Revision(event.revision),
        number: event.number,
        topic: event.topic.clone(),
        payload: payload.to_vec(),
    }
}

impl WatchStream {
    /// Opens a stream to the member that serves clients at `address`.
    ///
    /// # Errors
    /// What the transport says.
    pub async fn open(address: &str) -> Result<Self, Status> {
        let unavailable = |error: tonic::transport::Error| Status::unavailable(error.to_string());
        let mut client = SpacesClient::connect(format!("http://{address}")).await.map_err(unavailable)?;
        let (requests, outgoing) = mpsc::channel(64);
        let replies = client.watch(ReceiverStream::new(outgoing)).await?.into_inner();
        Ok(Self { requests, replies, updates: VecDeque::new() })
    }

    /// Sends any request. If the member has ended the stream, [`next`](Self::next) tells.
    pub async fn send(&self, request: Request) {
        let _ended = self.requests.send(WatchRequest { request: Some(request) }).await;
    }

    /// Sends a request that asks for nothing.
    pub async fn send_empty(&self) {
        let _ended = self.requests.send(WatchRequest { request: None }).await;
    }

    /// Begins a watch.
    pub async fn create(&self, create: CreateWatch) {
        self.send(Request::Create(create)).await;
    }

    /// Ends a watch.
    pub async fn cancel(&self, watch_id: u64) {
        self.send(Request::Cancel(CancelWatch { watch_id })).await;
    }

    /// Asks for a progress mark.
    pub async fn request_progress(&self) {
        self.send(Request::Progress(RequestProgress {})).await;
    }

    /// The next update: of which watch, and what.
    ///
    /// # Errors
    /// The status that ended the stream; `Cancelled` without a message if the member ended it in
    /// order.
    ///
    /// # Panics
    /// When none comes in time.
    pub async fn next(&mut self) -> Result<(u64, Update), Status> {
        loop {
            if let Some(WatchUpdate { watch_id, update }) = self.updates.pop_front() {
                return Ok((watch_id, update.expect("an update says what it is")));
            }
            let reply = tokio::time::timeout(PATIENCE, self.replies.message())
                .await
                .expect("an update comes in time")?;
            self.updates = reply.ok_or_else(|| Status::cancelled(""))?.updates.into();
        }
    }

    /// The next update of a watch, progress marks passed over.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    ///
    /// # Panics
    /// As [`next`](Self::next).
    pub async fn next_of(&mut self, watch_id: u64) -> Result<Update, Status> {
        loop {
            let (of, update) = self.next().await?;
            if of == watch_id {
                return Ok(update);
            }
        }
    }
}
