//! Starts a recipe: a crate of its own with a small working recipe, its tests and a page that says
//! how to go on.
//!
//! The crate finds the SDK through `.synod`, a link that git ignores: to the sources that this
//! program carries, unpacked in a cache folder, or to those that `--sdk-path` names. So its
//! manifest holds no path of this machine, a clone builds on another one, and the module's bytes
//! don't depend on where the crate lies. [`restore_link`] makes the link anew before each build.
//! The lock file begins with the versions that Synod itself was tested with; cargo prunes it.
//!
//! It does not know what a cluster accepts as a name beyond what a crate may be called.
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::build::write_if_changed;
use crate::environment::Environment;
use crate::error::BuildError;
use crate::sdk;

/// The link to the SDK in a recipe's folder.
const LINK: &str = ".synod";
/// Longest name of a new recipe, in bytes.
const NAME_BYTES: usize = 64;
/// What each file of a new recipe is made from; `{{name}}`, `{{module}}` and `{{type}}` stand for
/// the recipe's name as it is, in Rust's `snake_case`, and in `CamelCase`.
const TEMPLATES: [(&str, &str); 4] = [
    ("Cargo.toml", include_str!("../templates/Cargo.toml.txt")),
    ("src/lib.rs", include_str!("../templates/lib.rs.txt")),
    ("README.md", include_str!("../templates/README.md.txt")),
    (".gitignore", include_str!("../templates/gitignore.txt")),
];
/// Words that cargo or the compiler do not take as the name of a crate.
const RESERVED: [&str; 63] = [
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "build",
    "const",
    "continue",
    "core",
    "crate",
    "deps",
    "do",
    "dyn",
    "else",
    "enum",
    "examples",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "incremental",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "proc-macro",
    "proc_macro",
    "pub",
    "ref",
    "return",
    "self",
    "static",
    "std",
    "struct",
    "super",
    "synod-sdk",
    "synod-test",
    "test",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "union",
    "unsafe",
    "unsized",
    "use",
    "virtual",
    "where",
    "while",
];

/// Makes the crate of a recipe called `name` in `dir`, which is absent or empty. With `sdk_path` it
/// uses the sources of Synod there, otherwise those that this program carries.
///
/// # Errors
/// [`BuildError`] for a bad name, a folder that is in use, or no SDK at `sdk_path`; nothing is made
/// then.
pub fn create(name: &str, dir: &Path, sdk_path: Option<&Path>) -> Result<(), BuildError> {
    create_in(name, dir, sdk_path, &Environment::of_process())
}

/// As [`create`], with the cache folder of `environment`.
///
/// # Errors
/// As [`create`].
pub fn create_in(
    name: &str,
    dir: &Path,
    sdk_path: Option<&Path>,
    environment: &Environment,
) -> Result<(), BuildError> {
    check_name(name)?;
    match fs::read_dir(dir).map(|mut items| items.next().is_none()) {
        Ok(true) => (),
        Err(error) if error.kind() == io::ErrorKind::NotFound => (),
        Err(error) if error.kind() != io::ErrorKind::NotADirectory => {
            return Err(BuildError::io("open", dir)(error));
        }
        Ok(false) | Err(_) => return Err(BuildError::NotEmpty { dir: dir.to_owned() }),
    }
    let sdk = match sdk_path {
        Some(sdk) => check_sdk(sdk)?,
        None => sdk::unpack(environment)?,
    };
    let source = dir.join("src");
    fs::create_dir_all(&source).map_err(BuildError::io("create", &source))?;
    for (path, template) in TEMPLATES {
        let text = template
            .replace("{{name}}", name)
            .replace("{{module}}", &name.replace('-', "_"))
            .replace("{{type}}", &type_name(name));
        write_if_changed(&dir.join(path), text.as_bytes())?;
    }
    write_if_changed(&dir.join("Cargo.lock"), sdk::lock_file()?)?;
    link(dir, &sdk)
}

/// Makes the link to the SDK anew where the crate in `dir` wants one and it is missing, broken, or
/// leads to the sources that another version of this program unpacked. A link to elsewhere, made
/// with `--sdk-path`, stays.
///
/// # Errors
/// [`BuildError`] if the sources cannot be unpacked or the link cannot be made.
pub fn restore_link(dir: &Path, environment: &Environment) -> Result<(), BuildError> {
    let Ok(manifest) = fs::read_to_string(dir.join("Cargo.toml")) else { return Ok(()) };
    if !manifest.contains("\".synod/guest-sdk/sdk\"") {
        return Ok(());
    }
    let current = fs::read_link(dir.join(LINK)).ok();
    let leads_to_sources = dir.join(LINK).join("guest-sdk/sdk/Cargo.toml").is_file();
    let unpacked = current
        .as_deref()
        .is_some_and(|current| sdk::folder(environment).is_ok_and(|folder| current.starts_with(folder)));
    if leads_to_sources && !unpacked {
        return Ok(());
    }
    let sdk = sdk::unpack(environment)?;
    if current.as_deref() == Some(&sdk) { Ok(()) } else { link(dir, &sdk) }
}

fn link(dir: &Path, sdk: &Path) -> Result<(), BuildError> {
    let (path, new) = (dir.join(LINK), dir.join(format!("{LINK}.{}.tmp", std::process::id())));
    let made = symlink(sdk, &new).and_then(|()| fs::rename(&new, &path));
    made.map_err(|error| {
        drop(fs::remove_file(&new));
        BuildError::io("make the link", &path)(error)
    })
}

fn check_sdk(sdk: &Path) -> Result<PathBuf, BuildError> {
    let not = || BuildError::NotAnSdk { dir: sdk.to_owned() };
    let whole = fs::canonicalize(sdk).map_err(|_| not())?;
    if whole.join("guest-sdk/sdk/Cargo.toml").is_file() { Ok(whole) } else { Err(not()) }
}

fn check_name(name: &str) -> Result<(), BuildError> {
    let refuse = |reason| Err(BuildError::BadName { name: name.to_owned(), reason });
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        return refuse("a name begins with a letter from a to z");
    }
    if name.len() > NAME_BYTES {
        return refuse("a name has at most 64 characters");
    }
    if !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-') {
        return refuse("a name is made of a-z, 0-9 and '-'");
    }
    if name.ends_with('-') || name.contains("--") {
        return refuse("a '-' stands between two other characters");
    }
    if RESERVED.contains(&name) {
        return refuse("cargo or the compiler uses this word for something else");
    }
    Ok(())
}

fn type_name(name: &str) -> String {
    let upper = |part: &str| part[..1].to_ascii_uppercase() + &part[1..];
    name.split('-').map(upper).collect()
}

#[cfg(test)]
mod tests;
