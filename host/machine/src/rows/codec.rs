//! Decoding rows. One that does not decode was damaged outside of apply, which stops the member.
use alloc::format;

use serde::de::DeserializeOwned;

use crate::ports::Fatal;

/// The value in `bytes`; `what` names it if it is damaged.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8], what: &str) -> Result<T, Fatal> {
    synod_abi::decode(bytes).map_err(|_| damaged(what))
}

/// The failure of a member whose data is damaged.
pub(crate) fn damaged(what: &str) -> Fatal {
    Fatal(format!(
        "{what} is missing or does not decode: the data of this member is damaged; remove its data \
            directory and let it join again"
    ))
}
