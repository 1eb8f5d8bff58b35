//! What makes an instance forget a call: memory is put back to what it was when the instance was
//! made, wherever the call may have written.
//!
//! Where that is nobody is asked who could lie. Instrumented code marks the line of memory that it
//! writes to before it writes, in a map behind the memory that the recipe has, and the host marks
//! what it writes itself. The map is the last bytes of memory, so that a mark for an address
//! outside of the recipe's memory lies outside of all memory and traps: no store of a recipe
//! reaches the map or the space in front of it. It can read there, and learns what itself wrote.
//!
//! Globals are set by the entry points that instrumentation makes, and tables do not change.
//! Nothing here depends on what a recipe exports, on its allocator or on where its heap begins.
use std::ops::Range;

use synod_abi::limits::MEMORY_PAGES;
use synod_machine::Fatal;
use wasmtime::wasmparser::{BinaryReaderError, DataKind, Parser, Payload};

use crate::admission::constant;

const PAGE_BYTES: usize = 64 * 1_024;
/// Pages of an instrumented module: the recipe's, and one for the map.
pub(crate) const PAGES: u64 = MEMORY_PAGES + 1;
/// Memory that a recipe has, in bytes.
pub(crate) const GUEST_BYTES: usize = MEMORY_PAGES as usize * PAGE_BYTES;
/// A line is `1 << LINE_SHIFT` bytes.
pub(crate) const LINE_SHIFT: u32 = 11;
const LINE_BYTES: usize = 1 << LINE_SHIFT;
const LINES: usize = GUEST_BYTES >> LINE_SHIFT;
/// Where the map begins, a byte a line.
pub(crate) const MAP_START: usize = PAGES as usize * PAGE_BYTES - LINES;
/// A store is marked by its last byte; of a line before that one it reaches so many bytes.
const STORE_REACH: usize = 7;

/// Memory of a fresh instance up to where all that follows is zero.
#[derive(Debug)]
pub(crate) struct Pristine(Vec<u8>);

impl Pristine {
    /// What an instance of `module`, which must be admitted, begins with.
    pub(crate) fn of(module: &[u8]) -> Result<Self, Fatal> {
        let mut segments = Vec::new();
        for payload in Parser::new(0).parse_all(module) {
            if let Payload::DataSection(section) = payload.map_err(malformed)? {
                for segment in section {
                    let segment = segment.map_err(malformed)?;
                    let DataKind::Active { offset_expr, .. } = &segment.kind else {
                        return Err(Fatal("an admitted module has a passive data segment".to_string()));
                    };
                    let start = constant(offset_expr).map(|start| start as usize);
                    segments.push(
                        start
                            .filter(|start| start + segment.data.len() <= GUEST_BYTES)
                            .zip(Some(segment.data)),
                    );
                }
            }
        }
        let segments = segments.into_iter().collect::<Option<Vec<(usize, &[u8])>>>();
        let segments =
            segments.ok_or_else(|| Fatal("an admitted module has data outside of memory".to_string()))?;
        let end = segments.iter().map(|(start, data)| start + data.len()).max().unwrap_or_default();
        // Pages of it that stay zero are never touched, and cost nothing.
        let mut image = vec![0; end.next_multiple_of(LINE_BYTES)];
        for (start, data) in segments {
            image[start..start + data.len()].copy_from_slice(data);
        }
        Ok(Self(image))
    }

    /// Puts back every line that is marked, and takes the marks away.
    pub(crate) fn restore(&self, memory: &mut [u8]) {
        let (memory, map) = memory.split_at_mut(MAP_START);
        let mut from = 0;
        while let Some(lines) = marked(map, from) {
            let end = lines.end * LINE_BYTES;
            let start = (lines.start * LINE_BYTES).saturating_sub(STORE_REACH);
            let image = self.0.get(start..end.min(self.0.len())).unwrap_or_default();
            let (imaged, zeroed) = memory[start..end].split_at_mut(image.len());
            imaged.copy_from_slice(image);
            zeroed.fill(0);
            from = lines.end;
            map[lines].fill(0);
        }
    }
}

/// The first lines from `from` on that are marked, as far as they lie side by side.
fn marked(map: &[u8], from: usize) -> Option<Range<usize>> {
    const BLOCK: usize = 64;
    let find = |within: &[u8]| within.iter().position(|mark| *mark != 0);
    let blocks = from.next_multiple_of(BLOCK);
    let start = match find(&map[from..blocks]) {
        Some(at) => from + at,
        None => {
            let is_marked = |block: &[u8]| block.iter().fold(0, |all, mark| all | mark) != 0;
            let block = blocks + BLOCK * map[blocks..].chunks_exact(BLOCK).position(is_marked)?;
            block + find(&map[block..])?
        }
    };
    let end = map[start..].iter().position(|mark| *mark == 0).map_or(LINES, |len| start + len);
    Some(start..end)
}

/// Lines that are marked in `memory`.
pub(crate) fn marked_lines(memory: &[u8]) -> usize {
    let (map, mut lines, mut from) = (&memory[MAP_START..], 0, 0);
    while let Some(run) = marked(map, from) {
        lines += run.len();
        from = run.end;
    }
    lines
}

/// Marks what the host wrote: `len` bytes from `start` of the recipe's memory, which they lie in.
/// `behind` is what lies behind that memory.
pub(crate) fn mark(behind: &mut [u8], start: u32, len: u32) {
    if let Some(last) = len.checked_sub(1).map(|len| start + len) {
        let map = &mut behind[MAP_START - GUEST_BYTES..];
        map[(start >> LINE_SHIFT) as usize..=(last >> LINE_SHIFT) as usize].fill(1);
    }
}

fn malformed(error: BinaryReaderError) -> Fatal {
    Fatal(format!("an admitted module cannot be read: {error}"))
}

#[cfg(test)]
mod tests;
