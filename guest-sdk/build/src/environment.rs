//! Which variables of this process a tool inside gets to see: an explicit list, everything else is
//! dropped.
//!
//! Inside a build script the outer cargo sets `RUSTC_WORKSPACE_WRAPPER` (clippy),
//! `CARGO_ENCODED_RUSTFLAGS`, `CARGO_TARGET_DIR`, profiles and more; each would change the module's
//! bytes, or deadlock. A list of what may pass cannot miss one, a list of what may not would.
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::Command;

/// Variables that pass.
const PASSED: [&str; 31] = [
    "ALL_PROXY",
    "CARGO_HOME",
    "CARGO_MAKEFLAGS",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "HOME",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "LANG",
    "LC_ALL",
    "LOGNAME",
    "NO_PROXY",
    "PATH",
    "RUSTUP_AUTO_INSTALL",
    "RUSTUP_HOME",
    "RUSTUP_TOOLCHAIN",
    "SSH_AUTH_SOCK",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TEMP",
    "TERM",
    "TMP",
    "TMPDIR",
    "USER",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "all_proxy",
    "ftp_proxy",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];
/// Beginnings of variables that pass: how cargo reaches the network.
const PASSED_PREFIXES: [&str; 3] = ["CARGO_HTTP_", "CARGO_NET_", "CARGO_REGISTRIES_"];
/// Forces a kind of toolchain.
const CHOICE: &str = "SYNOD_GUEST_TOOLCHAIN";

/// The variables that a build may depend on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    variables: BTreeMap<OsString, OsString>,
    choice: Option<String>,
}

impl Environment {
    /// From the variables of this process.
    pub fn of_process() -> Self {
        Self::of(std::env::vars_os())
    }

    /// From `variables`: keeps those on the list.
    pub fn of(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let mut environment = Self::default();
        for (name, value) in variables {
            match name.to_str() {
                Some(CHOICE) => environment.choice = Some(value.to_string_lossy().into_owned()),
                Some(passed) if passes(passed) => {
                    environment.variables.insert(name, value);
                }
                _ => (),
            }
        }
        environment
    }

    /// A command that sees these variables alone.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().envs(&self.variables);
        command
    }

    /// The value of `SYNOD_GUEST_TOOLCHAIN`, unless empty.
    pub(crate) fn choice(&self) -> Option<&str> {
        self.choice.as_deref().filter(|choice| !choice.is_empty())
    }

    /// Where cargo keeps downloaded sources.
    pub(crate) fn cargo_home(&self) -> Option<PathBuf> {
        self.absolute("CARGO_HOME").or_else(|| Some(self.absolute("HOME")?.join(".cargo")))
    }

    /// The user's folder for caches.
    pub(crate) fn cache_home(&self) -> Option<PathBuf> {
        self.absolute("XDG_CACHE_HOME").or_else(|| Some(self.absolute("HOME")?.join(".cache")))
    }

    fn absolute(&self, name: &str) -> Option<PathBuf> {
        let path = PathBuf::from(self.variables.get(OsStr::new(name))?);
        path.is_absolute().then_some(path)
    }
}

fn passes(name: &str) -> bool {
    PASSED.binary_search(&name).is_ok() || PASSED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests;
