//! Every decoder of bytes from elsewhere as a plain function that arbitrary bytes are thrown at:
//! messages of clients and peers, entries and files on disk, modules, and what a guest passes to
//! the host.
//!
//! A target ([`targets::Target`]) takes any bytes, and panics only if something is wrong. Each has
//! a corpus, `corpus/TARGET/`: real encodings that the code made itself (`seed-*`), and every input
//! that ever found a fault. `tests/targets.rs` runs each on its corpus and 10,000 inputs made of it
//! from a seed ([`mutate`]), on stable, and bounds time and memory ([`drive`], [`heap`]).
//! `make fuzz TARGET=t` runs one on more of them.
//!
//! The decoders are private to their crates, which have a hidden module `fuzzing` for them. It
//! tests no running member: the tests beside it do that.

pub mod drive;
pub mod heap;
mod machine;
pub mod mutate;
pub mod targets;
