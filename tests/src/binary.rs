//! The `synod` binaries under test: built by asking cargo, and copied, so that neither another
//! checkout that shares the target directory nor another build can replace them during a run.
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// Which binary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Build {
    /// As users get it.
    #[default]
    Usual,
    /// With one more edition of the engines, as a later release would be.
    NextEdition,
}

impl Build {
    /// Path of a private copy of the binary, built at most once in this process.
    ///
    /// # Panics
    /// When cargo cannot build it; its own message is on stderr.
    pub fn path(self) -> &'static Path {
        static PATHS: [OnceLock<PathBuf>; 2] = [const { OnceLock::new() }; 2];
        PATHS[self as usize].get_or_init(|| {
            let built = build(self);
            let copy = self.copy();
            std::fs::copy(&built, &copy)
                .unwrap_or_else(|error| panic!("cannot copy {}: {error}", built.display()));
            copy
        })
    }

    fn copy(self) -> PathBuf {
        std::env::temp_dir().join(format!("synod-under-test-{}-{}", std::process::id(), self as usize))
    }

    fn features(self) -> &'static str {
        match self {
            Self::Usual => "",
            Self::NextEdition => "next-edition",
        }
    }
}

/// Path of a private copy of the usual binary, as [`Build::path`].
///
/// # Panics
/// As there.
pub fn synod() -> &'static Path {
    Build::Usual.path()
}

/// Removes the private copy of the usual binary; call it last.
pub fn remove_copy() {
    let copy = Build::Usual.copy();
    if let Err(error) = std::fs::remove_file(&copy) {
        eprintln!("could not remove {}: {error}", copy.display());
    }
}

fn build(which: Build) -> PathBuf {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .args([
            "build",
            "--locked",
            "--package",
            "synod",
            "--bin",
            "synod",
            "--features",
            which.features(),
            "--message-format=json-render-diagnostics",
        ])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo can be started");
    assert!(output.status.success(), "cargo build failed");
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .find_map(|message| {
            let is_binary = message["reason"] == "compiler-artifact" && message["target"]["name"] == "synod";
            is_binary.then(|| message["executable"].as_str().map(PathBuf::from)).flatten()
        })
        .expect("cargo names the binary that it built")
}
