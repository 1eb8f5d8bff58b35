//! `synod status`: the members as they see themselves.
use clap::Args;
use serde_json::{Value, json};
use synod_client::api::{Counts, Environment, MemberStatus, Role, ScrubStatus, StatusReply};
use synod_client::core::missing_majority;

use crate::cli::io::cluster::Global;
use crate::cli::io::fail::{Exit, Failed};
use crate::cli::io::output;
use crate::cli::io::table::{printable, table};
use crate::cli::values::time::utc;
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

/// Shows the status. The command fails after that if no majority answers, nobody leads, or bundled
/// recipes are not all installed yet.
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
    if let Some(why) = why {
        let next = "writes wait for a majority of members; start those that are down";
        return Err(Failed::new(Exit::Unavailable, why).next(next));
    }
    if status.members.iter().any(|member| member.is_setting_up) {
        let why = "the cluster is being set up: bundled recipes are not all installed yet";
        return Err(Failed::new(Exit::Unavailable, why).next("ask again in a moment"));
    }
    Ok(())
}

fn role(member: &MemberStatus) -> &'static str {
    match member.role() {
        _ if !member.reachable => "unreachable",
        Role::Leader => "leader",
        Role::Follower => "follower",
        Role::Candidate => "candidate",
        Role::Learner => "learner",
        Role::Halted => "halted",
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
    let (agreement, scrubs) = (agreement(&status.members), scrubs(&status.members));
    let environment = environment(&status.members);
    format!(
        "cluster {cluster}, leader {leader}, term {}, revision {}\n{environment}\n{agreement}\n{scrubs}\n\
         {sessions} sessions, {waiting} waiting calls, {timers} timers\n\
         {events} events in {}, {watches} watches\n\n{}",
        header.term,
        header.revision,
        bytes(event_bytes),
        table(columns, rows)
    )
}

/// In which execution environment the cluster is, and who holds up a newer one.
fn environment(members: &[MemberStatus]) -> String {
    let reachable = || members.iter().filter(|member| member.reachable);
    let furthest = reachable().max_by_key(|member| member.applied_index);
    let Some(present) = furthest.and_then(|member| member.environment.as_ref()) else {
        return "no execution environment yet".to_owned();
    };
    let short = |environment: &Environment| {
        format!("{} (semantics {})", short_hex(&environment.engine), environment.semantics)
    };
    let newest = reachable().filter_map(|member| member.environments.last());
    let Some(newer) =
        newest.max_by_key(|newest| position(members, newest)).filter(|newest| *newest != present)
    else {
        return format!("execution environment {}", short(present));
    };
    let lack = members.iter().filter(|member| !member.environments.contains(newer));
    let lack: Vec<_> = lack.map(|member| printable(&member.name).to_string()).collect();
    match lack.as_slice() {
        [] => format!("execution environment {}, going on to {}", short(present), short(newer)),
        lack => format!(
            "execution environment {}; goes on to {} when {} can, too",
            short(present),
            short(newer),
            lack.join(", ")
        ),
    }
}

/// How late a member names an environment, at most: they are in order.
fn position(members: &[MemberStatus], environment: &Environment) -> Option<usize> {
    let of = |member: &MemberStatus| member.environments.iter().position(|one| one == environment);
    members.iter().filter_map(of).max()
}

/// An execution environment, for programs.
fn environment_json(environment: &Environment) -> Value {
    json!({ "semantics": environment.semantics, "engine": hex(&environment.engine) })
}

/// How far the members' digests were compared, and found equal.
fn agreement(members: &[MemberStatus]) -> String {
    let compared = || members.iter().filter(|member| member.agreed_index > 0);
    match compared().map(|member| member.agreed_index).min() {
        None => "no digests were compared yet".to_owned(),
        Some(index) => {
            let (equal, all) = (compared().count(), members.len());
            format!("digests of {equal} of {all} members were equal up to entry {index}")
        }
    }
}

/// When the members' states were last read and compared with their digests.
fn scrubs(members: &[MemberStatus]) -> String {
    let of = |member: &MemberStatus| {
        let scrub = member.scrub.clone().unwrap_or_default();
        let last = match scrub {
            _ if !member.reachable => "unknown".to_owned(),
            ScrubStatus { begun, ended, .. } if begun > ended => "running".to_owned(),
            ScrubStatus { ended: 0, .. } => "none since its start".to_owned(),
            ScrubStatus { finding, .. } if !finding.is_empty() => "DAMAGED".to_owned(),
            ScrubStatus { ended_ms, .. } => utc(ended_ms),
        };
        format!("{} {last}", printable(&member.name))
    };
    format!("last scrubs: {}", members.iter().map(of).collect::<Vec<_>>().join(", "))
}

/// How a member's scrubs are, for programs.
pub(crate) fn scrub_json(scrub: &ScrubStatus) -> Value {
    json!({
        "running": scrub.begun > scrub.ended,
        "begun": scrub.begun,
        "ended": scrub.ended,
        "rows": scrub.rows,
        "bytes": scrub.bytes,
        "index": scrub.index,
        "ended_ms": scrub.ended_ms,
        "confirmed_by": scrub.confirmed_by,
        "finding": scrub.finding,
    })
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
        "is_setting_up": member.is_setting_up,
        "agreed_index": member.agreed_index,
        "scrub": member.scrub.as_ref().map(scrub_json),
        "environment": member.environment.as_ref().map(environment_json),
        "environments": member.environments.iter().map(environment_json).collect::<Vec<_>>(),
    });
    with_counts(json, &member.counts.unwrap_or_default())
}

#[cfg(test)]
mod tests;
