//! What goes through the pipes between a member and its compiler: numbers in little endian, and
//! bytes with their length before them. Both ends are of one build, so there are no versions.
use std::io::{self, Read};

use synod_vm::compile::Code;

/// What an answer is longer than its code, at most.
pub(super) const OVERHEAD_BYTES: u64 = 64;

/// What a child sets for itself before it reads the module. 0 is no bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bounds {
    /// Most address space.
    pub(super) memory_bytes: u64,
    /// Most processor time, of all threads.
    pub(super) cpu_seconds: u64,
    /// Added to its niceness.
    pub(super) niceness: i32,
}

/// What is asked of a child.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Order {
    /// Of the edition of the engines that the code is for.
    pub(super) fingerprint: [u8; 32],
    /// Of the child.
    pub(super) bounds: Bounds,
    /// The module, admitted.
    pub(super) module: Vec<u8>,
}

/// What a child says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It compiled the module.
    Code {
        /// Of the edition that it made it for.
        fingerprint: [u8; 32],
        /// What it made.
        code: Code,
    },
    /// The compiler's words about the module.
    Refused(String),
    /// Why it did not try.
    Unable(String),
}

const CODE: u8 = 0;
const REFUSED: u8 = 1;
const UNABLE: u8 = 2;

impl Order {
    pub(super) fn encode(&self) -> Vec<u8> {
        let Self { fingerprint, bounds: Bounds { memory_bytes, cpu_seconds, niceness }, module } = self;
        let mut bytes = Vec::with_capacity(module.len() + OVERHEAD_BYTES as usize);
        bytes.extend_from_slice(fingerprint);
        bytes.extend_from_slice(&memory_bytes.to_le_bytes());
        bytes.extend_from_slice(&cpu_seconds.to_le_bytes());
        bytes.extend_from_slice(&niceness.to_le_bytes());
        put(&mut bytes, module);
        bytes
    }

    /// Reads an order from `source`, which may go on behind it.
    pub(super) fn read(source: &mut impl Read) -> io::Result<Self> {
        let fingerprint = array(source)?;
        let memory_bytes = u64::from_le_bytes(array(source)?);
        let cpu_seconds = u64::from_le_bytes(array(source)?);
        let niceness = i32::from_le_bytes(array(source)?);
        let length = u64::from_le_bytes(array(source)?);
        let mut module = Vec::new();
        source.take(length).read_to_end(&mut module)?;
        if module.len() as u64 != length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Self { fingerprint, bounds: Bounds { memory_bytes, cpu_seconds, niceness }, module })
    }
}

impl Answer {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self {
            Self::Code { fingerprint, code } => {
                bytes.push(CODE);
                bytes.extend_from_slice(fingerprint);
                put(&mut bytes, &code.apply);
                put(&mut bytes, &code.query);
            }
            Self::Refused(cause) => {
                bytes.push(REFUSED);
                put(&mut bytes, cause.as_bytes());
            }
            Self::Unable(cause) => {
                bytes.push(UNABLE);
                put(&mut bytes, cause.as_bytes());
            }
        }
        bytes
    }

    /// None if `bytes` are not a complete answer.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        let (answer, rest) = match *kind {
            CODE => {
                let (fingerprint, rest) = rest.split_first_chunk()?;
                let (apply, rest) = get(rest)?;
                let (query, rest) = get(rest)?;
                let code = Code { apply: apply.to_vec(), query: query.to_vec() };
                (Self::Code { fingerprint: *fingerprint, code }, rest)
            }
            REFUSED | UNABLE => {
                let (text, rest) = get(rest)?;
                let text = String::from_utf8_lossy(text).into_owned();
                (if *kind == REFUSED { Self::Refused(text) } else { Self::Unable(text) }, rest)
            }
            _ => return None,
        };
        rest.is_empty().then_some(answer)
    }
}

fn put(bytes: &mut Vec<u8>, part: &[u8]) {
    bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
    bytes.extend_from_slice(part);
}

fn get(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)
}

fn array<const N: usize>(source: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    source.read_exact(&mut bytes)?;
    Ok(bytes)
}
