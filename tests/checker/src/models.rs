//! Models of the objects that the bundled recipes and the tests' recipes offer, each for one key;
//! `store` is all keys of a space, for reads of ranges.
//!
//! They follow what the recipes' documents promise, not their code.
pub mod counter;
pub mod kv;
pub mod lock;
pub mod queue;
pub mod store;
