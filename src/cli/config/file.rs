//! One configuration file: read, and checked key by key.

use std::{
    collections::BTreeMap,
    error::Error as _,
    ffi::OsString,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use clap::{Arg, ArgAction, Command, CommandFactory as _, builder::Resettable};
use toml_edit::{Document, Item, Value};

use super::{ConfigError, SETTINGS, Scope, Setting, error::MAX_FILE_BYTES};
use crate::cli::{Cli, message};

/// How alike two keys are that one may be meant for the other, from 0 to 1.
const LEAST_SIMILARITY: f64 = 0.8;

/// Keys that name files: relative paths begin at the directory of the configuration file.
const PATH_KEYS: [&str; 3] = ["api-token-file", "key", "passphrase-file"];

/// Directories of projects whose files may say more; a key of the user's own file.
const TRUSTED: &str = "trusted";

/// The table of profiles.
const PROFILE: &str = "profile";

/// Longest word of a URL that is no secret: providers' keys have 32 characters and more.
const LONGEST_WORD: usize = 19;

/// Keys by name.
pub(super) type Table = BTreeMap<&'static str, Found>;

/// What stands in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) values: Vec<String>,
    /// From 1.
    pub(super) line: usize,
}

/// A file that was read.
#[derive(Debug)]
pub(super) struct File {
    pub(super) path: PathBuf,
    pub(super) top: Table,
    pub(super) profiles: BTreeMap<String, Table>,
    trusted: Option<Found>,
}

impl File {
    /// `None` if there is no such file.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, ConfigError> {
        let Some(text) = text(path)? else { return Ok(None) };
        Self::parse(path, &text).map(Some)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let reader = Reader { path, text, probe: probe() };
        let document = Document::parse(text).map_err(|error| ConfigError::Form {
            path: path.to_owned(),
            line: reader.line(error.span()),
            problem: error.message().replace('\n', ", "),
        })?;
        let mut file =
            Self { path: path.to_owned(), top: Table::new(), profiles: BTreeMap::new(), trusted: None };
        for (key, item) in document.iter() {
            let line = reader.line(document.key(key).and_then(toml_edit::Key::span));
            match key {
                PROFILE => file.profiles = reader.profiles(item, line)?,
                TRUSTED => file.trusted = Some(reader.directories(item, line)?),
                _ => {
                    let (name, found) = reader.setting(key, item, line)?;
                    file.top.insert(name, found);
                }
            }
        }
        Ok(file)
    }

    /// Whether a project's file keeps to what it may set.
    pub(super) fn may_set(
        &self,
        profile: Option<&str>,
        own: Option<&Self>,
        user_file: Option<&Path>,
    ) -> Result<(), ConfigError> {
        let (path, own_path) = (self.path.clone(), user_file.map(Path::to_owned).unwrap_or_default());
        if let Some(Found { line, .. }) = self.trusted {
            return Err(ConfigError::NotOwn { path, line, key: TRUSTED.to_owned(), own: own_path });
        }
        let is_trusted = own.is_some_and(|own| own.trusts(&self.path));
        let chosen = profile.and_then(|name| self.profiles.get(name));
        for (name, Found { line, .. }) in self.top.iter().chain(chosen.into_iter().flatten()) {
            let (line, key, own, path) = (*line, (*name).to_owned(), own_path.clone(), path.clone());
            let Some(setting) = SETTINGS.iter().find(|setting| setting.name == *name) else { continue };
            match setting.scope {
                Scope::Own => return Err(ConfigError::NotOwn { path, line, key, own }),
                Scope::Trusted if !is_trusted => {
                    return Err(ConfigError::NotTrusted { path, line, key, own });
                }
                Scope::Trusted | Scope::Any => {}
            }
        }
        Ok(())
    }

    fn trusts(&self, file: &Path) -> bool {
        let directory = file.parent().and_then(|directory| directory.canonicalize().ok());
        let trusted = self.trusted.iter().flat_map(|found| &found.values);
        trusted
            .into_iter()
            .any(|listed| directory.is_some() && Path::new(listed).canonicalize().ok() == directory)
    }
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    /// A command with all flags that are keys.
    probe: Command,
}

impl Reader<'_> {
    fn line(&self, span: Option<std::ops::Range<usize>>) -> usize {
        let start = span.map_or(0, |span| span.start);
        1 + self.text.bytes().take(start).filter(|byte| *byte == b'\n').count()
    }

    fn wrong(&self, line: usize, key: &str, problem: impl Into<String>) -> ConfigError {
        ConfigError::Value { path: self.path.to_owned(), line, key: key.to_owned(), problem: problem.into() }
    }

    fn profiles(&self, item: &Item, line: usize) -> Result<BTreeMap<String, Table>, ConfigError> {
        let table =
            item.as_table_like().ok_or_else(|| self.wrong(line, PROFILE, "expected [profile.NAME]"))?;
        let mut profiles = BTreeMap::new();
        for (name, item) in table.iter() {
            let line = self.line(table.key(name).and_then(toml_edit::Key::span));
            let keys =
                item.as_table_like().ok_or_else(|| self.wrong(line, PROFILE, "expected [profile.NAME]"))?;
            let mut read = Table::new();
            for (key, item) in keys.iter() {
                let line = self.line(keys.key(key).and_then(toml_edit::Key::span));
                let (name, found) = self.setting(key, item, line)?;
                read.insert(name, found);
            }
            profiles.insert(name.to_owned(), read);
        }
        Ok(profiles)
    }

    fn directories(&self, item: &Item, line: usize) -> Result<Found, ConfigError> {
        let listed = item.as_array().ok_or_else(|| self.wrong(line, TRUSTED, "expected a list"))?;
        let read = listed.iter().map(|value| {
            let text = value.as_str().ok_or_else(|| self.wrong(line, TRUSTED, "expected directories"))?;
            let path = at_home(text);
            if !path.is_absolute() {
                return Err(self.wrong(line, TRUSTED, format!("{text:?} is not an absolute path")));
            }
            Ok(path.display().to_string())
        });
        Ok(Found { values: read.collect::<Result<_, _>>()?, line })
    }

    fn setting(&self, key: &str, item: &Item, line: usize) -> Result<(&'static str, Found), ConfigError> {
        let Some(setting) = SETTINGS.iter().find(|setting| setting.name == key) else {
            let known = SETTINGS.iter().map(|setting| setting.name).chain([PROFILE, TRUSTED]);
            let similar = similar(known, key);
            return Err(ConfigError::UnknownKey {
                path: self.path.to_owned(),
                line,
                key: key.to_owned(),
                similar,
            });
        };
        let arg = self.probe.get_arguments().find(|arg| arg.get_id() == setting.id().as_str());
        let is_list = arg.is_some_and(|arg| matches!(arg.get_action(), ArgAction::Append));
        let texts = match item.as_value() {
            Some(Value::Array(items)) if is_list => items.iter().map(scalar).collect(),
            Some(value) => scalar(value).map(|text| vec![text]),
            None => None,
        };
        let Some(texts) = texts else {
            let expected =
                if is_list { "expected a text, or a list of texts" } else { "expected a text or a number" };
            return Err(self.wrong(line, key, expected));
        };
        if texts.iter().any(|text| is_secret(setting, text)) {
            return Err(ConfigError::Secret { path: self.path.to_owned(), line, key: key.to_owned() });
        }
        self.check(setting, &texts).map_err(|problem| self.wrong(line, key, problem))?;
        let placed = |text: String| if PATH_KEYS.contains(&key) { self.beside(&text) } else { text };
        Ok((setting.name, Found { values: texts.into_iter().map(placed).collect(), line }))
    }

    /// Whether the flag takes the values.
    fn check(&self, setting: &Setting, values: &[String]) -> Result<(), String> {
        if setting.name == "output" && values.iter().any(|value| value == "csv") {
            // Every other command would fail.
            return Err("only lists have the form csv; give it to the command: --output csv".to_owned());
        }
        let words = values.iter().map(|value| OsString::from(format!("--{}={value}", setting.name)));
        let Err(error) =
            self.probe.clone().try_get_matches_from(std::iter::once("assay".into()).chain(words))
        else {
            return Ok(());
        };
        // Of a value that its parser refuses, clap keeps the reason.
        Err(match (error.source(), values) {
            (Some(reason), [value]) => format!("{value:?}: {reason}"),
            (Some(reason), _) => reason.to_string(),
            (None, _) => message::clap_parts(&error).0.replace("\n  ", " "),
        })
    }

    fn beside(&self, text: &str) -> String {
        let directory = self.path.parent().unwrap_or_else(|| Path::new(""));
        directory.join(at_home(text)).display().to_string()
    }
}

/// A command that takes each key as a flag, and reads no environment.
fn probe() -> Command {
    let mut program = Cli::command();
    program.build();
    let nodes = program.find_subcommand("node").and_then(|node| node.find_subcommand("list"));
    let command = nodes.expect("the program lists nodes").clone();
    command.mut_args(|arg: Arg| arg.env(Resettable::Reset))
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.value().clone()),
        Value::Integer(number) => Some(number.value().to_string()),
        Value::Float(_)
        | Value::Boolean(_)
        | Value::Datetime(_)
        | Value::Array(_)
        | Value::InlineTable(_) => None,
    }
}

/// Whether a value is a key itself, or an endpoint that only whoever paid for it knows.
fn is_secret(setting: &Setting, text: &str) -> bool {
    let hex = text.strip_prefix("0x").unwrap_or(text);
    match setting.name {
        "key" => hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "rpc-url" => {
            let (host, path) = text.split_once("://").map_or((text, ""), |(_, rest)| {
                rest.find(['/', '?']).map_or((rest, ""), |end| rest.split_at(end))
            });
            let words = path.split(|char: char| !char.is_ascii_alphanumeric() && !matches!(char, '-' | '_'));
            host.contains('@') || words.into_iter().any(|word| word.len() > LONGEST_WORD)
        }
        _ => false,
    }
}

/// The path, with the home directory for a leading `~/`.
fn at_home(text: &str) -> PathBuf {
    match (text.strip_prefix("~/"), std::env::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest),
        (Some(_) | None, _) => PathBuf::from(text),
    }
}

/// The one of `known` that is meant, whatever its case and whether its words are apart by dashes or underscores.
pub(super) fn similar<'a>(known: impl Iterator<Item = &'a str>, given: &str) -> Option<String> {
    let plain = |key: &str| key.to_ascii_lowercase().replace(['-', '_'], "");
    let scored = known.map(|known| (strsim::jaro_winkler(&plain(known), &plain(given)), known));
    let best = scored.max_by(|(one, _), (other, _)| one.total_cmp(other))?;
    (best.0 >= LEAST_SIMILARITY).then(|| best.1.to_owned())
}

fn text(path: &Path) -> Result<Option<String>, ConfigError> {
    let failed = |source| ConfigError::Read { path: path.to_owned(), source };
    let no_text = |problem| ConfigError::NoText { path: path.to_owned(), problem };
    let kind = match std::fs::metadata(path) {
        Ok(kind) => kind,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    // A pipe would keep the command waiting.
    if !kind.is_file() {
        return Err(no_text("no file"));
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(no_text("too long"));
    }
    String::from_utf8(bytes).map(Some).map_err(|_| no_text("not UTF-8"))
}
