//! What tests throw arbitrary bytes at: the frames of forwarding links. Public only for the fuzz
//! targets in `tests/fuzz`, because the frames themselves are private.
//!
//! JSON has its own public functions, see [`transcode`](crate::transcode).
pub use crate::propose::fuzzing::{forward_frame, forward_frames};
