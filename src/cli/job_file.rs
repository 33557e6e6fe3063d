//! Job files: what `assay job submit` takes as flags, as a file in YAML or JSON.
//!
//! The keys of a file are the long flags of `job submit` that make a job, and `image` and `command`. So a new flag is a new
//! key, and a value means the same in both. A file becomes words of the command line before clap reads it.
//!
//! A flag on the command line replaces the key of the file; flags that may be repeated add to it.

mod error;
mod schema;
mod write;
mod yaml;

use std::{
    ffi::OsString,
    io::{self, Read},
    path::{Path, PathBuf},
};

use clap::{Arg, ArgAction, Command, error::ErrorKind, parser::ValueSource};

pub(super) use error::JobFileError;
pub(super) use schema::schema;
pub(super) use write::written;
use yaml::{Entry, Scalar, Value};

use super::{args::values::is_url, message, words};

/// Longest job file: longer than the longest command and environment that a job may have.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// How alike two keys are that one may be meant for the other, from 0 to 1.
const LEAST_SIMILARITY: f64 = 0.8;

/// Headings of the flags that make a job. Other flags say how to submit it, and are no keys.
const HEADINGS: [&str; 3] = ["Deal", "Container", "Sweep"];

/// Keys whose values may stand in a map, by name.
const MAP_KEYS: [&str; 2] = ["env", "matrix"];

/// Keys whose relative paths begin at the directory of the file.
const PATH_KEYS: [&str; 2] = ["input", "env-file"];

/// Replaces `--file FILE` of a submission by what the file says. Other command lines, and those that clap refuses, stay as
/// they are.
///
/// # Errors
/// [`JobFileError`], if the file cannot be read or does not make a job.
pub(super) fn expand(words: Vec<OsString>, program: &mut Command) -> Result<Vec<OsString>, JobFileError> {
    program.build();
    let Some(submission) = words::find_submission(&words, program) else { return Ok(words) };
    let (options, submit) = (submission.options, submission.command.clone());
    let Ok(matches) = program.clone().try_get_matches_from(&words) else { return Ok(words) };
    let given = matches.subcommand_matches("job").and_then(|job| job.subcommand_matches("submit"));
    let Some(given) = given else { return Ok(words) };
    let Some(path) = given.get_one::<PathBuf>("file") else { return Ok(words) };
    let file = JobFile::read(path, &submit)?;
    let is_given = |id: &str| given.value_source(id) == Some(ValueSource::CommandLine);
    let mut expanded = words[..options].to_vec();
    expanded.extend(file.flags(|arg| is_repeatable(arg) || !is_given(arg.get_id().as_str())));
    if !is_given("image") {
        expanded.push(file.image.ok_or_else(|| JobFileError::NoImage { path: path.clone() })?.into());
    }
    expanded.extend_from_slice(&words[options..]);
    if !is_given("command") && !file.command.is_empty() {
        expanded.push("--".into());
        expanded.extend(file.command.into_iter().map(OsString::from));
    }
    Ok(expanded)
}

/// A file that was read and checked key by key.
struct JobFile {
    image: Option<String>,
    command: Vec<String>,
    /// Flags with their values, in the order of the file.
    flags: Vec<(Arg, Vec<String>)>,
}

impl JobFile {
    fn read(path: &Path, submit: &Command) -> Result<Self, JobFileError> {
        let text = text(path)?;
        let entries = yaml::entries(&text).map_err(|yaml::Problem { line, what }| JobFileError::Form {
            path: path.to_owned(),
            line,
            problem: what,
        })?;
        let mut file = Self { image: None, command: Vec::new(), flags: Vec::new() };
        for entry in entries {
            let wrong = |problem: String| JobFileError::Value {
                path: path.to_owned(),
                line: entry.line,
                key: entry.key.clone(),
                problem,
            };
            match entry.key.as_str() {
                "image" => file.image = Some(single(&entry.value).map_err(wrong)?),
                "command" => file.command = command(&entry.value).map_err(wrong)?,
                _ => {
                    let arg = find(submit, &entry, path)?.clone();
                    let values = values(&arg, &entry.value, path).map_err(wrong)?;
                    check(submit, &arg, &values).map_err(wrong)?;
                    file.flags.push((arg, values));
                }
            }
        }
        Ok(file)
    }

    /// The words of the flags that `wanted` wants.
    fn flags(&self, wanted: impl Fn(&Arg) -> bool) -> Vec<OsString> {
        let wanted = self.flags.iter().filter(|(arg, _)| wanted(arg));
        wanted.flat_map(|(arg, values)| words_of(arg, values)).collect()
    }
}

fn words_of(arg: &Arg, values: &[String]) -> Vec<OsString> {
    let long = arg.get_long().unwrap_or_default();
    let is_switch = matches!(arg.get_action(), ArgAction::SetTrue);
    let word = |value: &String| if is_switch { format!("--{long}") } else { format!("--{long}={value}") };
    values.iter().map(|value| word(value).into()).collect()
}

/// The flags that are keys of a job file.
fn keys(submit: &Command) -> impl Iterator<Item = &Arg> {
    let is_key = |arg: &&Arg| arg.get_help_heading().is_some_and(|heading| HEADINGS.contains(&heading));
    submit.get_arguments().filter(is_key).filter(|arg| arg.get_long().is_some())
}

fn is_repeatable(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Append)
}

/// Whether the values are pairs of a name and a value.
fn takes_map(arg: &Arg) -> bool {
    arg.get_long().is_some_and(|long| MAP_KEYS.contains(&long))
}

fn find<'a>(submit: &'a Command, entry: &Entry, path: &Path) -> Result<&'a Arg, JobFileError> {
    let found = keys(submit).find(|arg| arg.get_long() == Some(entry.key.as_str()));
    found.ok_or_else(|| JobFileError::UnknownKey {
        path: path.to_owned(),
        line: entry.line,
        key: entry.key.clone(),
        similar: similar(submit, &entry.key),
    })
}

/// The key that is meant, whatever its case and whether its words are apart by dashes, underscores or capitals.
fn similar(submit: &Command, key: &str) -> Option<String> {
    let plain = |key: &str| key.to_ascii_lowercase().replace(['-', '_'], "");
    let known = keys(submit).filter_map(Arg::get_long).chain(["image", "command"]);
    let scored = known.map(|known| (strsim::jaro_winkler(&plain(known), &plain(key)), known));
    let best = scored.max_by(|(one, _), (other, _)| one.total_cmp(other))?;
    (best.0 >= LEAST_SIMILARITY).then(|| best.1.to_owned())
}

/// The values as the flag takes them, in their order.
fn values(arg: &Arg, value: &Value, file: &Path) -> Result<Vec<String>, String> {
    if matches!(arg.get_action(), ArgAction::SetTrue) {
        let Value::Scalar(scalar) = value else { return Err("expected true or false".to_owned()) };
        let is_set = scalar.as_bool().ok_or("expected true or false")?;
        return Ok(if is_set { vec!["true".to_owned()] } else { Vec::new() });
    }
    let read = match value {
        Value::Map(pairs) if takes_map(arg) => {
            pairs.iter().map(|(name, value)| variable(name, value)).collect()
        }
        Value::Map(_) => return Err("expected a value or a list".to_owned()),
        Value::Scalar(scalar) => vec![text_of(scalar)?],
        Value::List(items) => items.iter().map(text_of).collect::<Result<Vec<_>, _>>()?,
    };
    let is_path = arg.get_long().is_some_and(|long| PATH_KEYS.contains(&long));
    let placed = |value: String| if is_path { beside(file, &value) } else { value };
    let read: Vec<String> = read.into_iter().map(placed).collect();
    // A flag with one value takes a list as its words apart by commas.
    Ok(if is_repeatable(arg) || read.is_empty() { read } else { vec![read.join(",")] })
}

fn variable(name: &str, value: &Scalar) -> String {
    if value.is_null() { name.to_owned() } else { format!("{name}={}", value.text) }
}

fn text_of(scalar: &Scalar) -> Result<String, String> {
    if scalar.is_null() { Err("has no value".to_owned()) } else { Ok(scalar.text.clone()) }
}

fn single(value: &Value) -> Result<String, String> {
    match value {
        Value::Scalar(scalar) => text_of(scalar),
        Value::List(_) | Value::Map(_) => Err("expected one value".to_owned()),
    }
}

/// The words of the command. One text would need a shell to divide it, and the image may have none.
fn command(value: &Value) -> Result<Vec<String>, String> {
    match value {
        Value::List(items) => Ok(items.iter().map(|item| item.text.clone()).collect()),
        Value::Scalar(_) | Value::Map(_) => {
            Err("expected a list of words, such as [echo, hello] or [sh, -c, 'echo hello']".to_owned())
        }
    }
}

/// A relative path of the file, as seen from here.
fn beside(file: &Path, value: &str) -> String {
    let directory = file.parent().filter(|_| file != Path::new("-"));
    match directory {
        // A URL begins nowhere else.
        Some(directory) if !directory.as_os_str().is_empty() && !value.starts_with('/') && !is_url(value) => {
            format!("{}/{value}", directory.display())
        }
        Some(_) | None => value.to_owned(),
    }
}

/// Whether the flag takes the values, each for itself.
fn check(submit: &Command, arg: &Arg, values: &[String]) -> Result<(), String> {
    let submit = submit.clone().mut_args(|arg| arg.required(false));
    let words = std::iter::once(OsString::from("submit")).chain(words_of(arg, values));
    match submit.try_get_matches_from(words) {
        Err(error) if matches!(error.kind(), ErrorKind::ValueValidation | ErrorKind::InvalidValue) => {
            let (problem, _) = message::clap_parts(&error);
            Err(problem.replacen(&format!(" for '{arg}'"), "", 1))
        }
        // What other flags have to do with it, clap says of all of them together.
        Ok(_) | Err(_) => Ok(()),
    }
}

fn text(path: &Path) -> Result<String, JobFileError> {
    let read = |source| JobFileError::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let source: Box<dyn Read> = if path == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        Box::new(std::fs::File::open(path).map_err(read)?)
    };
    source.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(read)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(JobFileError::TooLong { path: path.to_owned() });
    }
    let text = String::from_utf8(bytes).map_err(|_| JobFileError::NotUtf8 { path: path.to_owned() })?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

#[cfg(test)]
mod tests;
