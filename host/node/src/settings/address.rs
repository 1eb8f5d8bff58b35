//! Addresses and members as flags and config files write them: `host:port`, and
//! `name=host:port/client-port`.
//!
//! Only their form is checked here; the server resolves and binds them.
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A host name or IP address, and a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct HostPort {
    /// Name or address; an IPv6 address without its brackets.
    pub(crate) host: String,
    /// The port; 0 when listening means any free one.
    pub(crate) port: u16,
}

impl HostPort {
    /// Whether it means every address of a host: enough to listen on, and nowhere to connect to.
    pub(crate) fn is_unspecified(&self) -> bool {
        self.host.parse::<IpAddr>().is_ok_and(|address| address.is_unspecified())
    }
}

impl FromStr for HostPort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` is not host:port, such as 127.0.0.1:7070, db1.example:7070 or [::1]:7070");
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let host = match bare {
            Some(bare) => bare,
            None if host.contains(':') => return Err(wrong()),
            None => host,
        };
        let port = port_number(port).ok_or_else(wrong)?;
        let is_bad = |c: char| c.is_whitespace() || c.is_control() || "/,=[]".contains(c);
        if host.is_empty() || host.contains(is_bad) {
            return Err(wrong());
        }
        Ok(Self { host: host.to_owned(), port })
    }
}

/// A port in decimal digits; no sign.
fn port_number(text: &str) -> Option<u16> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// A member of the cluster to be formed, as written `name=host:port` or
/// `name=host:port/client-port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PeerSpec {
    /// The member's name; unique in the cluster.
    pub(crate) name: String,
    /// Where other members reach it.
    pub(crate) peer: HostPort,
    /// Where its clients reach it, if it was written; otherwise the member itself says so.
    pub(crate) client: Option<HostPort>,
}

/// Longest name of a member, in bytes.
const MEMBER_NAME_BYTES: usize = 64;

impl FromStr for PeerSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            |why: &str| format!("`{text}` is not name=host:port or name=host:port/client-port: {why}");
        let (name, rest) = text.split_once('=').ok_or_else(|| wrong("there is no `=`"))?;
        check_member_name(name).map_err(|why| wrong(&why))?;
        let (peer, client_port) = match rest.split_once('/') {
            Some((peer, port)) => (
                peer,
                Some(port_number(port).ok_or_else(|| wrong("the client port is not a number up to 65535"))?),
            ),
            None => (rest, None),
        };
        let peer: HostPort = peer.parse().map_err(|why: String| wrong(&why))?;
        let client = client_port.map(|port| HostPort { host: peer.host.clone(), port });
        Ok(Self { name: name.to_owned(), peer, client })
    }
}

/// Says what is wrong with a member's name.
pub(crate) fn check_member_name(name: &str) -> Result<(), String> {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.len() > MEMBER_NAME_BYTES || !name.chars().all(good) {
        return Err(format!(
            "a member's name is 1 to {MEMBER_NAME_BYTES} of a-z, 0-9, '-', '_' and '.'; `{name}` is not"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
