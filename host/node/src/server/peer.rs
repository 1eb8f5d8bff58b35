//! The peer port: what this member answers the others, and what it tells about itself.
//!
//! It checks who asks and hands bytes on to the consensus and the service crate; it decides
//! nothing.
pub(super) mod fuzzing;
pub(crate) mod hello;
pub(crate) mod port;
pub(crate) mod promise;
pub(crate) mod replace;
pub(crate) mod service;
pub(crate) mod status;
