//! Whose connection it is, and word of its end.
//!
//! When a process ends, however it ends, its kernel closes its connections at once. So the end of a
//! connection is a hint that the member at its other end is gone, long before it is missed. It is
//! no more than a hint: connections also end for other reasons.
use std::sync::OnceLock;

use synod_abi::MemberId;
use tokio::sync::mpsc;

/// Ends of connections that nobody has looked at yet. Beyond that they are forgotten: whoever is
/// gone is missed in time.
const UNSEEN_ENDS: usize = 64;

/// Where the ends of the members' connections are told.
#[derive(Clone, Debug)]
pub(crate) struct Ends(mpsc::Sender<MemberId>);

impl Ends {
    /// With the members whose connections ended, one after another.
    pub(crate) fn new() -> (Self, mpsc::Receiver<MemberId>) {
        let (sender, receiver) = mpsc::channel(UNSEEN_ENDS);
        (Self(sender), receiver)
    }
}

/// Whose a connection is.
#[derive(Debug)]
pub(super) struct Owner {
    member: OnceLock<MemberId>,
    ends: Ends,
}

impl Owner {
    /// Nobody's yet.
    pub(super) fn new(ends: Ends) -> Self {
        Self { member: OnceLock::new(), ends }
    }

    /// The first who says so owns it.
    pub(super) fn is(&self, member: MemberId) {
        self.member.get_or_init(|| member);
    }

    /// It has ended.
    pub(super) fn ended(&self) {
        if let Some(member) = self.member.get() {
            // A full channel is no error: see above.
            let _forgotten = self.ends.0.try_send(*member);
        }
    }
}
