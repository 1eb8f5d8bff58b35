//! The network between members: who this member is, who the others are, the connections to them,
//! the listening sockets of both ports, and the bytes that a port keeps for its connections.
//!
//! Nothing here knows consensus, rows or commands.
pub(crate) mod accept;
pub(crate) mod budget;
mod connection;
pub(crate) mod descriptors;
pub(crate) mod identity;
pub(crate) mod listen;
pub(crate) mod metered;
pub(crate) mod owner;
pub(crate) mod peers;
pub(crate) mod roster;
