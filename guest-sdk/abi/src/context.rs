//! What a recipe is told about the call it runs in: it precedes the arguments in the input buffer,
//! so that reading the time costs no host call.
//!
//! A fixed little-endian layout rather than postcard: the guest reads it without decoding, and its
//! length never depends on its values.
use crate::ids::{Revision, SessionId, Time};

/// Bytes of an encoded [`Context`].
pub const CONTEXT_BYTES: usize = 64;

/// The call's place in the world. The same on every member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// Revision of the command; of a query: that of the state it reads.
    pub revision: Revision,
    /// Cluster time of the entry.
    pub now: Time,
    /// The caller's session, if it has one.
    pub session: Option<SessionId>,
    /// Whether an operation may answer later: only one that a session called directly.
    pub may_wait: bool,
    /// Seed for pseudo-random choices; a different one for each command. Known to every member:
    /// never a secret.
    pub seed: [u8; 16],
}

impl Context {
    /// Layout: revision 0..8, now 8..16, session present 16, may wait 17, zero 18..24, session
    /// 24..40, seed 40..56, zero 56..64.
    pub fn to_bytes(&self) -> [u8; CONTEXT_BYTES] {
        let mut bytes = [0; CONTEXT_BYTES];
        bytes[0..8].copy_from_slice(&self.revision.0.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.now.0.to_le_bytes());
        if let Some(session) = self.session {
            bytes[16] = 1;
            bytes[24..40].copy_from_slice(&session.0);
        }
        bytes[17] = u8::from(self.may_wait);
        bytes[40..56].copy_from_slice(&self.seed);
        bytes
    }

    /// Reads what [`Context::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8; CONTEXT_BYTES]) -> Self {
        let eight = |at: usize| {
            let mut eight = [0; 8];
            eight.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(eight)
        };
        let sixteen = |at: usize| {
            let mut sixteen = [0; 16];
            sixteen.copy_from_slice(&bytes[at..at + 16]);
            sixteen
        };
        Self {
            revision: Revision(eight(0)),
            now: Time(eight(8)),
            session: (bytes[16] == 1).then(|| SessionId(sixteen(24))),
            may_wait: bytes[17] == 1,
            seed: sixteen(40),
        }
    }
}
