//! Checkers against many histories that are drawn from seeds: what really happened passes, and what
//! was corrupted does not.
mod brute;
mod cross_check;
mod dice;
mod held;
mod histories;
mod objects;
mod published;
mod watches;
mod witnesses;
