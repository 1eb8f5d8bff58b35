//! The manifest of a snapshot and its encoding.
use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};
use synod_abi::ClusterId;

use crate::mark::{decode_mark, encode_mark};
use crate::{AppliedMark, StorageError};

/// Most files of a snapshot: a state of 10 GB has some hundred.
const MANIFEST_FILES: usize = 8_192;
/// Longest name of a file, and of a layout.
const NAME_BYTES: usize = 64;

/// BLAKE3 of a file's bytes: files of the same hash are the same file, whoever sends them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ContentHash(pub [u8; 32]);

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A file of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestFile {
    /// Its name in the folder of the state.
    pub name: String,
    /// Its length.
    pub length_bytes: u64,
    /// Of its bytes.
    pub hash: ContentHash,
}

/// What a snapshot is of, and the files that it consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The cluster whose state it is, if the store that made it knows: one of another is refused.
    pub cluster: Option<ClusterId>,
    /// How far the state is, as it says itself.
    pub mark: AppliedMark,
    /// Which store wrote the files, and in which format: another one cannot read them.
    pub layout: String,
    /// In the order of their names, which differ.
    pub files: Vec<ManifestFile>,
}

#[derive(Serialize, Deserialize)]
struct Encoded {
    cluster: Option<[u8; 16]>,
    mark: Vec<u8>,
    layout: String,
    files: Vec<ManifestFile>,
}

impl Manifest {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let encoded = Encoded {
            cluster: self.cluster.map(|cluster| cluster.0),
            mark: encode_mark(&self.mark),
            layout: self.layout.clone(),
            files: self.files.clone(),
        };
        postcard::to_allocvec(&encoded).expect("strings and numbers can be encoded")
    }

    /// Reads [`encode`](Self::encode).
    ///
    /// # Errors
    /// [`StorageError::BadSnapshot`] if the bytes are no manifest, or one that no store makes.
    pub fn decode(bytes: &[u8]) -> Result<Self, StorageError> {
        let malformed = |_| bad("it is malformed");
        let (Encoded { cluster, mark, layout, files }, rest) =
            postcard::take_from_bytes::<Encoded>(bytes).map_err(malformed)?;
        let mark = decode_mark(&mark).ok_or_else(|| bad("its applied mark is malformed"))?;
        if !rest.is_empty() {
            return Err(bad("bytes follow it"));
        }
        if mark.index.is_none() {
            return Err(bad("it is of an empty state"));
        }
        if layout.len() > NAME_BYTES || files.is_empty() || files.len() > MANIFEST_FILES {
            return Err(bad(&format!("it has {} files, the limit is {MANIFEST_FILES}", files.len())));
        }
        if let Some(file) = files.iter().find(|file| !is_plain(&file.name)) {
            return Err(bad(&format!("{:?} is not the name of a file", file.name)));
        }
        let names: BTreeSet<&str> = files.iter().map(|file| file.name.as_str()).collect();
        if names.len() != files.len() {
            return Err(bad("two of its files have one name"));
        }
        if files.iter().try_fold(0u64, |sum, file| sum.checked_add(file.length_bytes)).is_none() {
            return Err(bad("its files are longer than any disk"));
        }
        Ok(Self { cluster: cluster.map(ClusterId), mark, layout, files })
    }

    /// Refuses a snapshot of another cluster than `ours`, and one that does not say of which it is.
    /// A store that knows of no cluster refuses none.
    pub(crate) fn check_cluster(&self, ours: Option<ClusterId>) -> Result<(), StorageError> {
        match (ours, self.cluster) {
            (Some(ours), Some(theirs)) if ours != theirs => {
                Err(bad(&format!("it is of cluster {theirs}, and this member belongs to {ours}")))
            }
            (Some(ours), None) => {
                Err(bad(&format!("it names no cluster, and this member belongs to {ours}")))
            }
            _ => Ok(()),
        }
    }

    /// Length of all files.
    pub fn length_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.length_bytes).sum()
    }
}

/// Whether a name names a file in a folder, and nothing else.
fn is_plain(name: &str) -> bool {
    let ok = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    !name.is_empty() && name.len() <= NAME_BYTES && !name.starts_with('.') && name.bytes().all(ok)
}

fn bad(what: &str) -> StorageError {
    StorageError::BadSnapshot(format!("the manifest of the snapshot cannot be used: {what}"))
}
