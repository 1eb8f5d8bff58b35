//! Runs a target on its corpus and on inputs from a seed, and says of a failure how to see it
//! again.
use std::any::Any;
use std::fmt::Write as _;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::heap::peak_of;
use crate::mutate;
use crate::targets::Target;

/// Longest input that a failure prints as text.
const SHOWN_BYTES: usize = 4_096;

/// What is wrong with a target, and how to see it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding(pub String);

/// The folder with the inputs of a target that are checked in.
pub fn corpus_folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target)
}

/// The inputs of a target that are checked in, by name, in the order of their names.
///
/// # Panics
/// If the folder is missing or unreadable.
pub fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = corpus_folder(target);
    let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let read = |file: std::io::Result<fs::DirEntry>| {
        let path = file.expect("the folder is readable").path();
        let name = path.file_name().expect("a file").to_string_lossy().into_owned();
        (name, fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    };
    let mut inputs: Vec<_> = files.map(read).collect();
    inputs.sort();
    inputs
}

/// Runs `target` on its corpus and then on so many inputs of `seed`.
///
/// # Errors
/// The first input on which it panics, hangs or asks for too much memory.
pub fn run(target: &Target, seed: u64, inputs: usize) -> Result<(), Finding> {
    let corpus = corpus(target.name);
    for (name, input) in &corpus {
        check(target, input, &format!("file {name} of the corpus"))?;
    }
    let corpus: Vec<Vec<u8>> = corpus.into_iter().map(|(_, input)| input).collect();
    for number in 0..inputs {
        let input = mutate::input(seed, number, &corpus, target.most_bytes);
        check(target, &input, &format!("input {number} of seed {seed}"))?;
    }
    Ok(())
}

/// Runs `target` on one input; `origin` says in a failure where the input is from.
///
/// # Errors
/// If it panics, hangs or asks for too much memory.
pub fn check(target: &Target, input: &[u8], origin: &str) -> Result<(), Finding> {
    let once = || {
        let began = Instant::now();
        let mut caught = Ok(());
        let peak = peak_of(|| caught = catch_unwind(AssertUnwindSafe(|| (target.run)(input))));
        (caught, peak, began.elapsed())
    };
    let mut turn = once();
    if turn.0.is_ok() && turn.2 > target.most_time {
        // The machine may have been busy; and the first input makes what all share.
        turn = once();
    }
    let (caught, peak, took) = turn;
    let room = target.heap_bytes + target.heap_per_byte * input.len();
    let most = target.most_time;
    let wrong = match caught {
        Err(panic) => format!("it panics: {}", text(&*panic)),
        Ok(()) if took > most => {
            format!("it takes {} ms, at most {} are allowed", took.as_millis(), most.as_millis())
        }
        Ok(()) if peak > room => format!("it asks for {peak} bytes of memory, at most {room} are allowed"),
        Ok(()) => return Ok(()),
    };
    Err(Finding(report(target.name, input, origin, &wrong)))
}

fn report(target: &str, input: &[u8], origin: &str, wrong: &str) -> String {
    let hex = hex(input);
    let again = format!("make fuzz TARGET={target} INPUT={hex}");
    if input.len() > SHOWN_BYTES {
        let path = std::env::temp_dir().join(format!("synod-fuzz-{target}-{}", std::process::id()));
        let written = fs::write(&path, input).map(|()| path.display().to_string());
        let place = written.unwrap_or_else(|error| format!("a file that could not be written: {error}"));
        return format!(
            "target {target}, {origin}: {wrong}\n  input: {} bytes, in {place}\n  again: make fuzz \
                TARGET={target} FILE={place}",
            input.len()
        );
    }
    format!("target {target}, {origin}: {wrong}\n  input: {hex}\n  again: {again}")
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Reads [`hex`]; none if it is not that.
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> =
        text.chars().map(|c| c.to_digit(16).map(|digit| digit as u8)).collect::<Option<_>>()?;
    digits
        .len()
        .is_multiple_of(2)
        .then(|| digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

fn text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}
