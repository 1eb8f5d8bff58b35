//! Arbitrary messages and pipes of the server, for [`crate::fuzzing`].
pub use super::client::fuzzing::{client_message, timeout_header};
pub use super::peer::fuzzing::peer_message;
pub use super::ports::compile::fuzzing::{compiler_answer, compiler_messages};
