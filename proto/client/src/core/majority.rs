//! Whether a majority of a cluster's members answers, and how that is said.
use synod_api::v1::{MemberStatus, Role};

/// What a cluster lacks whose members are so: a majority that answers, or a leader among those.
/// What the member that was asked believes may be old.
pub fn missing_majority(members: &[MemberStatus]) -> Option<String> {
    let voters: Vec<_> = members.iter().filter(|member| member.role() != Role::Learner).collect();
    let count = voters.len();
    let answer = voters.iter().filter(|member| member.reachable).count();
    if answer * 2 <= count {
        let verb = if answer == 1 { "answers" } else { "answer" };
        return Some(format!("{answer} of {count} members {verb}: no majority"));
    }
    let leads = voters.iter().any(|member| member.reachable && member.role() == Role::Leader);
    (!leads).then(|| "no member that answers leads".to_owned())
}

#[cfg(test)]
mod tests;
