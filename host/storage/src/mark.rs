//! The encoding of the applied mark: in a state, and in the manifest of a snapshot.
use crate::AppliedMark;

/// Encodes a mark.
pub(crate) fn encode_mark(mark: &AppliedMark) -> Vec<u8> {
    let mut out = Vec::with_capacity(17 + mark.id.len() + mark.membership.len());
    out.push(u8::from(mark.index.is_some()));
    out.extend_from_slice(&mark.index.unwrap_or(0).to_be_bytes());
    for part in [&mark.id, &mark.membership] {
        out.extend_from_slice(&(part.len() as u32).to_be_bytes());
        out.extend_from_slice(part);
    }
    out
}

/// Decodes a mark; `None` if the bytes are not one.
pub(crate) fn decode_mark(bytes: &[u8]) -> Option<AppliedMark> {
    let (&present, rest) = bytes.split_first()?;
    let (index, mut rest) = rest.split_first_chunk::<8>()?;
    let index = match (present, u64::from_be_bytes(*index)) {
        (0, 0) => None,
        (1, index) => Some(index),
        _ => return None,
    };
    let mut part = || {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let (part, after) = after.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        rest = after;
        Some(part.into())
    };
    let (id, membership) = (part()?, part()?);
    rest.is_empty().then_some(AppliedMark { index, id, membership })
}

#[cfg(test)]
mod tests;
