//! What a member does on its own account, without being asked: forming the cluster or catching up
//! with it, setting up what a leader has to, watching its disk, handing leadership over.
pub(crate) mod disk;
pub(crate) mod form;
pub(crate) mod govern;
pub(crate) mod hand_over;
