//! The client against members that are made up: real gRPC on loopback, and members that misbehave
//! as a test tells them to. What the client asks of a real cluster is tested in `tests/`.
mod caches;
mod cluster;
mod failover;
mod sessions;
mod watches;
