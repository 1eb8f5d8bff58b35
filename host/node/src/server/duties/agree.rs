//! Stopping for good when a majority says that this member's state is wrong.
use synod_machine::Fatal;

use crate::server::ports::NodeMember;
use crate::server::ports::halt::Halt;

/// Settles disputes about the member's state until it ends, or loses one and fails: it must not
/// start again on its data.
pub(crate) async fn keep_agreement(member: NodeMember, halt: Halt) {
    let why = member.diverged().await.to_string();
    let written = tokio::task::spawn_blocking(move || halt.halt(&why)).await;
    member.fail(Fatal(written.unwrap_or_else(|error| error.to_string())));
}
