//! Makes WebAssembly modules of recipes: finds a Rust toolchain that can, builds a recipe's crate
//! in a closed environment, starts new recipes, and runs their tests.
//!
//! The command line, the build script of the bundled recipes and tests that need a module all come
//! here, so that a recipe has one set of bytes whoever builds it. A build script is the hard case:
//! the cargo around it leaks flags, wrappers and its target directory to the cargo inside, which is
//! why [`build`] starts from an empty environment.
//!
//! It installs nothing, changes no byte of what the compiler wrote, and does not judge a module:
//! admission in `synod-vm` does. Builds by two toolchains are two modules; nothing here makes them
//! equal.
#![forbid(unsafe_code)]

mod archive;
pub mod build;
mod cache;
mod cargo;
mod environment;
mod error;
pub mod scaffold;
pub mod sdk;
pub mod test;
pub mod toolchain;

pub use build::{Built, Lock, Options, Output};
pub use environment::Environment;
pub use error::BuildError;
pub use toolchain::{Choice, Toolchain};
