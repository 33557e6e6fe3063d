//! Settings that commands share, from files: flag, then environment variable, then `assay.toml`, then the default.
//!
//! The project's file is the nearest `assay.toml` in the working directory or a directory above it; then comes the user's own.
//! A project's file may be a stranger's text. So only the user's own file names keys, and nothing about nodes, chains and
//! contracts counts from a project's file until the user trusts its directory.
//!
//! Values become defaults of the flags before clap reads the command line, so precedence is clap's.

mod error;
mod file;

use std::path::{Path, PathBuf};

use clap::{ArgMatches, Command, parser::ValueSource};

pub(super) use error::ConfigError;
use file::{File, Found, Table};

/// The name of both files.
const FILE_NAME: &str = "assay.toml";

/// Whose file may have a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// Any file: it only changes how things look.
    Any,
    /// The user's, and those of trusted projects: it says whom to believe and what to pay.
    Trusted,
    /// The user's alone: it opens files of the user.
    Own,
}

/// A key of the file: the long flag of the same name.
#[derive(Debug)]
pub(super) struct Setting {
    pub(super) name: &'static str,
    /// Variables that count more than a file, the first before the second.
    variables: &'static [&'static str],
    scope: Scope,
}

const fn setting(name: &'static str, variables: &'static [&'static str], scope: Scope) -> Setting {
    Setting { name, variables, scope }
}

/// All keys, in the order in which they are listed.
pub(super) const SETTINGS: [Setting; 14] = [
    setting("api", &["ASSAY_API"], Scope::Trusted),
    setting("api-token-file", &["ASSAY_API_TOKEN_FILE"], Scope::Own),
    setting("scheduler", &["ASSAY_SCHEDULER"], Scope::Trusted),
    setting("rpc-url", &["ASSAY_RPC_URL", "ETH_RPC_URL"], Scope::Trusted),
    setting("chain-id", &[], Scope::Trusted),
    setting("max-fee", &[], Scope::Trusted),
    setting("contract", &["ASSAY_CONTRACT"], Scope::Trusted),
    setting("confirmations", &[], Scope::Trusted),
    setting("first-block", &["ASSAY_FIRST_BLOCK"], Scope::Trusted),
    setting("key", &["ASSAY_KEY"], Scope::Own),
    setting("passphrase-file", &["ASSAY_PASSPHRASE_FILE"], Scope::Own),
    setting("output", &[], Scope::Any),
    setting("log", &["ASSAY_LOG"], Scope::Trusted),
    setting("log-format", &["ASSAY_LOG_FORMAT"], Scope::Any),
];

impl Setting {
    /// The name of the flag in clap.
    fn id(&self) -> String {
        self.name.replace('-', "_")
    }
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    /// A variable of the environment.
    Variable(&'static str),
    /// A line of a file.
    File {
        path: PathBuf,
        /// From 1.
        line: usize,
        profile: Option<String>,
    },
}

/// A value that is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Set {
    pub(super) values: Vec<String>,
    pub(super) origin: Origin,
    /// The lower, the nearer to the user.
    rank: usize,
}

/// Keys of one file that count, with or without a profile.
#[derive(Debug)]
struct Layer {
    path: PathBuf,
    profile: Option<String>,
    table: Table,
}

/// What the environment and the files set.
#[derive(Debug)]
pub(super) struct Config {
    pub(super) profile: Option<String>,
    /// The files that were read.
    pub(super) files: Vec<PathBuf>,
    /// What counts most comes first.
    layers: Vec<Layer>,
    variables: Vec<(&'static str, String)>,
}

impl Config {
    /// Reads the files for a command in `directory`, unless that is gone. `variable` gives values of the environment.
    ///
    /// # Errors
    /// [`ConfigError`], if a file cannot be read, has a wrong key or value, or sets what it may not, or no file has the profile.
    pub(super) fn load(
        profile: Option<&str>,
        directory: Option<&Path>,
        user_file: Option<&Path>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let profile = profile.filter(|name| !name.is_empty());
        let own = user_file.map(File::read).transpose()?.flatten();
        let project = match directory.and_then(nearest) {
            // The user's own file is no stranger's, also seen from its directory.
            Some(path) if !own.as_ref().is_some_and(|own| is_same(&own.path, &path)) => File::read(&path)?,
            Some(_) | None => None,
        };
        if let Some(file) = &project {
            file.may_set(profile, own.as_ref(), user_file)?;
        }
        let files: Vec<File> = project.into_iter().chain(own).collect();
        if let Some(name) = profile
            && !files.iter().any(|file| file.profiles.contains_key(name))
        {
            let known = files.iter().flat_map(|file| file.profiles.keys());
            let similar = file::similar(known.map(String::as_str), name);
            return Err(ConfigError::NoProfile { name: name.to_owned(), similar });
        }
        let paths = files.iter().map(|file| file.path.clone()).collect();
        let (mut chosen, mut general) = (Vec::new(), Vec::new());
        for mut file in files {
            if let Some((name, table)) = profile.and_then(|name| file.profiles.remove_entry(name)) {
                chosen.push(Layer { path: file.path.clone(), profile: Some(name), table });
            }
            general.push(Layer { path: file.path, profile: None, table: file.top });
        }
        // A profile is chosen on purpose, so it counts more than what stands outside of profiles in any file.
        chosen.append(&mut general);
        let names = SETTINGS.iter().flat_map(|setting| setting.variables);
        let given = names.filter_map(|name| Some((*name, variable(name).filter(|value| !value.is_empty())?)));
        Ok(Self {
            profile: profile.map(str::to_owned),
            files: paths,
            layers: chosen,
            variables: given.collect(),
        })
    }

    /// The same for this process.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub(super) fn here(profile: Option<&str>) -> Result<Self, ConfigError> {
        let variable = |name: &str| std::env::var(name).ok();
        Self::load(profile, std::env::current_dir().ok().as_deref(), user_file().as_deref(), variable)
    }

    /// What is set, if anything is.
    pub(super) fn get(&self, setting: &Setting) -> Option<Set> {
        let variable = setting.variables.iter().find_map(|name| {
            let (name, value) = self.variables.iter().find(|(set, _)| set == name)?;
            Some(Set { values: vec![value.clone()], origin: Origin::Variable(name), rank: 0 })
        });
        variable.or_else(|| {
            self.layers.iter().enumerate().find_map(|(rank, layer)| {
                let Found { values, line } = layer.table.get(setting.name)?.clone();
                let (path, profile) = (layer.path.clone(), layer.profile.clone());
                Some(Set { values, origin: Origin::File { path, line, profile }, rank: rank + 1 })
            })
        })
    }

    /// Makes what is set the defaults of the flags of the command that `matches` names.
    pub(super) fn apply(&self, mut program: Command, matches: &ArgMatches) -> Command {
        let (mut path, mut leaf) = (Vec::new(), matches);
        while let Some((name, below)) = leaf.subcommand() {
            path.push(name);
            leaf = below;
        }
        for setting in &SETTINGS {
            let Some(set) = self.get(setting) else { continue };
            if !self.yields(setting, &set, &path, leaf) {
                program = with_default(program, &path, setting, &set.values);
            }
        }
        program
    }

    /// Whether the value gives way: a command asks a node or is a requester, and what is nearer to the user decides.
    fn yields(&self, setting: &Setting, set: &Set, path: &[&str], leaf: &ArgMatches) -> bool {
        let given = |id: &str| {
            let is_known = leaf.try_contains_id(id).is_ok();
            let source = if is_known { leaf.value_source(id) } else { None };
            matches!(source, Some(ValueSource::CommandLine | ValueSource::EnvVariable))
        };
        let said = |id: &str, text: &str| {
            given(id) && leaf.get_raw(id).is_some_and(|mut values| values.any(|value| value == text))
        };
        let of =
            |name: &str| SETTINGS.iter().find(|other| other.name == name).and_then(|other| self.get(other));
        let is_contract = |set: &Set| set.values.iter().any(|value| value == "contract");
        match setting.name {
            _ if path.first() == Some(&"serve") => false,
            "api" => {
                let nearer =
                    of("scheduler").is_some_and(|other| is_contract(&other) && other.rank < set.rank);
                // `verdict check` reads a chain or asks a node.
                let reads_chain = leaf.try_contains_id("scheduler").is_err() && given("rpc_url");
                said("scheduler", "contract") || reads_chain || (nearer && !given("scheduler"))
            }
            // Whoever has a node's token can spend its money: a file's is for the node that it names beside it.
            "api-token-file" => {
                let is_of = |api: Set| match (api.origin, &set.origin) {
                    (
                        Origin::File { path, profile, .. },
                        Origin::File { path: own_path, profile: own_profile, .. },
                    ) => path == *own_path && profile == *own_profile,
                    (_, Origin::Variable(_)) => true,
                    (Origin::Variable(_), Origin::File { .. }) => false,
                };
                let is_files = matches!(set.origin, Origin::File { .. });
                is_files && (given("api") || of("api").is_some_and(|api| !is_of(api)))
            }
            // Asking a node costs nothing, so of two equals it wins.
            "scheduler" => {
                let nearer = of("api").is_some_and(|other| other.rank <= set.rank);
                is_contract(set) && (given("api") || nearer)
            }
            _ => false,
        }
    }
}

/// Whether the flag of that command takes its default from here. `devstack` and `sim` make worlds of their own, `serve --api`
/// is where to listen, and `verdict check` and `attest verify` show by their command line alone what they check.
fn is_shared(path: &[&str], name: &str) -> bool {
    match path {
        ["devstack" | "sim", ..] => false,
        ["serve", ..] => name != "api",
        ["verdict", "check", ..] | ["attest", "verify", ..] => matches!(name, "api" | "api-token-file"),
        _ => true,
    }
}

fn with_default(program: Command, path: &[&str], setting: &Setting, values: &[String]) -> Command {
    let id = setting.id();
    let change = |command: Command| {
        let has = command.get_arguments().any(|arg| arg.get_id() == id.as_str());
        let values = values.to_vec();
        if has { command.mut_arg(&id, |arg| arg.default_values(values)) } else { command }
    };
    // Flags of all commands stand at the program.
    if program.get_arguments().any(|arg| arg.get_id() == id.as_str()) {
        return change(program);
    }
    if is_shared(path, setting.name) { below(program, path, &change) } else { program }
}

fn below(command: Command, path: &[&str], change: &dyn Fn(Command) -> Command) -> Command {
    match path {
        [] => change(command),
        [name, rest @ ..] => command.mut_subcommand(name, |found| below(found, rest, change)),
    }
}

fn nearest(directory: &Path) -> Option<PathBuf> {
    directory.ancestors().map(|directory| directory.join(FILE_NAME)).find(|path| path.exists())
}

fn is_same(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        (Ok(_) | Err(_), _) => false,
    }
}

/// The user's own file, whether or not there is one.
pub(super) fn user_file() -> Option<PathBuf> {
    let set = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let base = set.or_else(|| Some(std::env::home_dir()?.join(".config")))?;
    Some(base.join("assay").join(FILE_NAME))
}

#[cfg(test)]
mod tests;
