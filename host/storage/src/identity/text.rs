//! The text of the file `identity`: lines that an operator can read, and a checksum, because an
//! identity that is only nearly right is worse than none.
use std::fmt;

use synod_abi::{ClusterId, MemberId};

use super::{Databases, FILE, Joined, LOST, MemberIdentity};

/// Version of this text.
const VERSION: u32 = 1;
const PREFIX: &str = "synod identity ";
const CHECKSUM: &str = "crc32 ";
/// Bytes of an id of a cluster.
const CLUSTER_BYTES: usize = 16;

/// Why a text is no identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Damage {
    /// It is another program's.
    Foreign,
    /// It is of another version.
    Version(u32),
    /// It is cut or was changed.
    Malformed,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign => write!(f, "its file {FILE} is not one of synod's; name another folder"),
            Self::Version(version) => write!(
                f,
                "its file {FILE} has version {version}, and this version of synod knows {VERSION}; start it \
                    with a version that knows {version}"
            ),
            Self::Malformed => write!(f, "its file {FILE} is cut or was changed: {LOST}"),
        }
    }
}

/// The text of `identity`.
pub(crate) fn encode(identity: &MemberIdentity) -> String {
    let MemberIdentity { member, name, incarnation, databases, cluster } = identity;
    let databases = match databases {
        Databases::Creating => "creating",
        Databases::Created => "created",
    };
    let cluster = match cluster {
        None => "none".to_owned(),
        Some((id, Joined::Replacing(lost))) => format!("{id} replacing {}", lost.0),
        Some((id, Joined::Formed(peers))) => format!("{id} formed {}", peers.join(",")),
    };
    let lines = format!(
        "{PREFIX}{VERSION}\nmember {}\nname {name}\nincarnation {incarnation}\ndatabases \
            {databases}\ncluster {cluster}\n",
        member.0
    );
    with_checksum(&lines)
}

/// `lines` and the line with their checksum.
pub(crate) fn with_checksum(lines: &str) -> String {
    let checksum = crc32fast::hash(lines.as_bytes());
    format!("{lines}{CHECKSUM}{checksum:08x}\n")
}

/// Reads a text of [`encode`]; what that would write otherwise, by a character, is refused.
pub(crate) fn decode(bytes: &[u8]) -> Result<MemberIdentity, Damage> {
    let text = std::str::from_utf8(bytes).map_err(|_| Damage::Foreign)?;
    if text.is_empty() || PREFIX.starts_with(text) {
        return Err(Damage::Malformed);
    }
    let first = text.lines().next().and_then(|line| line.strip_prefix(PREFIX)).ok_or(Damage::Foreign)?;
    let version: u32 = first.parse().map_err(|_| Damage::Malformed)?;
    if version != VERSION {
        return Err(Damage::Version(version));
    }
    read(text).filter(|identity| encode(identity) == text).ok_or(Damage::Malformed)
}

fn read(text: &str) -> Option<MemberIdentity> {
    let (lines, checksum) = text.strip_suffix('\n')?.rsplit_once('\n')?;
    let checksum = u32::from_str_radix(checksum.strip_prefix(CHECKSUM)?, 16).ok()?;
    let lines = format!("{lines}\n");
    if crc32fast::hash(lines.as_bytes()) != checksum {
        return None;
    }
    let mut lines = lines.lines().skip(1);
    let mut field = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ');
    let member = field("member")?.parse().ok().filter(|member| *member != 0)?;
    let name = field("name")?.to_owned();
    let incarnation = field("incarnation")?.parse().ok()?;
    let databases = match field("databases")? {
        "creating" => Databases::Creating,
        "created" => Databases::Created,
        _ => return None,
    };
    let cluster = cluster(field("cluster")?)?;
    Some(MemberIdentity { member: MemberId(member), name, incarnation, databases, cluster })
}

fn cluster(field: &str) -> Option<Option<(ClusterId, Joined)>> {
    if field == "none" {
        return Some(None);
    }
    let (id, how) = field.split_once(' ')?;
    let joined = match how.split_once(' ')? {
        ("replacing", lost) => Joined::Replacing(MemberId(lost.parse().ok()?)),
        ("formed", peers) => Joined::Formed(peers.split(',').map(str::to_owned).collect()),
        _ => return None,
    };
    Some(Some((cluster_id(id)?, joined)))
}

fn cluster_id(hex: &str) -> Option<ClusterId> {
    if hex.len() != CLUSTER_BYTES * 2 || !hex.is_ascii() {
        return None;
    }
    let mut id = [0; CLUSTER_BYTES];
    for (byte, at) in id.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(&hex[at..at + 2], 16).ok()?;
    }
    Some(ClusterId(id))
}
