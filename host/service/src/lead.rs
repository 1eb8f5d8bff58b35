//! What only a leader does.
mod duty;
pub(crate) mod retention;

pub(crate) use duty::{Duty, Lead, LeaderTask, Round, Standing};
