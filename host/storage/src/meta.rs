//! What a data directory says of itself: whose it is, and how often it was opened.
//!
//! Everything here is on disk before it returns. It is for starting up, not for the way of a call.
use synod_abi::{ClusterId, MemberId};

use crate::StorageError;

/// The identity of a member's data. Clones share it.
pub trait MetaStore: Clone + Send + Sync + 'static {
    /// How many times the data was opened, this time included: no two starts of a member have the
    /// same.
    fn incarnation(&self) -> u64;
    /// The cluster that the data belongs to, once it does.
    fn cluster_id(&self) -> Result<Option<ClusterId>, StorageError>;
    /// Makes the data `cluster`'s; [`StorageError::Unusable`] if it is another's.
    fn set_cluster_id(&self, cluster: ClusterId) -> Result<(), StorageError>;
    /// The member that the data belongs to, once it does.
    fn member_id(&self) -> Result<Option<MemberId>, StorageError>;
    /// Makes the data `member`'s; [`StorageError::Unusable`] if it is another's.
    fn set_member_id(&self, member: MemberId) -> Result<(), StorageError>;
    /// A small value of the node's own.
    fn meta_get(&self, key: &str) -> Result<Option<Vec<u8>>, StorageError>;
    /// Sets it, on disk on return.
    fn meta_put(&self, key: &str, value: &[u8]) -> Result<(), StorageError>;
}
