//! Next steps that several commands suggest after a failure.

/// After the refusal of an operation that may wait, called outside of a session.
pub(crate) const SESSION_NEEDED: &str = "this operation may wait for another call, so call it in a session: \
    `synod session open` prints a TOKEN for `synod call --session TOKEN …`";
