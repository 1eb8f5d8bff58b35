//! What the service crate asks its host for, over the real disk, threads, engine and consensus.
//!
//! [`NodePorts`] names the concrete types behind the type parameters of the service crate.
pub(crate) mod apply;
pub(crate) mod compile;
pub(crate) mod environments;
pub(crate) mod halt;
pub(crate) mod prepare;
pub(crate) mod queries;
pub(crate) mod recipes;
pub(crate) mod replication;
pub(crate) mod rows;
pub(crate) mod runtime;
pub(crate) mod tripwire;

use synod_service::{Member, Ports};

use self::prepare::MajorityPreparer;
use self::queries::QueryThreads;
use self::replication::RaftReplication;
use self::rows::Rows;
use self::runtime::{TokioTasks, WallClock};

pub(crate) use self::replication::NodeRaft;
pub(crate) use self::rows::NodeLog;

/// This member's logic.
pub(crate) type NodeMember = Member<NodePorts>;

/// The ports of the binary.
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
