//! Who this member is, and which cluster it belongs to.
//!
//! Both are part of every message between members and checked on arrival, so that a member that was
//! started on a wrong address, or with the folder of another cluster or member, is refused.
use std::sync::OnceLock;

use synod_abi::{ClusterId, MemberId};
use synod_api::peer::Route;

/// A member's identity. The cluster is unknown until the member is promised to it, and never
/// changes then.
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
    /// This member is in no cluster.
    #[error("this member does not belong to a cluster yet")]
    NoCluster,
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
    #[error("the message is for member {addressee}, this is member {me}: it has moved, or lost its folder")]
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
    /// # Errors
    /// [`Misrouted`].
    pub(crate) fn check(&self, route: Option<&Route>) -> Result<MemberId, Misrouted> {
        let (route, theirs) = parts(route)?;
        let theirs = theirs.ok_or(Misrouted::NoRoute)?;
        let ours = self.cluster().ok_or(Misrouted::NoCluster)?;
        if theirs != ours {
            return Err(Misrouted::OtherCluster { theirs, ours });
        }
        self.check_addressee(route)
    }

    /// Checks a greeting, which may be to whoever is at the address, and from or to a member that
    /// belongs to no cluster yet. Returns its sender, and the sender's cluster.
    ///
    /// # Errors
    /// [`Misrouted`].
    pub(crate) fn check_greeting(
        &self,
        route: Option<&Route>,
    ) -> Result<(MemberId, Option<ClusterId>), Misrouted> {
        let (route, theirs) = parts(route)?;
        if let (Some(theirs), Some(ours)) = (theirs, self.cluster())
            && theirs != ours
        {
            return Err(Misrouted::OtherCluster { theirs, ours });
        }
        if route.to == 0 {
            return Ok((MemberId(route.from), theirs));
        }
        Ok((self.check_addressee(route)?, theirs))
    }

    fn check_addressee(&self, route: &Route) -> Result<MemberId, Misrouted> {
        if route.to != self.me.0 {
            return Err(Misrouted::OtherMember { addressee: MemberId(route.to), me: self.me });
        }
        Ok(MemberId(route.from))
    }
}

/// A route with a sender, and its cluster if it names one.
fn parts(route: Option<&Route>) -> Result<(&Route, Option<ClusterId>), Misrouted> {
    let route = route.filter(|route| route.from != 0).ok_or(Misrouted::NoRoute)?;
    let cluster = match route.cluster_id.len() {
        0 => None,
        _ => Some(ClusterId(route.cluster_id[..].try_into().map_err(|_| Misrouted::NoRoute)?)),
    };
    Ok((route, cluster))
}

#[cfg(test)]
mod tests;
