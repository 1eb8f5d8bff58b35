//! What this member is made of: the concrete types behind the service crate's and the consensus
//! crate's type parameters.
use synod_consensus::{Raft, TokioRuntime};
use synod_service::{Member, Ports};

use super::apply::ApplyThread;
use super::prepare::MajorityPreparer;
use super::queries::QueryThreads;
use super::replication::RaftReplication;
use super::rows::Rows;
use super::runtime::{TokioTasks, WallClock};

/// The log on disk.
pub(crate) type NodeLog = synod_storage::RocksStore;
/// The state on disk.
pub(crate) type NodeState = synod_storage::RocksStore;
/// The consensus of this member.
pub(crate) type NodeRaft = Raft<TokioRuntime, NodeState, ApplyThread>;
/// The logic of this member.
pub(crate) type NodeMember = Member<NodePorts>;

/// The real parts.
#[derive(Debug)]
pub(crate) struct NodePorts;

impl Ports for NodePorts {
    type Runtime = TokioTasks;
    type Clock = WallClock;
    type Replication = RaftReplication;
    type Store = Rows;
    type Queries = QueryThreads;
    type Preparer = MajorityPreparer;
}
