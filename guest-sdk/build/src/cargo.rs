//! Asks cargo for a workspace's packages and for an artefact, in the messages that it has for
//! programs.
//!
//! It holds cargo's text within a bound, so that an error can carry it. It decides nothing about
//! flags: `build` does.
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use serde::Deserialize;

use crate::build::Output;
use crate::error::BuildError;

/// Most bytes of cargo's text that are kept: the last ones, where errors are.
const KEPT_TEXT_BYTES: usize = 64 * 1_024;

/// A workspace as `cargo metadata --no-deps` tells it.
#[derive(Debug, Deserialize)]
pub(crate) struct Workspace {
    /// Its members.
    pub(crate) packages: Vec<Package>,
    /// Its folder.
    pub(crate) workspace_root: PathBuf,
}

/// A member of a workspace.
#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    /// Its name.
    pub(crate) name: String,
    /// Its manifest.
    pub(crate) manifest_path: PathBuf,
    /// What it builds.
    pub(crate) targets: Vec<Target>,
    /// What it names as dependencies.
    pub(crate) dependencies: Vec<Dependency>,
}

/// Something that a package builds.
#[derive(Debug, Deserialize)]
pub(crate) struct Target {
    /// `lib`, `rlib`, `cdylib`, `proc-macro`, `bin`, `test` ...
    pub(crate) kind: Vec<String>,
}

impl Target {
    /// It is the package's library.
    pub(crate) fn is_library(&self) -> bool {
        self.kind
            .iter()
            .any(|kind| matches!(kind.as_str(), "lib" | "rlib" | "cdylib" | "dylib" | "staticlib"))
    }
}

/// A dependency as a manifest names it.
#[derive(Debug, Deserialize)]
pub(crate) struct Dependency {
    /// Its folder, if it is one of this machine.
    pub(crate) path: Option<PathBuf>,
}

/// The part of cargo's messages that tells where a module is.
#[derive(Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
enum Message {
    CompilerArtifact {
        manifest_path: PathBuf,
        target: Target,
        filenames: Vec<PathBuf>,
    },
    #[serde(other)]
    Other,
}

/// Runs `cargo metadata --no-deps`.
pub(crate) fn workspace(mut command: Command, dir: &Path) -> Result<Workspace, BuildError> {
    command
        .args(["metadata", "--no-deps", "--format-version", "1", "--manifest-path"])
        .arg(dir.join("Cargo.toml"));
    let mut answer = Vec::new();
    let (status, output) =
        run(command, Output::Captured, |stdout| stdout.read_to_end(&mut answer).map(drop))?;
    if !status.success() {
        return Err(BuildError::Cargo {
            task: format!("read the manifest of {}", dir.display()),
            status,
            output,
        });
    }
    serde_json::from_slice(&answer)
        .map_err(|error| BuildError::Garbled { tool: "cargo metadata", reason: error.to_string() })
}

/// Runs a build, and returns the `.wasm` file that it made of the package with `manifest`.
pub(crate) fn artefact(
    command: Command,
    manifest: &Path,
    output: Output,
) -> Result<(ExitStatus, String, Option<PathBuf>), BuildError> {
    let mut found = None;
    let (status, text) = run(command, output, |stdout| {
        for line in stdout.lines() {
            if let Ok(Message::CompilerArtifact { manifest_path, target, filenames }) =
                serde_json::from_str(&line?)
                && manifest_path == manifest
                && target.is_library()
            {
                found = filenames
                    .into_iter()
                    .find(|file| file.extension().is_some_and(|extension| extension == "wasm"))
                    .or(found.take());
            }
        }
        Ok(())
    })?;
    Ok((status, text, found))
}

/// Runs `command`, passes its standard output to `read`, and keeps the end of its standard error.
fn run(
    mut command: Command,
    output: Output,
    read: impl FnOnce(&mut BufReader<std::process::ChildStdout>) -> std::io::Result<()>,
) -> Result<(ExitStatus, String), BuildError> {
    let program = PathBuf::from(command.get_program());
    let stderr = match output {
        Output::Captured => Stdio::piped(),
        Output::Terminal => Stdio::inherit(),
    };
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(stderr)
        .spawn()
        .map_err(BuildError::io("run", &program))?;
    let text = child.stderr.take().map(|stderr| std::thread::spawn(move || last_bytes(stderr)));
    let answered = match child.stdout.take() {
        Some(stdout) => read(&mut BufReader::new(stdout)),
        None => Ok(()),
    };
    let status = child.wait().map_err(BuildError::io("wait for", &program))?;
    answered.map_err(BuildError::io("read from", &program))?;
    let text = match text.map(std::thread::JoinHandle::join) {
        None => Vec::new(),
        Some(Ok(Ok(text))) => text,
        Some(Ok(Err(error))) => return Err(BuildError::io("read from", &program)(error)),
        Some(Err(panic)) => std::panic::resume_unwind(panic),
    };
    Ok((status, String::from_utf8_lossy(&text).into_owned()))
}

fn last_bytes(mut from: impl Read) -> std::io::Result<Vec<u8>> {
    let (mut kept, mut chunk) = (VecDeque::new(), [0; 4_096]);
    loop {
        match from.read(&mut chunk) {
            Ok(0) => return Ok(kept.into()),
            Ok(len) => kept.extend(&chunk[..len]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => (),
            Err(error) => return Err(error),
        }
        let excess = kept.len().saturating_sub(KEPT_TEXT_BYTES);
        kept.drain(..excess);
    }
}

#[cfg(test)]
mod tests;
