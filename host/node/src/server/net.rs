//! The network between members: who this member is, who the others are, the connections to them,
//! and the listening sockets of both ports.
//!
//! Nothing here knows consensus, rows or commands.
pub(crate) mod accept;
pub(crate) mod descriptors;
pub(crate) mod identity;
pub(crate) mod listen;
pub(crate) mod peers;
pub(crate) mod roster;
