//! Completion in a shell: flags and commands from the command line's own definition, ids from the node.
//!
//! The script of [`script`] has the shell call this program for each word, with [`VARIABLE`] set. A node that does not answer at once
//! adds nothing: a shell must not wait.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    time::Duration,
};

use clap::{Arg, Command, CommandFactory as _};
use clap_complete::{ArgValueCompleter, CompleteEnv, CompletionCandidate, Shell, env::Shells};
use tokio::time::timeout;

use super::{
    Cli, ExitStatus,
    args::{ApiArgs, Format},
    client::{Client, ClientError},
    config::{Config, SETTINGS},
    output::{Output, printable},
    settings, text,
};
use crate::{
    api::types::{JobFilter, JobRow, NodeRow},
    domain::JobState,
};

/// The variable with which the script calls this program. Without the prefix, any program's would do.
const VARIABLE: &str = "ASSAY_COMPLETE";

/// Longest wait for the node.
const PATIENCE: Duration = Duration::from_secs(1);

/// The most jobs to choose among.
const MOST_JOBS: usize = 200;

/// Answers a shell that completes a command line. `None` if no shell asks.
///
/// Call this before the process has other threads: it changes the environment.
pub fn complete(words: impl IntoIterator<Item = OsString>) -> Option<ExitStatus> {
    let words: Vec<OsString> = words.into_iter().collect();
    let asked = Asked::of(&words);
    let program = move || with_ids(Cli::command(), &mut Vec::new(), &asked);
    let directory = std::env::current_dir().ok();
    match CompleteEnv::with_factory(program)
        .var(VARIABLE)
        .bin("assay")
        .try_complete(words, directory.as_deref())
    {
        Ok(false) => None,
        Ok(true) => Some(ExitStatus::Success),
        Err(_) => Some(ExitStatus::Failure),
    }
}

/// The script that has a shell ask this program.
pub(super) fn script(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    let shells = Shells::builtins();
    let completer =
        shells.completer(&shell.to_string()).expect("each shell of the command line has a completer");
    completer
        .write_registration(VARIABLE, "assay", "assay", "assay", &mut script)
        .expect("a vector takes all bytes");
    script
}

/// What a value of a flag or an argument names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named {
    Job,
    /// A job that goes on.
    LiveJob,
    /// A job that takes bids.
    OpenJob,
    Group,
    Node,
    /// A node, by its whole id.
    WholeNode,
}

/// The meaning of an argument of the command at `path`.
fn named(path: &[String], arg: &Arg) -> Option<Named> {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    match (path.as_slice(), arg.get_id().as_str()) {
        // Counts, in worlds of their own.
        (["devstack" | "sim" | "serve", ..], _) => None,
        (["attest", "verify"], "job") => None,
        (["job", "cancel" | "wait"], "job" | "jobs") => Some(Named::LiveJob),
        (["job", "update"], "job") => Some(Named::OpenJob),
        (_, "job" | "jobs") => Some(Named::Job),
        (_, "group") => Some(Named::Group),
        (_, "node" | "nodes") => Some(Named::Node),
        (_, "allow") => Some(Named::WholeNode),
        _ => None,
    }
}

/// The command line with completers of ids.
fn with_ids(command: Command, path: &mut Vec<String>, asked: &Asked) -> Command {
    let command = command.mut_args(|arg| match named(path, &arg) {
        Some(named) => {
            let asked = asked.clone();
            arg.add(ArgValueCompleter::new(move |current: &OsStr| ids(named, current, &asked)))
        }
        None => arg,
    });
    command.mut_subcommands(|below| {
        path.push(below.get_name().to_owned());
        let below = with_ids(below, path, asked);
        path.pop();
        below
    })
}

/// The node that the command line names so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Asked {
    api: Option<String>,
    token_file: Option<String>,
    profile: Option<String>,
}

impl Asked {
    fn of(words: &[OsString]) -> Self {
        let words: Vec<&str> = words.iter().filter_map(|word| word.to_str()).collect();
        let given = |flag: &str| {
            let apart = words.windows(2).find(|pair| pair[0] == flag).map(|pair| pair[1]);
            let joined = || words.iter().find_map(|word| word.strip_prefix(flag)?.strip_prefix('='));
            apart.or_else(joined).filter(|value| !value.is_empty()).map(str::to_owned)
        };
        Self { api: given("--api"), token_file: given("--api-token-file"), profile: given("--profile") }
    }

    /// The client, with what files and variables say where the command line says nothing.
    fn client(&self) -> Option<Client> {
        let profile = self.profile.clone().or_else(|| std::env::var("ASSAY_PROFILE").ok());
        let config = Config::here(profile.as_deref()).ok()?;
        let of = |name: &str| {
            let setting = SETTINGS.iter().find(|setting| setting.name == name)?;
            config.get(setting)?.values.into_iter().next()
        };
        let args = ApiArgs {
            api: self.api.clone().or_else(|| of("api")),
            api_token_file: self.token_file.clone().or_else(|| of("api-token-file")).map(Into::into),
        };
        Some(Client::new(settings::api(&args).ok()?, Output::new(Format::Table, true)))
    }
}

fn ids(named: Named, current: &OsStr, asked: &Asked) -> Vec<CompletionCandidate> {
    let (Some(begun), Some(client)) = (current.to_str(), asked.client()) else { return Vec::new() };
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return Vec::new();
    };
    let found = runtime.block_on(async { timeout(PATIENCE, found(named, begun, &client)).await });
    let found = found.ok().and_then(Result::ok).unwrap_or_default();
    let known = found.into_iter().filter(|(id, _)| id.starts_with(begun));
    known
        .enumerate()
        .map(|(place, (id, help))| {
            CompletionCandidate::new(id).help(Some(printable(&help).into())).display_order(Some(place))
        })
        .collect()
}

/// Ids with a remark on each, as the user began to write them.
async fn found(named: Named, begun: &str, client: &Client) -> Result<Vec<(String, String)>, ClientError> {
    let jobs = async |state: Vec<JobState>| {
        let wanted = JobFilter { limit: Some(MOST_JOBS), state, ..JobFilter::default() };
        Ok::<_, ClientError>(client.jobs(&wanted).await?.jobs)
    };
    let of_jobs = |rows: Vec<JobRow>| {
        rows.iter().map(|row| (id(begun, &row.job.to_string()), remark(row))).collect::<Vec<_>>()
    };
    let live = || JobState::ALL.into_iter().filter(|state| !state.is_terminal()).collect();
    match named {
        Named::Job => Ok(of_jobs(jobs(Vec::new()).await?)),
        Named::LiveJob => Ok(of_jobs(jobs(live()).await?)),
        Named::OpenJob => Ok(of_jobs(jobs(vec![JobState::Open]).await?)),
        Named::Group => Ok(groups(&jobs(Vec::new()).await?)),
        Named::Node | Named::WholeNode => {
            let rows = client.nodes().await?;
            let is_whole = named == Named::WholeNode;
            let id = |row: &NodeRow| {
                let whole = row.id.to_string();
                if is_whole { whole } else { id(begun, &whole) }
            };
            Ok(rows
                .iter()
                .map(|row| (id(row), format!("{} accepted, {} rejected", row.accepted, row.rejected)))
                .collect())
        }
    }
}

/// As much of an id as names it, or all of it if the user began so.
fn id(begun: &str, whole: &str) -> String {
    let digits = whole.trim_start_matches("0x");
    if begun.starts_with("0x") {
        whole.to_owned()
    } else {
        digits[..digits.len().min(begun.len().max(8))].to_owned()
    }
}

fn remark(row: &JobRow) -> String {
    format!("{}, {} {}", row.state, row.image, text::command(&row.command))
}

/// The groups of these jobs, in their order.
fn groups(rows: &[JobRow]) -> Vec<(String, String)> {
    let mut order = Vec::new();
    let mut jobs: BTreeMap<&str, usize> = BTreeMap::new();
    for member in rows.iter().filter_map(|row| row.member.as_ref()) {
        let count = jobs.entry(&member.group).or_default();
        if *count == 0 {
            order.push(member.group.as_str());
        }
        *count += 1;
    }
    order.into_iter().map(|group| (group.to_owned(), format!("{} jobs", jobs[group]))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(line: &str) -> Asked {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        Asked::of(&words)
    }

    #[test]
    fn the_node_on_the_command_line_is_asked() {
        let node = |api: &str| Asked { api: Some(api.to_owned()), ..Asked::default() };
        assert_eq!(asked("assay job describe --api x:1 1a"), node("x:1"));
        assert_eq!(asked("assay job --api=x:2 describe"), node("x:2"));
        assert_eq!(
            asked("assay job describe --api-token-file t --profile p"),
            Asked { api: None, token_file: Some("t".to_owned()), profile: Some("p".to_owned()) }
        );
        assert_eq!(asked("assay job describe --api"), Asked::default());
    }

    #[test]
    fn an_id_has_as_many_digits_as_the_user_wants() {
        let whole = "0x1a2b3c4d5e6f";
        assert_eq!(id("", whole), "1a2b3c4d");
        assert_eq!(id("1a2b3c4d5e", whole), "1a2b3c4d5e");
        assert_eq!(id("0x1a", whole), whole);
    }

    /// What each command names by an id.
    #[test]
    fn every_argument_that_takes_an_id_is_completed() {
        fn walk(command: &Command, path: &mut Vec<String>, found: &mut Vec<String>) {
            for arg in command.get_arguments() {
                found.extend(
                    named(path, arg).map(|named| format!("{} {}: {named:?}", path.join(" "), arg.get_id())),
                );
            }
            for below in command.get_subcommands() {
                path.push(below.get_name().to_owned());
                walk(below, path, found);
                path.pop();
            }
        }
        let mut found = Vec::new();
        walk(&Cli::command(), &mut Vec::new(), &mut found);
        found.sort();
        insta::assert_snapshot!(found.join("\n"));
    }
}
