//! What a member does on its own account, without being asked: coming to its cluster and staying
//! known in it, keeping the members, setting up what a leader has to, watching its disk, handing
//! leadership over, telling how it is.
pub(crate) mod belong;
pub(crate) mod disk;
pub(crate) mod form;
pub(crate) mod govern;
pub(crate) mod hand_over;
pub(crate) mod lead;
pub(crate) mod members;
pub(crate) mod tell;

mod greeted;
