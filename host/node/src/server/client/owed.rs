//! Hooks that a space is owed, in the messages of `synod.v1.SpaceAdmin`.
use std::time::Duration;

use synod_api::fault_to_api;
use synod_api::v1::{
    self as api, OwedCancel, OwedHook, OwedHooksReply, OwedHooksRequest, OwedTimer, SettleHookReply,
    SettleHookRequest, SettledHook, owed_hook,
};
use synod_machine::owed::{OwedCall, OwedRecord};
use synod_machine::{Caller, Settled, Settling};
use synod_service::{CallFailure, Reason, Rejected};

use super::Front;

/// Hooks in a reply, unless fewer are asked for: with the largest payloads they fit in one.
const MOST_HOOKS: usize = 100;

/// A page of what a space is owed.
pub(super) async fn list(
    front: &Front,
    OwedHooksRequest { name, after_number, limit }: OwedHooksRequest,
    timeout: Duration,
) -> Result<OwedHooksReply, CallFailure> {
    let limit = if limit == 0 { MOST_HOOKS } else { MOST_HOOKS.min(limit as usize) };
    let page = front.member.owed_hooks(&name, Some(after_number), limit, timeout).await?;
    let hooks = page.items.into_iter().map(hook).collect();
    Ok(OwedHooksReply { header: Some(front.present_header()), hooks, more: page.more })
}

/// Runs or drops one hook.
pub(super) async fn settle(
    front: &Front,
    request: SettleHookRequest,
    timeout: Duration,
) -> Result<SettleHookReply, CallFailure> {
    let how = match request.how() {
        api::Settling::Run => Settling::Run,
        api::Settling::Drop => Settling::Drop,
        api::Settling::Unspecified => {
            let text = "say whether the hook is to be run or dropped";
            return Err(Rejected::new(Reason::InvalidArguments, text).in_field("how").into());
        }
    };
    let settled =
        front.member.settle_hook(&request.name, request.number, how, Caller::default(), timeout).await;
    let (settled, revision) = settled?;
    let (settled, fault) = match settled {
        Settled::Done => (SettledHook::Done, None),
        Settled::More => (SettledHook::More, None),
        Settled::Failed(fault) => (SettledHook::Failed, Some(fault)),
        Settled::Dropped => (SettledHook::Dropped, None),
    };
    Ok(SettleHookReply {
        header: Some(front.header(revision, front.member.applied().time())),
        settled: settled.into(),
        fault: fault.map_or(0, |fault| fault_to_api(fault).into()),
        why: fault.map_or_else(String::new, |fault| fault.to_string()),
    })
}

/// A hook that is owed.
pub(super) fn hook(OwedRecord { number, next_try, hook }: OwedRecord) -> OwedHook {
    let call = match hook.call {
        OwedCall::SessionEnd { session } => owed_hook::Call::SessionEnd(session.0.to_vec()),
        OwedCall::Timer { timer, payload } => {
            owed_hook::Call::Timer(OwedTimer { id: timer.0, payload: payload.0 })
        }
        OwedCall::Cancel { session, ticket, granted } => {
            owed_hook::Call::Cancel(OwedCancel { session_id: session.0.to_vec(), ticket: ticket.0, granted })
        }
    };
    OwedHook {
        number,
        call: Some(call),
        since_revision: hook.since.0,
        fault: hook.fault.map_or(0, |fault| fault_to_api(fault).into()),
        why: hook.fault.map_or_else(String::new, |fault| fault.to_string()),
        tries: hook.tries,
        next_try_ms: next_try.0,
    }
}

#[cfg(test)]
mod tests;
