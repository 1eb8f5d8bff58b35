//! Watches of the recipe `kv` that go on at another member when one fails.
use std::future::poll_fn;
use std::time::Duration;

use futures::{FutureExt, StreamExt, stream};
use synod_abi::{Revision, TopicFilter};
use synod_checker::watch::{Event, Seen, Start, Stream, Topic, Watch};
use synod_service::watch::{EventForm, WatchId, WatchUpdate};
use synod_service::{NewWatch, WatchStart};

use crate::client::SimClient;
use crate::events::{SPACE, decode_event};
use crate::net::Site;
use crate::peers::NoAnswer;
use crate::record::{Recorder, Records, Watched};
use crate::runtime::within;

const TIMEOUT: Duration = Duration::from_secs(2);
/// A stream that tells nothing for so long is given up.
const SILENCE: Duration = Duration::from_secs(3);

/// Follows for ever.
pub async fn run(client: SimClient, topic_prefix: &'static str, recorder: Recorder) {
    let place = {
        let mut records = recorder.records();
        let watch = Watch {
            name: format!("of c{}", client.number()),
            space: SPACE.to_owned(),
            topic: Topic::Prefix(topic_prefix.to_owned()),
            streams: Vec::new(),
            must_reach: 0,
        };
        records.watches.push(Watched { watch, complete: None, client: Some(client.number()) });
        records.watches.len() - 1
    };
    loop {
        let (id, address) = client.next_member();
        let answer = follow(&client, id, topic_prefix, &recorder, place).await;
        client.avoid(&address, answer);
        client.pause().await;
    }
}

/// Follows on one member, until that fails.
async fn follow(
    client: &SimClient,
    id: synod_abi::MemberId,
    topic_prefix: &str,
    recorder: &Recorder,
    place: usize,
) -> NoAnswer {
    let (here, there) = (client.caller().site, Site::Member(id));
    if client.caller().net.pass(here, there).await.is_err() {
        return NoAnswer::Lost;
    }
    let Some(live) = client.caller().roster.get(id) else { return NoAnswer::Refused };
    let start = begin(&mut recorder.records(), place);
    let filter = TopicFilter::Prefix(topic_prefix.into());
    let new = NewWatch {
        id: WatchId(1),
        space: SPACE.to_owned(),
        filter,
        start,
        form: EventForm::Postcard,
        signature: 0,
        space_id: None,
    };
    let watching = live.member.watch_stream();
    let creating = watching.clone();
    let create = async move { creating.create(new, TIMEOUT).await };
    live.process.spawn(create.boxed());
    let batches = stream::unfold(watching, |watching| async move {
        let batch = poll_fn(|cx| watching.poll_next(cx)).await;
        batch.map(|batch| (batch, watching))
    });
    let mut batches = client.caller().net.carry((there, here), &live.process, batches.boxed());
    drop(live);
    loop {
        match within(client.process(), SILENCE, batches.next()).await {
            None => return NoAnswer::Late,
            Some(None | Some(Err(_))) => return NoAnswer::Lost,
            Some(Some(Ok(batch))) => {
                let watched = &mut recorder.records().watches[place];
                let goes_on = batch.updates.into_iter().all(|update| take(client, update, watched));
                if !goes_on {
                    return NoAnswer::Refused;
                }
            }
        }
    }
}

/// A stream begins: where.
fn begin(records: &mut Records, place: usize) -> WatchStart {
    let acknowledged = records.acknowledged;
    let watched = &mut records.watches[place];
    let (start, told) = match watched.complete {
        None => (WatchStart::Now, Start::Now { acknowledged }),
        Some(complete) => (WatchStart::Revision(Revision(complete + 1)), Start::Revision(complete + 1)),
    };
    watched.watch.streams.push(Stream { start: told, seen: Vec::new() });
    start
}

/// Takes an update in; whether the watch goes on.
fn take(client: &SimClient, update: WatchUpdate, watched: &mut Watched) -> bool {
    let mut reached = |revision: u64| watched.complete = watched.complete.max(Some(revision));
    let seen = match update {
        WatchUpdate::Created { revision, .. } => {
            reached(revision.0);
            Seen::Created { revision: revision.0 }
        }
        WatchUpdate::Events { events, partial, .. } => {
            let events: Vec<Event<Vec<u8>>> = events.iter().map(|event| decode_event(event)).collect();
            events.iter().for_each(|_| client.observer().count("event delivered"));
            if let Some(last) = events.last() {
                reached(if partial { last.revision - 1 } else { last.revision });
            }
            Seen::Events { events, partial }
        }
        WatchUpdate::Progress { revision, .. } => {
            reached(revision.0);
            Seen::Progress { revision: revision.0 }
        }
        WatchUpdate::Cancelled { resume, compacted, .. } => {
            if let Some(through) = compacted {
                client.observer().count("watch told of compaction");
                reached(through.0);
            }
            let of = |revision: Option<Revision>| revision.map(|revision| revision.0);
            Seen::Cancelled { resume: of(resume), compacted: of(compacted) }
        }
    };
    let goes_on = !matches!(seen, Seen::Cancelled { .. });
    watched.watch.streams.last_mut().expect("it has begun").seen.push(seen);
    goes_on
}
