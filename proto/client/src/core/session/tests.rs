//! Transcripts of a session's decisions: scripts of what happens, each followed by what the core
//! decides. After an intended change, `UPDATE_GOLDENFILES=1 cargo test -p synod-client` writes the
//! scripts again, to be read before they are committed.
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

mod lifetime;
mod requests;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/core/session/tests/scripts").join(name)
}

/// Compares the scripts that tests run with those that the folder has.
fn assert_all_run(name: &str, run: &[&str]) -> io::Result<()> {
    let found: io::Result<BTreeSet<String>> = std::fs::read_dir(folder(name))?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect();
    let run: BTreeSet<String> = run.iter().map(|script| (*script).to_owned()).collect();
    assert_eq!(found?, run);
    Ok(())
}

/// Makes a test of each script of a folder.
macro_rules! scripts {
    ($runner:expr, $folder:literal: $($script:ident),* $(,)?) => {
        $(
            #[test]
            fn $script() -> std::io::Result<()> {
                goldenscript::run(&mut $runner, super::folder($folder).join(stringify!($script)))
            }
        )*

        #[test]
        fn every_script_is_run() -> std::io::Result<()> {
            super::assert_all_run($folder, &[$(stringify!($script)),*])
        }
    };
}
use scripts;
