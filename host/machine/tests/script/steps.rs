//! How scripts write the steps of a call: `wait`, `grant=1`, `put=key/value`, `emit=topic/payload`;
//! steps for later follow where and when they run: `timer=500/put/key/value`,
//! `send=b/emit/topic/payload`, `at_event=refuse/3`.
use std::error::Error;

use goldenscript::Argument;
use synod_abi::{Blob, encode};

use crate::support::recipe::Step;

/// The steps in the arguments of a command.
pub(super) fn parse(args: &[Argument]) -> Result<Vec<Step>, Box<dyn Error>> {
    args.iter()
        .map(|arg| match arg {
            Argument::Positional(name) => step(name, ""),
            Argument::KeyValue(name, value) => step(name, value),
            other => Err(format!("unexpected {other}").into()),
        })
        .collect()
}

fn step(name: &str, value: &str) -> Result<Step, Box<dyn Error>> {
    let (first, rest) = value.split_once('/').unwrap_or((value, ""));
    Ok(match name {
        "get" => Step::Get(value.into()),
        "put" => Step::Put(first.into(), rest.into()),
        "delete" => Step::Delete(value.into()),
        "count" => Step::Count(value.into()),
        "token" => Step::Token,
        "refuse" => Step::Refuse(value.parse()?),
        "now" => Step::Now,
        "sweep" => Step::Sweep(first.into(), rest.parse()?),
        "later_by" => Step::LaterBy(value.parse()?),
        "wait" => Step::Wait,
        "grant" => Step::Grant(value.parse()?),
        "complete" => Step::Complete(first.parse()?, rest.into()),
        "emit" => {
            let (topic, payload) = value.rsplit_once('/').ok_or("a topic and a payload")?;
            Step::Emit(topic.into(), payload.into())
        }
        "send" => Step::Send(first.into(), "run".into(), later(rest)?),
        "timer" => Step::SetTimer(first.parse()?, later(rest)?),
        "cancel_timer" => Step::CancelTimer(value.parse()?),
        "at_end" => Step::Put("at end".into(), later(value)?),
        "at_cancel" => Step::Put("at cancel".into(), later(value)?),
        "at_event" => Step::Put("at event".into(), later(value)?),
        other => return Err(format!("there is no step {other}").into()),
    })
}

/// The arguments of a step for later: `name/value`.
fn later(text: &str) -> Result<Blob, Box<dyn Error>> {
    let (name, value) = text.split_once('/').unwrap_or((text, ""));
    Ok(encode(&vec![step(name, value)?]).into())
}
