//! Reads the list of members that a caller gives: `host:port`, separated by commas.
use synod_abi::Reason;

use crate::Error;
use crate::error::Refusal;

/// Most addresses that a client keeps, given and learned ones together.
pub(super) const MAX_ENDPOINTS: usize = 64;

/// The addresses in `list`, each once, in order. A leading `http://` is taken off.
///
/// # Errors
/// [`Error::Refused`] if one is not `host:port`, or there is none, or there are more than 64.
pub fn parse_endpoints(list: &str) -> Result<Vec<String>, Error> {
    let refused = |message: String| {
        Error::Refused(Refusal { reason: Reason::BadEndpoint.into(), message, ..Refusal::default() })
    };
    let mut endpoints: Vec<String> = Vec::new();
    for part in list.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let bare = part.strip_prefix("http://").unwrap_or(part).trim_end_matches('/');
        let good = bare.rsplit_once(':').is_some_and(|(host, port)| {
            let bracketed = host.starts_with('[') && host.ends_with(']');
            let plain = !host.is_empty() && !host.contains([':', '/', '@', ' ']);
            (bracketed || plain) && port.parse::<u16>().is_ok_and(|port| port != 0)
        });
        if !good {
            return Err(refused(format!(
                "`{part}` is not the address of a member: write host:port, such as 127.0.0.1:7070"
            )));
        }
        if !endpoints.iter().any(|known| known == bare) {
            endpoints.push(bare.to_owned());
        }
    }
    match endpoints.len() {
        0 => Err(refused("there is no address of a member: give at least one host:port".into())),
        1..=MAX_ENDPOINTS => Ok(endpoints),
        count => Err(refused(format!(
            "there are {count} addresses, the limit is {MAX_ENDPOINTS}; any member will do"
        ))),
    }
}

#[cfg(test)]
mod tests;
