//! Why a recipe was not built. Each message says what was wrong and what to do; cargo's own text is
//! part of it.
//!
//! These are errors of a developer's machine. They never reach a cluster, so they may hold paths
//! and text of tools.
use std::io;
use std::path::PathBuf;

/// Why a recipe was not built, made or tested.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// No toolchain can compile to WebAssembly.
    #[error(
        "no Rust toolchain here can compile to wasm32-unknown-unknown:\n{tried}\nInstall one of:\n  \
         rustup target add wasm32-unknown-unknown\n  \
         apt-get install --no-install-recommends rustc-web cargo-web rust-web-src rust-web-llvm lld-22   \
         (Debian; builds the standard library once)"
    )]
    NoToolchain {
        /// What was looked at and why it does not do, a line each.
        tried: String,
    },
    /// `SYNOD_GUEST_TOOLCHAIN` names no kind of toolchain.
    #[error(
        "SYNOD_GUEST_TOOLCHAIN is `{value}`; it must be `rustup` or `debian`, or unset to take the first \
            that works"
    )]
    UnknownChoice {
        /// Its value.
        value: String,
    },
    /// The folder holds no crate that could be a recipe.
    #[error("{} is not a recipe: {reason}", dir.display())]
    NotARecipe {
        /// The folder.
        dir: PathBuf,
        /// Why, and what to do.
        reason: String,
    },
    /// Cargo failed.
    #[error("cargo could not {task} ({status}){}", text(output))]
    Cargo {
        /// What cargo was to do.
        task: String,
        /// How it ended.
        status: std::process::ExitStatus,
        /// What it wrote, its last 64 KiB; empty if it wrote to the terminal.
        output: String,
    },
    /// The lock file does not fit the manifests, and the build may not change it.
    #[error("the Cargo.lock of {} does not fit its manifests, and this build must not change it: run `cargo \
        update --workspace` there and commit the result{}", dir.display(), text(output))]
    StaleLock {
        /// The recipe's folder.
        dir: PathBuf,
        /// What cargo wrote.
        output: String,
    },
    /// A recipe cannot have this name.
    #[error("a new recipe cannot be called `{name}`: {reason}")]
    BadName {
        /// The name.
        name: String,
        /// Which rule it breaks.
        reason: &'static str,
    },
    /// There is something where the new recipe would go.
    #[error("{} exists and is not an empty folder; choose another name or folder", dir.display())]
    NotEmpty {
        /// The folder.
        dir: PathBuf,
    },
    /// The folder given as SDK is none.
    #[error("{} does not hold Synod's sources: there is no guest-sdk/sdk/Cargo.toml in it", dir.display())]
    NotAnSdk {
        /// The folder.
        dir: PathBuf,
    },
    /// There is no folder for caches.
    #[error("there is no folder for caches: set XDG_CACHE_HOME to an absolute path, or HOME")]
    NoCacheFolder,
    /// The operating system refused something.
    #[error("cannot {task} {}: {source}", path.display())]
    Io {
        /// What was to be done.
        task: &'static str,
        /// With what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A tool answered something that cannot be understood.
    #[error("{tool} gave an answer that cannot be understood: {reason}")]
    Garbled {
        /// The tool.
        tool: &'static str,
        /// What is wrong with its answer.
        reason: String,
    },
}

impl BuildError {
    /// Wraps an operating system's error: `map_err(BuildError::io("read", path))`.
    pub(crate) fn io(task: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { task, path, source }
    }
}

fn text(output: &str) -> String {
    if output.trim().is_empty() { String::new() } else { format!(":\n{}", output.trim_end()) }
}
