//! Builds the module of one recipe.
//!
//! What the bytes depend on is decided here: sources, lock file, toolchain, and the profile and
//! flags below. Cargo starts from an empty environment (`environment` lists what passes), the
//! profile goes with `--config`, so a recipe's manifest needs none, and paths of this machine are
//! mapped away. The crate type goes with the command as well: a manifest that asks for `rlib`
//! beside `cdylib` would silently turn link-time optimisation off.
//!
//! The target directory is one per toolchain and workspace. Sharing it between workspaces would let
//! cargo take the module of another checkout for this one's: members of both have the same identity
//! to it.
//!
//! It does not look into the module; admission does.
use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::archive::fnv1a_64;
use crate::cache::{self, FolderLock};
use crate::cargo::{self, Workspace};
use crate::environment::Environment;
use crate::error::BuildError;
use crate::scaffold;
use crate::toolchain::{Choice, Library, TARGET, Toolchain};

/// Bytes of a guest's stack: little, because a fresh instance must be given it.
pub const STACK_BYTES: u32 = 32 * 1_024;

const PROFILE: &str = "synod-guest";
/// The profile, complete, so that a workspace's own `release` profile changes nothing.
const PROFILE_SETTINGS: [(&str, &str); 10] = [
    ("inherits", "\"release\""),
    ("opt-level", "3"),
    ("lto", "\"fat\""),
    ("codegen-units", "1"),
    ("panic", "\"abort\""),
    ("strip", "true"),
    ("debug", "false"),
    ("debug-assertions", "false"),
    ("overflow-checks", "true"),
    ("incremental", "false"),
];

/// May the build change the lock file?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lock {
    /// No: a lock file that is there must fit. For build scripts and continuous integration.
    #[default]
    Keep,
    /// Yes, as cargo does when a manifest was changed. For the command line.
    Update,
}

/// Where cargo's progress and diagnostics go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Output {
    /// Into the error, if there is one.
    #[default]
    Captured,
    /// To this process's standard error.
    Terminal,
}

/// How to build.
#[derive(Clone, Debug)]
pub struct Options {
    /// May the build change the lock file?
    pub lock: Lock,
    /// Where cargo's text goes.
    pub output: Output,
    /// The variables that the build sees.
    pub environment: Environment,
    /// Where cargo works; by default a folder in the cache, one per toolchain and workspace.
    pub target_dir: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            lock: Lock::default(),
            output: Output::default(),
            environment: Environment::of_process(),
            target_dir: None,
        }
    }
}

impl Options {
    /// For people at a terminal: cargo's text goes there, and a changed manifest changes the lock
    /// file.
    pub fn interactive() -> Self {
        Self { lock: Lock::Update, output: Output::Terminal, ..Self::default() }
    }
}

/// A built module.
#[derive(Clone, Debug)]
pub struct Built {
    /// The package's name.
    pub package: String,
    /// The module.
    pub wasm: Vec<u8>,
    /// Where cargo left it, until the next build.
    pub path: PathBuf,
    /// What compiled it.
    pub toolchain: Toolchain,
}

impl Built {
    /// Writes the module to `path`, whole or not at all. A file that holds these bytes stays
    /// untouched, so that nothing that depends on it is built again.
    ///
    /// # Errors
    /// [`BuildError::Io`] if the file cannot be written.
    pub fn write_to(&self, path: &Path) -> Result<(), BuildError> {
        write_if_changed(path, &self.wasm)
    }
}

/// Builds the recipe whose manifest is in `dir`.
///
/// # Errors
/// [`BuildError`] says what is wrong with the folder, the toolchain or the code, in cargo's words
/// where they are its.
pub fn recipe(dir: &Path, options: &Options) -> Result<Built, BuildError> {
    let dir = fs::canonicalize(dir).map_err(BuildError::io("open", dir))?;
    if !dir.join("Cargo.toml").is_file() {
        let reason = "there is no Cargo.toml in it; name the folder of a recipe's crate, or make one with \
            `synod recipe new`"
            .to_owned();
        return Err(BuildError::NotARecipe { dir, reason });
    }
    scaffold::restore_link(&dir, &options.environment)?;
    let toolchain = Toolchain::find(&dir, Choice::of(&options.environment)?, &options.environment)?;
    let workspace = cargo::workspace(command(&toolchain, &options.environment), &dir)?;
    let (package, manifest) = package(&workspace, &dir)?;
    let target_dir = match &options.target_dir {
        Some(target_dir) => std::path::absolute(target_dir).map_err(BuildError::io("find", target_dir))?,
        None => default_target_dir(&toolchain, &workspace, &options.environment)?,
    };
    let _alone = FolderLock::acquire(&target_dir)?;

    let mut command = command(&toolchain, &options.environment);
    command.args(["rustc", "--lib", "--crate-type", "cdylib", "--target", TARGET, "--profile", PROFILE]);
    command
        .args(["--message-format", "json-render-diagnostics", "--manifest-path"])
        .arg(&manifest)
        .arg("--target-dir")
        .arg(&target_dir);
    for (setting, value) in PROFILE_SETTINGS {
        command.arg("--config").arg(format!("profile.{PROFILE}.{setting}={value}"));
    }
    if options.lock == Lock::Keep && workspace.workspace_root.join("Cargo.lock").is_file() {
        command.arg("--locked");
    }
    if toolchain.library == Library::FromSource {
        command.arg("-Zbuild-std=std,panic_abort").env("RUSTC_BOOTSTRAP", "1");
    }
    command
        .env("CARGO_ENCODED_RUSTFLAGS", flags(&toolchain, &workspace, &options.environment)?)
        .current_dir(&dir);

    let (status, output, path) = cargo::artefact(command, &manifest, options.output)?;
    if !status.success() {
        let stale = output.contains("--locked was passed") || output.contains("because --locked");
        return Err(if stale {
            BuildError::StaleLock { dir, output }
        } else {
            BuildError::Cargo { task: format!("build {package}"), status, output }
        });
    }
    let missing = || BuildError::Garbled {
        tool: "cargo",
        reason: format!("the build of {package} succeeded, but names no .wasm file"),
    };
    let path = path.ok_or_else(missing)?;
    let wasm = fs::read(&path).map_err(BuildError::io("read", &path))?;
    Ok(Built { package, wasm, path, toolchain })
}

fn command(toolchain: &Toolchain, environment: &Environment) -> Command {
    let mut command = environment.command(&toolchain.cargo);
    command.env("RUSTC", &toolchain.rustc).env("RUSTC_WRAPPER", "").env("RUSTC_WORKSPACE_WRAPPER", "");
    if let Some(linker) = &toolchain.linker {
        command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
    }
    command
}

fn package(workspace: &Workspace, dir: &Path) -> Result<(String, PathBuf), BuildError> {
    let not = |reason: &str| BuildError::NotARecipe { dir: dir.to_owned(), reason: reason.to_owned() };
    let manifest = dir.join("Cargo.toml");
    let package = workspace
        .packages
        .iter()
        .find(|package| fs::canonicalize(&package.manifest_path).is_ok_and(|path| path == manifest))
        .ok_or_else(|| {
            not("it is a workspace of several crates; name the folder of the one that is the recipe")
        })?;
    if !package.targets.iter().any(cargo::Target::is_library) {
        return Err(not("its crate has no library; a recipe's code is in src/lib.rs"));
    }
    Ok((package.name.clone(), package.manifest_path.clone()))
}

fn default_target_dir(
    toolchain: &Toolchain,
    workspace: &Workspace,
    environment: &Environment,
) -> Result<PathBuf, BuildError> {
    let root = fnv1a_64(workspace.workspace_root.as_os_str().as_encoded_bytes());
    Ok(cache::folder(environment, "guest")?.join(toolchain.folder_name()).join(format!("{root:016x}")))
}

/// The compiler's flags. Of several mappings that fit a path the last counts, so the general ones
/// come first.
fn flags(
    toolchain: &Toolchain,
    workspace: &Workspace,
    environment: &Environment,
) -> Result<OsString, BuildError> {
    let mut flags = vec![OsString::from(format!("-Clink-arg=-zstack-size={STACK_BYTES}"))];
    let mut map = |from: &Path, to: &str| {
        let mut paths = vec![from.to_owned()];
        paths.extend(fs::canonicalize(from).ok().filter(|path| path != from));
        for path in paths {
            let mut flag = OsString::from("--remap-path-prefix=");
            flag.extend([path.as_os_str(), "=".as_ref(), to.as_ref()]);
            flags.push(flag);
        }
    };
    if let Some(cargo_home) = environment.cargo_home() {
        map(&cargo_home, "/cargo");
    }
    map(&toolchain.library_sources(), &format!("/rustc/{}", toolchain.commit));
    let paths = workspace
        .packages
        .iter()
        .flat_map(|package| &package.dependencies)
        .filter_map(|dependency| dependency.path.as_deref());
    for path in paths.filter(|path| !path.starts_with(&workspace.workspace_root)) {
        map(workspace_of(path), "/deps");
    }
    map(&workspace.workspace_root, "/recipe");
    match flags.iter().find(|flag| flag.as_encoded_bytes().contains(&0x1f)) {
        Some(flag) => Err(BuildError::Garbled {
            tool: "the file system",
            reason: format!("a path with the control character 0x1f: {flag:?}"),
        }),
        None => Ok(flags.join("\u{1f}".as_ref())),
    }
}

/// The outermost folder above `path` that has a manifest, which holds what a dependency by path
/// itself depends on by path.
fn workspace_of(path: &Path) -> &Path {
    path.ancestors().filter(|folder| folder.join("Cargo.toml").is_file()).last().unwrap_or(path)
}

/// Writes a file unless it holds these bytes: beside it first, then in its place.
///
/// # Errors
/// [`BuildError::Io`] if the file cannot be written.
pub fn write_if_changed(path: &Path, bytes: &[u8]) -> Result<(), BuildError> {
    if fs::read(path).is_ok_and(|former| former == bytes) {
        return Ok(());
    }
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".{}.tmp", std::process::id()));
    let temporary = PathBuf::from(temporary);
    let written = fs::File::create(&temporary)
        .and_then(|mut file| file.write_all(bytes))
        .and_then(|()| fs::rename(&temporary, path));
    written.map_err(|error| {
        drop(fs::remove_file(&temporary));
        BuildError::io("write", path)(error)
    })
}

#[cfg(test)]
mod tests;
