//! Tests of the store as its users see it: both twins through one suite, against each other, and
//! RocksDB through crashes, damage and full disks. Child processes are this same binary, started
//! again with an environment variable.
mod consumed;
mod crash;
mod damage;
mod directory;
mod durability;
mod equivalence;
mod flushed_again;
mod full;
mod install;
mod killed;
mod lost;
mod pages;
mod support;
mod twins;
mod worn;
