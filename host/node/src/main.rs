//! Starts what `lib.rs` holds.
use std::process::ExitCode;

fn main() -> ExitCode {
    synod::main()
}
