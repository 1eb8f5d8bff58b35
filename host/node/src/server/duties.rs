//! What a member does on its own account, without being asked: coming to its cluster and staying
//! known in it, keeping the members, setting up what a leader has to, watching its disk, handing
//! leadership over, replacing a leader that has ended, stopping for good when its state is wrong,
//! telling how it is.
pub(crate) mod agree;
pub(crate) mod belong;
pub(crate) mod disk;
pub(crate) mod fail_over;
pub(crate) mod form;
pub(crate) mod govern;
pub(crate) mod hand_over;
pub(crate) mod lead;
pub(crate) mod members;
pub(crate) mod renew;
pub(crate) mod tell;

mod greeted;

use synod_machine::{Caller, Principal};

/// The caller of commands that the cluster itself proposes.
const SYSTEM: Caller = Caller { principal: Principal::System, session: None };
