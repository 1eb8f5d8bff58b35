//! What the demo and the cluster tests share: real `synod` processes on loopback ports, and the
//! clients that load them.
//!
//! Everything is observed from outside, through the client library and the exit of processes;
//! nothing is mocked.
pub mod binary;
pub mod chaos;
pub mod clock;
pub mod cluster;
pub mod command;
pub mod dice;
pub mod disk;
pub mod process;
pub mod proxy;
pub mod recipes;
pub mod source;
pub mod stranger;
pub mod wait;
pub mod watching;
pub mod writers;
