//! Tests of whole members: real stores, real consensus, peers in one process.
mod cluster;
mod disk;
mod elections;
mod encodings;
mod failover;
mod failures;
mod offers;
mod snapshots;
mod suite;
mod workers;
