//! What only a leader does, and how a member knows that it leads.
//!
//! The [`observer`] is the one place that follows the log's leadership; everything else asks it or
//! is woken by it. A [`duty`] turns decisions that only a leader takes into commands, by the
//! cluster time of its [`time_base`]; the [`retention`] of events is one of them,
//! [`checkpoints`] of digests another. How a decision
//! gets into the log is the business of the caller, through [`Propose`].
mod checkpoints;
mod duty;
mod observer;
mod retention;
mod time_base;

pub(crate) use checkpoints::{CheckpointDuty, Checkpoints};
pub(crate) use duty::{Duty, LeaderTask, Propose, REFUSED_PAUSE, Round};
pub(crate) use observer::Observer;
pub(crate) use retention::{Retention, RetentionDuty};
