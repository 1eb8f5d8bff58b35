//! One thread, virtual time, processes: what simulations run on.
//!
//! A [`World`] polls tasks one at a time, in the order in which they were woken or in one drawn
//! from a seed, and time passes only when all of them wait. Tasks belong to a [`Process`], which
//! has clocks of its own, and can be stopped, or killed at any moment: then its tasks are dropped
//! where they wait, like those of a process that gets SIGKILL. Nothing in here reads a clock, a
//! random source or a thread, so that one seed always gives one run; [`World::fingerprint`] tells
//! whether two runs were the same.
//!
//! It knows neither members nor networks nor disks: the tests of the service crate and the
//! simulator of whole clusters build those upon it.
#![forbid(unsafe_code)]

mod dice;
mod process;
mod sleep;
mod world;

pub use dice::Dice;
pub use process::{Process, WALL_MS};
pub use sleep::Sleep;
pub use world::{Order, World};

use std::sync::{Mutex, MutexGuard, PoisonError};

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
