//! Inputs from a seed: changed copies of the corpus, and some that are nothing but chance.
//!
//! The same seed, corpus and number give the same input on every machine. It follows no coverage.

/// A small generator (SplitMix64).
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// The generator of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `n`, which is not 0.
    pub fn below(&mut self, n: usize) -> usize {
        (self.number() % n as u64) as usize
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.number() as u8).collect()
    }
}

/// Integers at which arithmetic goes wrong.
const EDGES: [u64; 12] = [
    0,
    1,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x7fff_ffff_ffff_ffff,
    u64::MAX,
];
/// One of so many inputs is nothing but chance.
const RANDOM_SHARE: usize = 16;
/// Most bytes of a random input, and of a stretch that is inserted or repeated.
const RANDOM_BYTES: usize = 96;
/// Most changes of one input; most have one or two.
const CHANGES: usize = 6;

/// Input `number` of `seed`, at most `most` bytes long.
pub fn input(seed: u64, number: usize, corpus: &[Vec<u8>], most: usize) -> Vec<u8> {
    let mut dice = Dice::new(seed ^ (number as u64).wrapping_mul(0xd6e8_feb8_6659_fd93));
    let mut input = if corpus.is_empty() || dice.below(RANDOM_SHARE) == 0 {
        let count = dice.below(RANDOM_BYTES);
        dice.bytes(count)
    } else {
        let mut input = corpus[dice.below(corpus.len())].clone();
        let changes = 1 + dice.below(CHANGES).min(dice.below(CHANGES));
        for _ in 0..changes {
            change(&mut input, corpus, &mut dice);
        }
        input
    };
    input.truncate(most);
    input
}

/// Changes `input` in one place.
fn change(input: &mut Vec<u8>, corpus: &[Vec<u8>], dice: &mut Dice) {
    if input.is_empty() {
        let count = 1 + dice.below(RANDOM_BYTES);
        *input = dice.bytes(count);
        return;
    }
    let at = dice.below(input.len());
    match dice.below(9) {
        0 => input[at] ^= 1 << dice.below(8),
        1 => input[at] = dice.number() as u8,
        2 => input[at] = input[at].wrapping_add(if dice.below(2) == 0 { 1 } else { u8::MAX }),
        3 => input.truncate(at),
        4 => drop(input.drain(at..(at + 1 + dice.below(RANDOM_BYTES)).min(input.len()))),
        5 => {
            let count = 1 + dice.below(RANDOM_BYTES);
            let stretch = if dice.below(2) == 0 {
                dice.bytes(count)
            } else {
                input[at..(at + count).min(input.len())].to_vec()
            };
            drop(input.splice(at..at, stretch));
        }
        6 => splice(input, at, corpus, dice),
        7 => write_edge(input, at, dice),
        _ => write_varint(input, at, dice),
    }
}

/// Goes on as another input of the corpus from somewhere.
fn splice(input: &mut Vec<u8>, at: usize, corpus: &[Vec<u8>], dice: &mut Dice) {
    let other = &corpus[dice.below(corpus.len())];
    if !other.is_empty() {
        input.truncate(at);
        input.extend_from_slice(&other[dice.below(other.len())..]);
    }
}

/// Overwrites an integer of fixed width.
fn write_edge(input: &mut [u8], at: usize, dice: &mut Dice) {
    let edge = EDGES[dice.below(EDGES.len())];
    let width = 1 << dice.below(4);
    let bytes = if dice.below(2) == 0 {
        edge.to_le_bytes()[..width].to_vec()
    } else {
        edge.to_be_bytes()[8 - width..].to_vec()
    };
    for (byte, new) in input[at..].iter_mut().zip(bytes) {
        *byte = new;
    }
}

/// Puts an integer as postcard and protobuf write it in the place of one byte.
fn write_varint(input: &mut Vec<u8>, at: usize, dice: &mut Dice) {
    let mut edge = EDGES[dice.below(EDGES.len())];
    let mut bytes = Vec::new();
    while edge > 0x7f {
        bytes.push(edge as u8 | 0x80);
        edge >>= 7;
    }
    bytes.push(edge as u8);
    drop(input.splice(at..=at, bytes));
}
