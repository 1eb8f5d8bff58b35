//! Whole clusters from one seed: real members and clients in a virtual world, everything that can
//! go wrong, and checkers that judge what came of it.
//!
//! One seed decides the order of tasks, the network, disks, clocks, faults, what clients do, and
//! the sizes and limits of the run; the same seed always gives the same run. What runs is the real
//! consensus, storage protocol, service, machine, engine and recipes; replaced are the runtime, the
//! network, RocksDB (by the store in memory, which tells written from durable) and what the node
//! adds around them.
//!
//! From the top:
//!
//! 1. [`run`]: one run, from the seed to the report; [`shrink`]: the fewest faults that it needs
//! 2. [`check`]: judges a run that has ended
//! 3. [`fault`]: what goes wrong
//! 4. [`workload`]: what clients do; [`record`] is what they tell the checkers
//! 5. [`client`]: a client of the cluster
//! 6. [`cluster`]: members that start, crash, come back and are replaced, of [`applier`],
//!    [`ports`], [`members`] and [`peers`]
//! 7. [`observe`]: what a run is seen to do; [`finding`] is what is wrong with it
//! 8. [`net`], [`runtime`], [`engines`], [`modules`], [`events`]: the network, tasks and time, what
//!    runs recipes, recipes that are not in the bundle, the encoding of events
#![forbid(unsafe_code)]

pub mod applier;
pub mod check;
pub mod client;
pub mod cluster;
pub mod engines;
pub mod events;
pub mod fail_over;
pub mod fault;
pub mod finding;
pub mod members;
pub mod modules;
pub mod net;
pub mod observe;
pub mod peers;
pub mod ports;
pub mod record;
pub mod run;
pub mod runtime;
pub mod shrink;
pub mod workload;
