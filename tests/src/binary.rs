//! The `synod` binary under test: built by asking cargo, and copied, so that another checkout that
//! shares the target directory cannot replace it during a run.
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// Path of a private copy of the binary, built at most once in this process.
///
/// # Panics
/// When cargo cannot build it; its own message is on stderr.
pub fn synod() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let built = build();
        let copy = std::env::temp_dir().join(format!("synod-under-test-{}", std::process::id()));
        std::fs::copy(&built, &copy)
            .unwrap_or_else(|error| panic!("cannot copy {}: {error}", built.display()));
        copy
    })
}

/// Removes the private copy; call it last.
pub fn remove_copy() {
    let copy = std::env::temp_dir().join(format!("synod-under-test-{}", std::process::id()));
    if let Err(error) = std::fs::remove_file(&copy) {
        eprintln!("could not remove {}: {error}", copy.display());
    }
}

fn build() -> PathBuf {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .args([
            "build",
            "--locked",
            "--package",
            "synod",
            "--bin",
            "synod",
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
