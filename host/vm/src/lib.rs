//! Runs recipes: decides which modules are admitted, rewrites and compiles them, and executes their
//! operations and queries with wasmtime, the same on every member.
//!
//! Five parts: [`admit`] is pure and shared by server and command line; [`compile`] makes code, in
//! whichever process its user chooses; [`Modules`] holds what is compiled for one edition of the
//! engines, in memory and on disk; [`Editions`] holds those of each edition that this build has;
//! [`WasmVm`] (operations, with fuel, for the machine) and [`QueryEngine`] (queries, with a
//! time-out, for a pool of threads) run it. What a trap means is decided in one place: something
//! that every member suffers is a fault of the call, anything else stops the member.
//!
//! It knows no storage and no log: host calls go to whatever implements `HostCalls`. No error text,
//! fuel count or backtrace leaves it towards replicated state. It is the only crate that names
//! wasmtime.

mod admission;
mod cache;
pub mod compile;
mod editions;
mod engine;
mod error;
mod instance;
mod instrument;
mod linker;
mod modules;
mod pristine;
mod query;
mod stack;
mod trap;
mod vm;
mod wanted;

pub use admission::{admit, explain};
pub use editions::Editions;
pub use engine::QUERY_SLOTS;
pub use error::{PrepareError, VmError};
pub use modules::{CODE_MEMORY_BYTES, Modules, PREPARED_MODULES};
pub use query::{AskedQuery, QueryEngine};
pub use stack::spawn;
pub use vm::WasmVm;
pub use wanted::{Wanted, WantedBy};

#[cfg(test)]
mod fixtures;
