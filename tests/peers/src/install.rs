//! The peers' servers and drivers: built once by their own languages' tools, in the releases that
//! `versions.toml` names, and kept in a folder outside of the checkout. A peer that cannot be had
//! is named with what to install, and the comparison goes on without it.
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;
use thiserror::Error;

use crate::kind::Kind;

/// Where the sources of the drivers are.
const SOURCES: &str = env!("CARGO_MANIFEST_DIR");

/// How many lines of a tool's last words are told.
const REASON_LINES: usize = 8;

/// The releases that are compared.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Versions {
    /// etcd, server and client.
    pub etcd: String,
    /// ZooKeeper, server and client.
    pub zookeeper: String,
    /// Curator, the recipes of ZooKeeper's users.
    pub curator: String,
}

impl Versions {
    /// What `versions.toml` says.
    ///
    /// # Panics
    /// When it is not what it should be.
    pub fn present() -> Self {
        toml::from_str(include_str!("../versions.toml")).expect("versions.toml names the three releases")
    }
}

/// This project's own side of the comparison.
#[derive(Clone, Debug)]
pub struct Own {
    /// The binary `synod`.
    pub server: PathBuf,
    /// The binary `peers`, whose command `drive` is the driver.
    pub driver: PathBuf,
}

/// A peer that can be run.
#[derive(Clone, Debug)]
pub enum Installed {
    /// Binaries of this project.
    Synod(Own),
    /// A folder with all jars.
    ZooKeeper(PathBuf),
    /// A folder with `etcd` and `driver`.
    Etcd(PathBuf),
}

/// Why a peer cannot be run.
#[derive(Debug, Error)]
pub enum Missing {
    /// A tool that builds it is not there.
    #[error("`{tool}` is not there: {advice}")]
    Tool {
        /// Its command.
        tool: &'static str,
        /// What to install.
        advice: &'static str,
    },
    /// The tool failed.
    #[error("`{command}` failed: {reason}")]
    Build {
        /// What was run.
        command: String,
        /// The end of what it said.
        reason: String,
    },
    /// Nothing is built, and building was forbidden.
    #[error("it is not built yet: run `make peers` once, or leave --no-install away")]
    NotBuilt,
    /// A file could not be read or written.
    #[error("{0}")]
    Disk(#[from] std::io::Error),
}

/// Where the peers are kept unless one says otherwise: beside the project's other caches.
pub fn usual_cache() -> PathBuf {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let caches = variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")));
    caches.unwrap_or_else(std::env::temp_dir).join("synod").join("peers")
}

/// Makes sure that a peer can be run. It is built if `may_build`, and not there yet.
///
/// # Errors
/// [`Missing`], with what to do.
pub fn install(kind: Kind, own: &Own, cache: &Path, may_build: bool) -> Result<Installed, Missing> {
    let versions = Versions::present();
    match kind {
        Kind::Synod => Ok(Installed::Synod(own.clone())),
        Kind::Etcd => {
            let name = format!("etcd-{}", versions.etcd);
            let folder = built(cache, &name, "etcd", may_build, build_etcd)?;
            Ok(Installed::Etcd(folder))
        }
        Kind::ZooKeeper => {
            let name = format!("zookeeper-{}-{}", versions.zookeeper, versions.curator);
            let build = |made: &Path| build_zookeeper(made, &versions);
            let folder = built(cache, &name, "zookeeper", may_build, build)?;
            Ok(Installed::ZooKeeper(folder.join("lib")))
        }
    }
}

/// The folder in the cache that was built of exactly these sources; it is built beside its place
/// and moved there when it is whole.
fn built(
    cache: &Path,
    name: &str,
    sources: &str,
    may_build: bool,
    build: impl FnOnce(&Path) -> Result<(), Missing>,
) -> Result<PathBuf, Missing> {
    let mark = digest(&Path::new(SOURCES).join(sources))?;
    let folder = cache.join(format!("{name}-{mark}"));
    if folder.is_dir() {
        return Ok(folder);
    }
    if !may_build {
        return Err(Missing::NotBuilt);
    }
    let unfinished = cache.join(format!("{name}.unfinished"));
    if unfinished.exists() {
        std::fs::remove_dir_all(&unfinished)?;
    }
    std::fs::create_dir_all(&unfinished)?;
    build(&unfinished)?;
    std::fs::rename(&unfinished, &folder)?;
    Ok(folder)
}

/// A short digest of a folder's files and their names.
fn digest(folder: &Path) -> Result<String, std::io::Error> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let list = if entry.file_type()?.is_dir() { &mut folders } else { &mut files };
            list.push(entry.path());
        }
    }
    files.sort();
    let mut hasher = blake3::Hasher::new();
    for file in files {
        let content = std::fs::read(&file)?;
        let name = file.strip_prefix(folder).unwrap_or(&file);
        hasher.update(name.as_os_str().as_encoded_bytes());
        hasher.update(&content.len().to_le_bytes());
        hasher.update(&content);
    }
    Ok(hasher.finalize().to_hex()[..12].to_owned())
}

fn build_etcd(made: &Path) -> Result<(), Missing> {
    let go = |arguments: &[&OsStr]| {
        let mut go = Command::new("go");
        go.args(arguments).current_dir(Path::new(SOURCES).join("etcd"));
        run(go, "go", "install Go 1.26 or later; Debian's `golang-go` is too old for this etcd")
    };
    go(&["test", "-mod=readonly", "./driver"].map(OsStr::new))?;
    for (program, package) in [("etcd", "./server"), ("driver", "./driver")] {
        let built = made.join(program);
        go(&["build".as_ref(), "-mod=readonly".as_ref(), "-o".as_ref(), built.as_ref(), package.as_ref()])?;
    }
    Ok(())
}

fn build_zookeeper(made: &Path, versions: &Versions) -> Result<(), Missing> {
    let mut maven = Command::new("mvn");
    maven.args(["-q", "-B", "package"]);
    maven.arg(format!("-Dzookeeper.version={}", versions.zookeeper));
    maven.arg(format!("-Dcurator.version={}", versions.curator));
    maven.arg(format!("-Dout={}", made.display()));
    maven.current_dir(Path::new(SOURCES).join("zookeeper"));
    run(maven, "mvn", "install Debian's packages `maven` and `default-jdk-headless`")
}

fn run(mut command: Command, tool: &'static str, advice: &'static str) -> Result<(), Missing> {
    let said = command.stdin(Stdio::null()).output();
    let said = match said {
        Ok(said) => said,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(Missing::Tool { tool, advice });
        }
        Err(error) => return Err(error.into()),
    };
    if said.status.success() {
        return Ok(());
    }
    let text = [said.stdout, said.stderr].concat();
    let lines: Vec<_> = String::from_utf8_lossy(&text).lines().map(str::to_owned).collect();
    let reason = lines[lines.len().saturating_sub(REASON_LINES)..].join("; ");
    Err(Missing::Build { command: format!("{command:?}"), reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_mod_names_the_release_of_etcd_that_is_compared() {
        let go_mod = include_str!("../etcd/go.mod");
        for module in ["server", "client"] {
            let line = format!("go.etcd.io/etcd/{module}/v3 v{}", Versions::present().etcd);
            assert!(go_mod.contains(&line), "go.mod lacks `{line}`");
        }
    }

    #[test]
    fn a_tool_that_is_not_there_is_named_with_what_to_install() {
        let missing = run(Command::new("no-such-tool"), "mvn", "install it").expect_err("it is not there");
        assert_eq!(missing.to_string(), "`mvn` is not there: install it");
    }

    #[test]
    fn what_a_tool_that_failed_said_last_is_told() {
        let mut shell = Command::new("sh");
        shell.args(["-c", "echo first; echo last >&2; exit 1"]);
        let missing = run(shell, "sh", "").expect_err("it fails");
        assert!(missing.to_string().ends_with("failed: first; last"), "{missing}");
    }

    #[test]
    fn a_build_that_fails_leaves_nothing_that_counts_as_built() {
        let cache = tempfile::tempdir().expect("the temporary folder can be written");
        let failed = built(cache.path(), "etcd-0", "etcd", true, |made| {
            std::fs::write(made.join("half"), "")?;
            Err(Missing::NotBuilt)
        });
        assert!(failed.is_err());
        let absent = built(cache.path(), "etcd-0", "etcd", false, |_| Ok(()));
        assert!(matches!(absent, Err(Missing::NotBuilt)));
        let write = |made: &Path| Ok(std::fs::write(made.join("whole"), "")?);
        let folder = built(cache.path(), "etcd-0", "etcd", true, write).expect("it is built");
        let again = built(cache.path(), "etcd-0", "etcd", true, |_| panic!("it is built already"));
        assert_eq!(again.expect("it is there"), folder);
        assert!(folder.join("whole").exists() && !folder.join("half").exists());
    }

    #[test]
    fn other_sources_are_built_again() {
        let folder = tempfile::tempdir().expect("the temporary folder can be written");
        std::fs::write(folder.path().join("a"), "1").expect("a file can be written");
        let before = digest(folder.path()).expect("it can be read");
        assert_eq!(digest(folder.path()).expect("it can be read"), before);
        std::fs::write(folder.path().join("a"), "2").expect("a file can be written");
        assert_ne!(digest(folder.path()).expect("it can be read"), before);
    }
}
