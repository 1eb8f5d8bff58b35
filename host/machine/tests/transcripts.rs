//! Transcripts of the machine: scripts of commands, each followed by what it did. A reader sees a
//! session open, a call park, time out, be cancelled.
//!
//! After an intended change, `UPDATE_GOLDENFILES=1 cargo test -p synod-machine --test transcripts`
//! writes the scripts again, to be read before they are committed.
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

mod script;
mod support;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts")
}

/// Makes a test of each script.
macro_rules! scripts {
    ($($script:ident),* $(,)?) => {
        $(
            #[test]
            fn $script() -> io::Result<()> {
                goldenscript::run(&mut script::Runner::formed(), folder().join(stringify!($script)))
            }
        )*

        #[test]
        fn every_script_is_run() -> io::Result<()> {
            let run = BTreeSet::from([$(stringify!($script).to_owned()),*]);
            let names = std::fs::read_dir(folder())?
                .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
            assert_eq!(names.collect::<io::Result<BTreeSet<String>>>()?, run);
            Ok(())
        }
    };
}

scripts! { park, retry, cancel, expire, deliver, compact, timers, upgrade, owed }
