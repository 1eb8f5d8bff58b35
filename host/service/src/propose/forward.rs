//! How a follower hands its commands to the leader: frames on one ordered link per term, and the
//! leader's end of it.
//!
//! Every command sent in a term has a position, counted from 1. The leader takes positions in their
//! order, each once, and remembers the last one, also when a link breaks: its welcome on the next
//! link names it. A newer link of the same follower ends the older one, whose late frames are then
//! refused. With [`ToFollower::Dropped`] the leader reports commands that it took and will surely
//! not propose; everything else the follower learns from its own apply.
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use serde::{Deserialize, Serialize};
use synod_abi::{MemberId, decode, encode, limits};

use super::ledger::{Link, Taken};
use super::packing::{COMMAND_BYTES, FACTS_BYTES, Packed};
use super::proposer::{Proposer, Shared};
use crate::ports::{ForwardLink, Monotonic, Runtime};

/// Largest frame on a link; the transport's message limit is to be larger.
pub const FORWARD_FRAME_BYTES: usize =
    limits::ENTRY_BYTES + COMMAND_BYTES + limits::ENTRY_COMMANDS * FACTS_BYTES;

/// A frame of the follower. Append-only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ToLeader {
    Hello { member: MemberId, incarnation: u64, term: u64 },
    Commands { first_position: u64, commands: Vec<ForwardedCommand> },
}

/// A command on its way to the leader.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ForwardedCommand {
    /// How long its client still waits.
    pub(crate) wait_ms: u64,
    pub(crate) packed: Packed,
}

/// A frame of the leader. Append-only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ToFollower {
    Welcome { received: u64 },
    WrongTerm { term: u64 },
    Dropped { commands: Vec<(u64, DropReason)> },
}

/// Why the leader will surely not propose a command that it took.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum DropReason {
    /// It no longer leads the term.
    NotLeading,
    /// Its client no longer waits.
    Expired,
    /// This leader's version cannot read it.
    Unreadable,
}

/// Why a link was ended by the leader.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForwardError {
    /// The other side does not speak this protocol, or lost frames.
    #[error("a forwarding link is ended: {0}")]
    Protocol(&'static str),
}

/// Serves the leader's end of a follower's link until it ends.
pub(crate) async fn serve(
    proposer: &Proposer,
    runtime: &impl Runtime,
    link: ForwardLink,
) -> Result<(), ForwardError> {
    let shared = proposer.shared();
    let ForwardLink { mut outgoing, mut incoming } = link;
    let Some(first) = incoming.next().await else { return Ok(()) };
    let Some(ToLeader::Hello { member, incarnation, term }) = read(&first) else {
        return Err(ForwardError::Protocol("its first frame is not a greeting"));
    };
    let opened = shared.ledger().open_link(member, incarnation, term);
    let (link, received) = match opened {
        Ok(opened) => opened,
        Err(leading) => {
            let _ = outgoing.send(encode(&ToFollower::WrongTerm { term: leading }).into()).await;
            return Ok(());
        }
    };
    if outgoing.send(encode(&ToFollower::Welcome { received }).into()).await.is_err() {
        return Ok(());
    }
    loop {
        let event = poll_fn(|cx| {
            if link.signal.poll_raised(cx).is_ready() {
                return Poll::Ready(Event::Notice);
            }
            incoming.poll_next_unpin(cx).map(Event::Frame)
        })
        .await;
        match event {
            Event::Notice => {
                let Some(commands) = shared.ledger().take_dropped(&link) else { return Ok(()) };
                if !commands.is_empty()
                    && outgoing.send(encode(&ToFollower::Dropped { commands }).into()).await.is_err()
                {
                    return Ok(());
                }
            }
            Event::Frame(None) => return Ok(()),
            Event::Frame(Some(frame)) => {
                let Some(ToLeader::Commands { first_position, commands }) = read(&frame) else {
                    return Err(ForwardError::Protocol("a frame cannot be read"));
                };
                if !take(shared, &link, first_position, commands, runtime.now()).await? {
                    return Ok(());
                }
            }
        }
    }
}

enum Event {
    Notice,
    Frame(Option<Bytes>),
}

pub(super) fn read(frame: &[u8]) -> Option<ToLeader> {
    if frame.len() > FORWARD_FRAME_BYTES {
        return None;
    }
    decode(frame).ok()
}

/// Queues the commands of a frame, waiting for room; whether the link goes on.
async fn take(
    shared: &Shared,
    link: &Link,
    first_position: u64,
    commands: Vec<ForwardedCommand>,
    now: Monotonic,
) -> Result<bool, ForwardError> {
    let mut position = first_position;
    for ForwardedCommand { wait_ms, packed } in commands {
        let packed = Some(packed).filter(|packed| link.is_of(packed.origin) && packed.is_readable());
        let deadline = now.after(Duration::from_millis(wait_ms));
        loop {
            let taken = shared.ledger().take_forwarded(link, position, packed.as_ref(), deadline);
            match taken {
                Taken::Queued | Taken::Duplicate => break,
                Taken::Ended => return Ok(false),
                Taken::Gap => {
                    return Err(ForwardError::Protocol("commands are missing before the ones received"));
                }
                Taken::Full(room) => {
                    shared.signal.raise();
                    let _ = room.await;
                }
            }
        }
        position = position.saturating_add(1);
    }
    shared.signal.raise();
    Ok(true)
}

#[cfg(test)]
mod tests;
