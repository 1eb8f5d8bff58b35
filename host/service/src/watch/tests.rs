//! Watches of members on a log that the tests drive: what a client sees as transcripts (`scripts`),
//! the rest held against a replay of that log.
mod bounds;
mod delivery;
mod retention;
mod schedules;
mod scripts;
mod show;
mod starts;

use synod_abi::TopicFilter;

fn exact(topic: &str) -> TopicFilter {
    TopicFilter::Exact(topic.to_owned())
}

fn prefix(prefix: &str) -> TopicFilter {
    TopicFilter::Prefix(prefix.to_owned())
}
