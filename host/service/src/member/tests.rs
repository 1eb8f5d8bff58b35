//! Members on a log that the tests drive: batching, forwarding, changes of leaders, deadlines, and what callers are told.
mod callers;
mod proposals;
mod reads;
mod schedules;
