//! `synod recipe`: what is installed in a cluster, and the way there. The half that works on files
//! is in `recipe_files`.
use std::path::PathBuf;
use std::str::FromStr;

use clap::Subcommand;
use futures::StreamExt;
use serde_json::{Value, json};
use synod_client::api::{InstallRequest, LogLine, LogsRequest, RecipeInfo, RecipeRef};

use super::calling::decode;
use super::fail::Failed;
use super::progress::Spinner;
use super::space::{recipe_text, to_json as space_json};
use super::table::{summary, table};
use super::{Format, Global, output, recipe_files, schema};

/// A recipe by name, and perhaps version: `NAME` or `NAME@VERSION`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RecipeAt {
    pub(crate) name: String,
    pub(crate) version: Option<u32>,
}

impl FromStr for RecipeAt {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, version) = match text.split_once('@') {
            None => (text, None),
            Some((name, version)) => match version.parse() {
                Ok(version) if version > 0 => (name, Some(version)),
                _ => return Err(format!("`{version}` is not a version: versions are numbers from 1")),
            },
        };
        synod_abi::RecipeName::new(name).map_err(|error| error.to_string())?;
        Ok(Self { name: name.to_owned(), version })
    }
}

/// What to do with recipes.
#[derive(Subcommand)]
pub(crate) enum RecipeCommand {
    /// Makes the crate of a new recipe.
    New {
        /// Its name.
        name: String,
        /// The folder [default: ./NAME].
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
        /// Use Synod's sources from here instead of those in this binary.
        #[arg(long, value_name = "DIR")]
        sdk_path: Option<PathBuf>,
    },
    /// Builds a recipe's crate to a WebAssembly module, checks it, and says where it is.
    Build {
        /// The crate's folder.
        #[arg(default_value = ".", value_name = "DIR")]
        dir: PathBuf,
        /// Also write the module here.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Checks whether members would admit a module, and explains why not.
    Check {
        /// A module, or a crate's folder, which is built.
        #[arg(default_value = ".", value_name = "FILE|DIR")]
        path: PathBuf,
    },
    /// Runs a recipe's tests.
    Test {
        /// The crate's folder.
        #[arg(default_value = ".", value_name = "DIR")]
        dir: PathBuf,
        /// Run them against the compiled module, on the engine that members use. Compiling that
        /// engine takes minutes, once.
        #[arg(long)]
        wasm: bool,
        /// Further arguments for `cargo test`.
        #[arg(last = true, value_name = "ARGUMENTS")]
        args: Vec<std::ffi::OsString>,
    },
    /// Installs a recipe in the cluster and creates a space for it. The same again is no error.
    Install {
        /// A module, or a crate's folder, which is built.
        #[arg(default_value = ".", value_name = "FILE|DIR")]
        path: PathBuf,
        /// The space to create [default: the recipe's name].
        #[arg(long)]
        space: Option<String>,
        /// Create no space.
        #[arg(long, conflicts_with = "space")]
        no_space: bool,
        /// Replace other bytes under the same name and version, and move its spaces to them; for
        /// members started with --replace.
        #[arg(long)]
        replace: bool,
    },
    /// Lists the installed recipes.
    List,
    /// Shows a recipe: its operations, queries, arguments, errors and documentation.
    Describe {
        /// The recipe; the largest installed version if there is none.
        #[arg(value_name = "NAME[@VERSION]")]
        recipe: RecipeAt,
    },
    /// Shows what recipes logged on the member that is asked, panics among it.
    Logs {
        /// Only this recipe.
        name: Option<String>,
        /// Only this space.
        #[arg(long)]
        space: Option<String>,
        /// How many lines of the past.
        #[arg(long, default_value_t = 100, value_name = "N")]
        lines: u32,
        /// Go on with new lines.
        #[arg(short, long)]
        follow: bool,
        /// Least important level, 1 (error) to 5 (trace).
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=5))]
        level: u32,
    },
    /// Forgets one version of a recipe; refused while a space runs it.
    Remove {
        /// The recipe, with its version.
        #[arg(value_name = "NAME@VERSION")]
        recipe: RecipeAt,
    },
}

pub(crate) async fn run(command: RecipeCommand, global: &Global) -> Result<(), Failed> {
    let format = global.output;
    match command {
        RecipeCommand::New { name, dir, sdk_path } => recipe_files::new(format, &name, dir, sdk_path),
        RecipeCommand::Build { dir, out } => recipe_files::build(format, &dir, out.as_deref()),
        RecipeCommand::Check { path } => recipe_files::check(format, &path),
        RecipeCommand::Test { dir, wasm, args } => recipe_files::test(&dir, wasm, &args),
        RecipeCommand::Install { path, space, no_space, replace } => {
            let module = recipe_files::module(&path)?;
            let request = InstallRequest { module, replace, no_space, space: space.unwrap_or_default() };
            install(request, global).await
        }
        RecipeCommand::List => list(global).await,
        RecipeCommand::Describe { recipe } => {
            let reply =
                global.client().await?.describe_recipe(&recipe.name, recipe.version.unwrap_or(0)).await?;
            let schema = decode(&reply.schema)?;
            let info = reply.recipe.unwrap_or_default();
            let mut json = to_json(&info);
            json["schema"] = serde_json::to_value(&schema).unwrap_or_default();
            output::answer(format, &json, || {
                let spaces = if info.spaces.is_empty() { "none".to_owned() } else { info.spaces.join(", ") };
                format!(
                    "{}\nmodule: {} ({} bytes)\nspaces: {spaces}",
                    schema::text(&schema),
                    output::hex(&info.hash),
                    info.module_bytes
                )
            })
        }
        RecipeCommand::Logs { name, space, lines, follow, level } => {
            let request = LogsRequest {
                recipe: name.unwrap_or_default(),
                space: space.unwrap_or_default(),
                tail_lines: lines,
                follow,
                max_level: level,
            };
            logs(request, global).await
        }
        RecipeCommand::Remove { recipe } => {
            let Some(version) = recipe.version else {
                return Err(Failed::usage(format!("which version of `{}`?", recipe.name))
                    .next(format!("`synod recipe remove {}@VERSION`", recipe.name)));
            };
            global.client().await?.remove_recipe(&recipe.name, version).await?;
            let json = json!({ "removed": { "name": recipe.name, "version": version } });
            output::answer(format, &json, || format!("{}@{version} removed", recipe.name))
        }
    }
}

async fn install(request: InstallRequest, global: &Global) -> Result<(), Failed> {
    let client = global.client().await?;
    let reply = {
        let _spinner = Spinner::new("installing: members check and compile the module");
        client.install_recipe(request).await?
    };
    let info = reply.recipe.unwrap_or_default();
    let mut json = to_json(&info);
    json["already"] = json!(reply.already);
    json["space"] = reply.space.as_ref().map(space_json).unwrap_or_default();
    output::answer(global.output, &json, || {
        let name = recipe_text(info.recipe.as_ref());
        let installed =
            if reply.already { format!("{name} was installed already") } else { format!("{name} installed") };
        match &reply.space {
            Some(space) if reply.space_already => {
                let runs =
                    format!("{installed}; space {} runs {}", space.name, recipe_text(space.recipe.as_ref()));
                let newer = |(new, old): (&RecipeRef, &RecipeRef)| {
                    (new.name == old.name && new.version > old.version).then_some(new.version)
                };
                match info.recipe.as_ref().zip(space.recipe.as_ref()).and_then(newer) {
                    Some(version) => {
                        format!("{runs}\n  next: synod space upgrade {} --to {version}", space.name)
                    }
                    None => runs,
                }
            }
            Some(space) => format!("{installed}; space {} created", space.name),
            None => installed,
        }
    })
}

async fn list(global: &Global) -> Result<(), Failed> {
    let recipes = global.client().await?.list_recipes().await?;
    let json: Value = recipes.iter().map(to_json).collect();
    output::answer(global.output, &json, || {
        let rows = recipes.iter().map(|info| {
            let module = output::short_hex(&info.hash);
            [
                recipe_text(info.recipe.as_ref()),
                module,
                info.module_bytes.to_string(),
                info.spaces.join(","),
                summary(&info.docs),
            ]
        });
        table(["RECIPE", "MODULE", "BYTES>", "SPACES", "ABOUT"], rows)
    })
}

async fn logs(request: LogsRequest, global: &Global) -> Result<(), Failed> {
    let mut lines = global.client().await?.recipe_logs(request).await?;
    while let Some(line) = lines.next().await {
        let line = line?;
        output::line(&match global.output {
            Format::Json => log_json(&line).to_string(),
            Format::Table => log_text(&line),
        })?;
    }
    Ok(())
}

fn log_json(line: &LogLine) -> Value {
    json!({
        "time_ms": line.time_ms, "member_id": line.member_id, "recipe": recipe_text(line.recipe.as_ref()), "space": line.space,
        "entry_point": line.entry_point, "level": line.level, "text": line.text, "dropped": line.dropped,
    })
}

fn log_text(line: &LogLine) -> String {
    let level = match line.level {
        1 => "ERROR",
        2 => "WARN ",
        3 => "INFO ",
        4 => "DEBUG",
        _ => "TRACE",
    };
    let dropped =
        if line.dropped > 0 { format!("… {} lines dropped …\n", line.dropped) } else { String::new() };
    let point = if line.entry_point.is_empty() { String::new() } else { format!(".{}", line.entry_point) };
    format!(
        "{dropped}{} {level} {}{point} [{}] {}",
        line.time_ms,
        line.space,
        recipe_text(line.recipe.as_ref()),
        line.text
    )
}

fn to_json(info: &RecipeInfo) -> Value {
    let recipe = info.recipe.clone().unwrap_or_default();
    json!({
        "name": recipe.name, "version": recipe.version, "hash": output::hex(&info.hash), "module_bytes": info.module_bytes,
        "spaces": info.spaces, "operations": info.operations, "queries": info.queries, "docs": info.docs,
    })
}

#[cfg(test)]
mod tests;
