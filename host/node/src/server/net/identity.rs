//! Who this member is, and which cluster it belongs to.
//!
//! Both are part of every message between members and checked on arrival, so that a member that was
//! started on a wrong address or with the folder of another cluster is refused.
use std::sync::OnceLock;

use synod_abi::{ClusterId, MemberId};
use synod_api::peer::Route;

/// A member's identity. The cluster is unknown until it is formed or joined, and never changes
/// then.
#[derive(Debug)]
pub(crate) struct Identity {
    /// This member.
    pub(crate) me: MemberId,
    /// Its name.
    pub(crate) name: String,
    cluster: OnceLock<ClusterId>,
}

/// Why a message was not for this member.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Misrouted {
    /// It has no route, or one that is malformed.
    #[error("the message names no cluster, sender and addressee: is this a member's peer port?")]
    NoRoute,
    /// It is of another cluster.
    #[error(
        "the message is of cluster {theirs}, this member belongs to {ours}: check --peers, and whether a \
            folder was moved"
    )]
    OtherCluster {
        /// The sender's.
        theirs: ClusterId,
        /// This member's.
        ours: ClusterId,
    },
    /// It is for another member.
    #[error("the message is for member {addressee}, this is member {me}: check the addresses in --peers")]
    OtherMember {
        /// Whom it is for.
        addressee: MemberId,
        /// This member.
        me: MemberId,
    },
}

impl Identity {
    /// The identity of `me`; `cluster` is what its folder says.
    pub(crate) fn new(me: MemberId, name: String, cluster: Option<ClusterId>) -> Self {
        let identity = Self { me, name, cluster: OnceLock::new() };
        if let Some(cluster) = cluster {
            identity.joined(cluster);
        }
        identity
    }

    /// The cluster, once it is known.
    pub(crate) fn cluster(&self) -> Option<ClusterId> {
        self.cluster.get().copied()
    }

    /// Sets the cluster, unless it is set.
    pub(crate) fn joined(&self, cluster: ClusterId) {
        let _ = self.cluster.set(cluster);
    }

    /// The route of a message to `to`.
    pub(crate) fn route(&self, to: MemberId) -> Route {
        let cluster_id = self.cluster().map(|cluster| cluster.0.to_vec().into()).unwrap_or_default();
        Route { cluster_id, from: self.me.0, to: to.0 }
    }

    /// Checks that a message is for this member and of its cluster, and returns its sender.
    ///
    /// A side that does not know its cluster yet passes as a member of any.
    pub(crate) fn check(&self, route: Option<&Route>) -> Result<MemberId, Misrouted> {
        let route = route.filter(|route| route.from != 0).ok_or(Misrouted::NoRoute)?;
        let theirs = match route.cluster_id.len() {
            0 => None,
            _ => Some(ClusterId(route.cluster_id[..].try_into().map_err(|_| Misrouted::NoRoute)?)),
        };
        if let (Some(theirs), Some(ours)) = (theirs, self.cluster())
            && theirs != ours
        {
            return Err(Misrouted::OtherCluster { theirs, ours });
        }
        if route.to != 0 && route.to != self.me.0 {
            return Err(Misrouted::OtherMember { addressee: MemberId(route.to), me: self.me });
        }
        Ok(MemberId(route.from))
    }
}

#[cfg(test)]
mod tests;
