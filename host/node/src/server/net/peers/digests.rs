//! Digests between this process and the wire.
use synod_api::peer::Digests;
use synod_machine::DigestRecord;

pub(crate) fn to_wire(DigestRecord { index, chain, state }: DigestRecord) -> Digests {
    Digests { index, chain: chain.to_vec().into(), state: state.to_vec().into() }
}

/// The error is for people.
pub(crate) fn from_wire(Digests { index, chain, state }: &Digests) -> Result<DigestRecord, String> {
    let sized =
        |bytes: &[u8]| bytes.try_into().map_err(|_| format!("a digest has 32 bytes, not {}", bytes.len()));
    Ok(DigestRecord { index: *index, chain: sized(chain)?, state: sized(state)? })
}

#[cfg(test)]
mod tests;
