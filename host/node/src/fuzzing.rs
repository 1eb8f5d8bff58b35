//! What tests throw arbitrary bytes at: what this crate makes of messages of clients and peers, of
//! a compiler's pipe, of config files, and of what a person types. Public only for the fuzz targets
//! in `tests/fuzz`; every function panics only if something is wrong.
pub use crate::cli::fuzzing::{arguments, described};
pub use crate::server::fuzzing::{
    client_message, compiler_answer, compiler_messages, peer_message, timeout_header,
};
pub use crate::settings::fuzzing::config_file;
