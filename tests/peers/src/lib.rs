//! Synod beside ZooKeeper and etcd: clusters of three members on this machine, one at a time, the
//! same loads on each through the clients and recipes of its users, and the ratios.
//!
//! `DRIVERS.md` says what a driver is and what each workload does. The processes' use is read from
//! Linux. It compares what one machine shows; it asserts nothing.
pub mod comparison;
pub mod drive;
pub mod driver;
pub mod install;
pub mod kind;
pub mod plot;
pub mod servers;
pub mod summary;
pub mod usage;
pub mod workload;
