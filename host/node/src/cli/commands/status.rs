//! `synod status`: the members as they see themselves.
use clap::Args;
use serde_json::{Value, json};
use synod_client::api::{Counts, MemberStatus, Role, StatusReply};
use synod_client::core::missing_majority;

use crate::cli::io::cluster::Global;
use crate::cli::io::fail::{Exit, Failed};
use crate::cli::io::output;
use crate::cli::io::table::table;
use crate::cli::values::units::{bytes, hex, offset, short_hex};

/// Flags of `synod status`.
#[derive(Args, Clone, Debug)]
pub(crate) struct StatusArgs {
    /// Only the member that is asked.
    #[arg(long)]
    local: bool,
    /// Instead: the digests of the asked member right after this entry; it is waited for.
    #[arg(long, value_name = "INDEX")]
    digest_at: Option<u64>,
}

/// Shows the status; if no majority answers or nobody leads, the command fails after that.
pub(crate) async fn run(args: StatusArgs, global: &Global) -> Result<(), Failed> {
    let client = global.client().await?;
    if let Some(index) = args.digest_at {
        let reply = client.digest_at(index, global.timeout_ms).await?;
        let chain = hex(&reply.chain_digest);
        let state = hex(&reply.state_digest);
        let json = json!({ "index": reply.index, "chain_digest": chain, "state_digest": state });
        return output::answer(global.output, &json, || {
            format!("entry {}\nchain {chain}\nstate {state}", reply.index)
        });
    }
    let mut status = client.status(args.local).await?;
    let missing = if args.local { None } else { missing_majority(&status.members) };
    if missing.is_some() {
        status.leader_id = 0;
    }
    output::answer(global.output, &to_json(&status), || text(&status))?;
    let why = missing
        .or_else(|| (status.leader_id == 0).then(|| "the cluster has no leader at the moment".to_owned()));
    why.map_or(Ok(()), |why| {
        Err(Failed::new(Exit::Unavailable, why)
            .next("writes wait for a majority of members; start those that are down"))
    })
}

fn role(member: &MemberStatus) -> &'static str {
    match member.role() {
        Role::Leader => "leader",
        Role::Follower => "follower",
        Role::Candidate => "candidate",
        Role::Learner => "learner",
        Role::Halted => "halted",
        Role::Unspecified if !member.reachable => "unreachable",
        Role::Unspecified => "unknown",
    }
}

fn name_of(status: &StatusReply, id: u64) -> String {
    let name = status.members.iter().find(|member| member.id == id).map(|member| member.name.clone());
    name.unwrap_or_else(|| if id == 0 { "none".to_owned() } else { id.to_string() })
}

fn text(status: &StatusReply) -> String {
    let header = status.header.clone().unwrap_or_default();
    let leader = name_of(status, status.leader_id);
    let rows = status.members.iter().map(|member| {
        let number = |n: u64| if member.reachable { n.to_string() } else { String::new() };
        [
            member.name.clone(),
            role(member).to_owned(),
            number(member.term),
            number(member.revision),
            number(member.applied_index),
            number(member.committed_index),
            short_hex(&member.chain_digest),
            short_hex(&member.state_digest),
            member.clock_offset_ms.map(offset).unwrap_or_default(),
            member.client_address.clone(),
            member.problem.clone(),
        ]
    });
    let columns = [
        "MEMBER",
        "ROLE",
        "TERM>",
        "REVISION>",
        "APPLIED>",
        "COMMITTED>",
        "CHAIN",
        "STATE",
        "CLOCK>",
        "CLIENTS",
        "PROBLEM",
    ];
    let cluster = hex(&header.cluster_id);
    let Counts { sessions, waiting, timers, events, event_bytes, .. } = furthest(status);
    let watches: u64 = status.members.iter().map(|member| member.watches).sum();
    format!(
        "cluster {cluster}, leader {leader}, term {}, revision {}\n{sessions} sessions, {waiting} waiting \
            calls, {timers} timers\n\
         {events} events in {}, {watches} watches\n\n{}",
        header.term,
        header.revision,
        bytes(event_bytes),
        table(columns, rows)
    )
}

/// What the newest state among the members counts.
fn furthest(status: &StatusReply) -> Counts {
    let reachable = status.members.iter().filter(|member| member.reachable);
    let newest = reachable.max_by_key(|member| member.applied_index);
    newest.and_then(|member| member.counts).unwrap_or_default()
}

fn to_json(status: &StatusReply) -> Value {
    let header = status.header.clone().unwrap_or_default();
    let json = json!({
        "cluster_id": hex(&header.cluster_id),
        "leader_id": status.leader_id,
        "leader": name_of(status, status.leader_id),
        "term": header.term,
        "revision": header.revision,
        "time_ms": header.time_ms,
        "asked_member_id": header.member_id,
        "members": status.members.iter().map(member_json).collect::<Vec<_>>(),
    });
    with_counts(json, &furthest(status))
}

/// `json` with every count beside its other keys.
fn with_counts(mut json: Value, counts: &Counts) -> Value {
    let Counts { recipes, spaces, sessions, requests, waiting, timers, events, event_bytes, bindings, owed } =
        *counts;
    let table = [
        ("recipes", recipes),
        ("spaces", spaces),
        ("sessions", sessions),
        ("requests", requests),
        ("waiting", waiting),
        ("timers", timers),
        ("events", events),
        ("event_bytes", event_bytes),
        ("bindings", bindings),
        ("owed", owed),
    ];
    for (name, count) in table {
        json[name] = count.into();
    }
    json
}

fn member_json(member: &MemberStatus) -> Value {
    let json = json!({
        "id": member.id,
        "name": member.name,
        "role": role(member),
        "reachable": member.reachable,
        "problem": member.problem,
        "client_address": member.client_address,
        "peer_address": member.peer_address,
        "term": member.term,
        "leader_id": member.leader_id,
        "revision": member.revision,
        "last_log_index": member.last_log_index,
        "committed_index": member.committed_index,
        "applied_index": member.applied_index,
        "snapshot_index": member.snapshot_index,
        "purged_index": member.purged_index,
        "chain_digest": hex(&member.chain_digest),
        "state_digest": hex(&member.state_digest),
        "cluster_id": hex(&member.cluster_id),
        "version": member.version,
        "fsyncs": member.fsyncs,
        "entries_applied": member.entries_applied,
        "commands_applied": member.commands_applied,
        "uptime_ms": member.uptime_ms,
        "watches": member.watches,
        "clock_offset_ms": member.clock_offset_ms,
    });
    with_counts(json, &member.counts.unwrap_or_default())
}

#[cfg(test)]
mod tests;
