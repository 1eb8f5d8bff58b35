//! The head of the machine: the one row of numbers and digests that every entry writes.
//!
//! It carries what the machine knows beside its rows, so that a member that restarts counts on from
//! there. Reading it decides nothing.
use alloc::format;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use synod_abi::{ClusterId, Revision, Time};

use crate::log::environment::Environment;
use crate::ports::{Fatal, StateView, Table};
use crate::rows::codec::decode;
use crate::rows::counts::Counts;
use crate::rows::digest::RowSum;

/// Version of the rows that this build writes and reads.
pub const FORMAT: u32 = 5;

const HEAD: &[u8] = b"h";

/// What the machine knows beside its rows. Written with every entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Version of the rows, see [`FORMAT`].
    pub format: u32,
    /// The cluster's name, once it is formed.
    pub cluster: Option<ClusterId>,
    /// The execution environment, once it is set.
    pub environment: Option<Environment>,
    /// Revision of the last command that was not rejected.
    pub revision: Revision,
    /// Cluster time of the last entry.
    pub time: Time,
    /// The last fencing token that was drawn.
    pub tokens: u64,
    /// Commands executed, rejected ones counted and deferred ones not: what seeds are made from.
    pub commands: u64,
    /// The last id that was given to a space.
    pub last_space: u32,
    /// The last id that was given to a timer.
    pub last_timer: u64,
    /// The last number that was given to a turn of a space.
    pub last_turn: u64,
    /// The last number that was given to a hook that is owed.
    pub last_owed: u64,
    /// What the rows are counted as.
    pub counts: Counts,
    /// Sum of all rows that count.
    pub rows: RowSum,
    /// Index of the last entry that was applied. Blank and membership entries are not.
    pub index: u64,
    /// The digest chain up to it.
    pub chain: [u8; 32],
}

impl Head {
    /// Of a state before the first entry.
    pub const EMPTY: Self = Self {
        format: FORMAT,
        cluster: None,
        environment: None,
        revision: Revision(0),
        time: Time(0),
        tokens: 0,
        commands: 0,
        last_space: 0,
        last_timer: 0,
        last_turn: 0,
        last_owed: 0,
        counts: Counts::ZERO,
        rows: RowSum::ZERO,
        index: 0,
        chain: [0; 32],
    };

    /// Digest of the state: of its rows and of the numbers here, but of neither index nor chain, so
    /// that it is the same however the commands were packed into entries.
    pub fn state_digest(&self) -> [u8; 32] {
        let counted = Self { index: 0, chain: [0; 32], ..*self };
        *blake3::hash(&synod_abi::encode(&counted)).as_bytes()
    }
}

/// The head; `None` before the first entry.
///
/// # Errors
/// [`Fatal`] if the store cannot be read, or its rows are of another format.
pub fn head(view: &impl StateView) -> Result<Option<Head>, Fatal> {
    let Some(bytes) = view.get(Table::System, HEAD)? else { return Ok(None) };
    match synod_abi::decode_from::<u32>(&mut bytes.as_slice()) {
        Ok(format) if format > FORMAT => Err(Fatal(format!(
            "the state has format {format}, this binary reads format {FORMAT}: start this member with a \
                newer binary"
        ))),
        Ok(format) if format < FORMAT => Err(Fatal(format!(
            "the state has format {format}, this binary reads format {FORMAT} and nothing older: start this \
                member with the binary that wrote it, or remove its data directory and let it join again"
        ))),
        _ => decode(&bytes, "the head").map(Some),
    }
}

pub(crate) fn head_key() -> Vec<u8> {
    HEAD.to_vec()
}
