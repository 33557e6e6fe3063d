//! Words of a command line that clap cannot tell apart: a job's command after its image, as Docker takes it, and names of
//! commands that other programs have.

use std::ffi::{OsStr, OsString};

use crate::explain::Hint;

use clap::{Arg, ArgAction, Command};

/// An option that may be meant for this program or for the job's.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{word} follows IMAGE, so it may be an option of assay or an argument of the command")]
pub struct Ambiguous {
    /// The option as typed.
    word: String,
}

impl Hint for Ambiguous {
    fn hint(&self) -> Option<String> {
        Some(format!(
            "for assay, put it before IMAGE; for the command, put -- before it: assay job submit IMAGE -- {} ..",
            self.word
        ))
    }
}

/// A command line with the job's command separated from this program's options.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Divided {
    pub(super) words: Vec<OsString>,
    /// A word of the job's command that is also a long option of this program, without a sign that this is intended.
    pub(super) taken: Option<String>,
}

impl From<Vec<OsString>> for Divided {
    fn from(words: Vec<OsString>) -> Self {
        Self { words, taken: None }
    }
}

/// Inserts `--` between the image and the command of `assay job submit` and `calibrate`, where the user left it out.
///
/// If the first word after IMAGE is not an option, the command starts there, whatever follows. Options after IMAGE are this
/// program's until a `--`. Without one, nobody knows whose they are.
///
/// # Errors
/// [`Ambiguous`], so that nothing unintended runs.
pub(super) fn divide(mut words: Vec<OsString>, program: &mut Command) -> Result<Divided, Ambiguous> {
    program.build();
    let Some((image, submit)) = find_image(&words, program) else { return Ok(words.into()) };
    let Some(first) = words.get(image + 1) else { return Ok(words.into()) };
    if !is_option(first) {
        let own = |word: &&OsString| {
            let long = word.to_str().and_then(|word| word.strip_prefix("--"));
            long.is_some_and(|long| {
                submit.get_arguments().any(|arg| arg.get_long() == long.split('=').next())
            })
        };
        let taken = words[image + 1..].iter().take_while(|word| *word != "--").find(own);
        let taken = taken.map(|word| word.to_string_lossy().into_owned());
        words.insert(image + 1, "--".into());
        return Ok(Divided { words, taken });
    }
    let rest = &words[image + 1..];
    let asks_for_help = first == "-h" || first == "--help";
    if asks_for_help || rest.iter().any(|word| word == "--") {
        return Ok(words.into());
    }
    Err(Ambiguous { word: first.to_string_lossy().into_owned() })
}

/// Where a submission's words stand.
pub(super) struct Submission<'a> {
    /// What a submission may have.
    pub(super) command: &'a Command,
    /// Its first word after `job submit`.
    pub(super) options: usize,
    image: Option<usize>,
}

/// Where IMAGE is in a submission, and the options of a submission; `None` in other commands, and where clap should report
/// the problem.
fn find_image<'a>(words: &[OsString], program: &'a Command) -> Option<(usize, &'a Command)> {
    let Submission { command, image, .. } = find(words, program, &["submit", "calibrate"])?;
    image.map(|image| (image, command))
}

/// The words of `job submit`; `None` in other commands.
pub(super) fn find_submission<'a>(words: &[OsString], program: &'a Command) -> Option<Submission<'a>> {
    find(words, program, &["submit"])
}

fn find<'a>(words: &[OsString], program: &'a Command, verbs: &[&str]) -> Option<Submission<'a>> {
    let mut command = program;
    let mut path = Vec::new();
    let mut options = None;
    let mut at = 1;
    while let Some(word) = words.get(at) {
        if word == "--" {
            break;
        }
        if is_option(word) {
            at += if takes_next(word.to_str()?, command)? { 2 } else { 1 };
            continue;
        }
        if let Some(options) = options {
            return Some(Submission { command, options, image: Some(at) });
        }
        command = command.find_subcommand(word)?;
        path.push(command.get_name());
        at += 1;
        if let ["job", verb] = path[..] {
            options = verbs.contains(&verb).then_some(at);
        }
    }
    options.map(|options| Submission { command, options, image: None })
}

fn is_option(word: &OsStr) -> bool {
    let bytes = word.as_encoded_bytes();
    bytes.len() > 1 && bytes.starts_with(b"-")
}

/// Whether the word after this option is its value; `None` for an unknown option.
fn takes_next(word: &str, command: &Command) -> Option<bool> {
    let takes_value = |arg: &Arg| matches!(arg.get_action(), ArgAction::Set | ArgAction::Append);
    let find = |is_it: &dyn Fn(&Arg) -> bool| command.get_arguments().find(|arg| is_it(arg));
    if let Some(long) = word.strip_prefix("--") {
        let (name, value) = long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
        let arg = find(&|arg| arg.get_long() == Some(name))?;
        return Some(value.is_none() && takes_value(arg));
    }
    // Several letters in one word. The first that takes a value takes the rest of the word.
    let letters = &word[1..];
    for (index, letter) in letters.char_indices() {
        let arg = find(&|arg| arg.get_short() == Some(letter))?;
        if takes_value(arg) {
            return Some(index + letter.len_utf8() == letters.len());
        }
    }
    Some(false)
}

/// Whether a wrong command line asks for JSON, so that the error should be JSON too.
pub(super) fn asks_for_json(words: &[OsString]) -> bool {
    let words: Vec<&str> =
        words.iter().map_while(|word| word.to_str()).take_while(|word| *word != "--").collect();
    let pairs = words.iter().zip(words.iter().skip(1));
    let is_pair = |(name, value): (&&str, &&str)| matches!(*name, "-o" | "--output") && *value == "json";
    pairs.into_iter().any(is_pair)
        || words.iter().any(|word| matches!(*word, "-ojson" | "-o=json" | "--output=json"))
}

/// The command here for a command of other programs.
pub(super) fn meant(unknown: &str) -> Option<&'static str> {
    Some(match unknown {
        "run" | "submit" | "exec" | "start" | "create" => "to run a job: assay job submit IMAGE CMD",
        "ps" | "ls" | "list" | "jobs" | "top" => {
            "to list jobs: assay job list; nodes: assay node list; results: assay results list JOB"
        }
        "wait" | "attach" => "to wait for a job: assay job wait JOB",
        "logs" | "log" => "to see what a job printed: assay job logs JOB",
        "stop" | "kill" | "rm" | "cancel" | "delete" => "to stop a job: assay job cancel JOB",
        "inspect" | "describe" | "status" | "info" | "show" | "get" => {
            "to see a job: assay job describe JOB; its verdict: assay verdict show JOB"
        }
        "cp" | "fetch" | "pull" | "download" | "result" | "output" => {
            "to fetch results: assay results fetch JOB"
        }
        "check" | "verify" | "audit" => "to check a verdict: assay verdict check JOB",
        "up" | "node" | "nodes" | "daemon" | "server" | "join" => {
            "to run a node: assay serve; several to try: assay devstack; to see nodes: assay node list"
        }
        "key" | "keys" | "account" | "deposit" | "balance" => "for keys and money: assay wallet --help",
        "images" | "build" | "push" => "to build and list images, use docker; a job names one",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::*;
    use crate::cli::{
        Cli,
        args::{self, JobCommand, SubmitArgs},
    };

    fn words(line: &str) -> Vec<OsString> {
        std::iter::once("assay").chain(line.split(' ')).map(OsString::from).collect()
    }

    fn divided(line: &str) -> Result<Vec<OsString>, Ambiguous> {
        divide(words(line), &mut Cli::command()).map(|divided| divided.words)
    }

    fn submitted(line: &str) -> Box<SubmitArgs> {
        let cli = Cli::try_parse_from(divided(line).unwrap()).unwrap_or_else(|error| panic!("{error}"));
        let args::Command::Job(JobCommand::Submit(args)) = cli.command else { panic!("{line}") };
        args
    }

    #[test]
    fn what_follows_the_image_is_the_command() {
        for (line, command) in [
            ("job submit img echo hi", &["echo", "hi"][..]),
            ("job submit img ls -l --all", &["ls", "-l", "--all"]),
            ("job submit img sh -c x -- a b", &["sh", "-c", "x", "--", "a", "b"]),
            ("job submit img echo --concurrency 3", &["echo", "--concurrency", "3"]),
            ("job submit img echo --help", &["echo", "--help"]),
            ("job submit img - x", &["-", "x"]),
            ("job submit img -- -x", &["-x"]),
            ("job submit img -- -- x", &["--", "x"]),
            ("job submit img", &[]),
            ("job submit img --", &[]),
            ("-q --log info -o json job --output json submit -dq img job submit", &["job", "submit"]),
            ("job submit -i=a:/in -ib:/in2 -e A=b -qe C=d img echo", &["echo"]),
        ] {
            let args = submitted(line);
            assert_eq!(
                (args.image.as_str(), args.command.as_slice()),
                ("img", &command.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>()[..]),
                "{line}"
            );
        }
    }

    #[test]
    fn options_stand_before_the_image_or_between_it_and_two_dashes() {
        for line in [
            "job submit --concurrency 5 img echo hi",
            "job submit --concurrency=5 img echo hi",
            "job submit img --concurrency 5 -- echo hi",
            "job submit --detach img --concurrency 5 -- echo hi",
        ] {
            let args = submitted(line);
            assert_eq!(
                (args.deal.concurrency, args.command.as_slice()),
                (Some(5), &["echo".to_owned(), "hi".to_owned()][..])
            );
        }
    }

    #[test]
    fn an_option_that_may_be_meant_for_either_is_refused() {
        for line in
            ["job submit img --concurrency 5 echo hi", "job submit img -q", "job submit img --nonsense"]
        {
            let error = divided(line).unwrap_err();
            assert!(error.hint().unwrap().contains(" -- "), "{error}");
        }
        // Words in between belong to nobody.
        let between = divided("job submit img --concurrency 5 echo -- hi").unwrap();
        assert!(Cli::try_parse_from(between).is_err());
    }

    #[test]
    fn an_option_of_ours_that_the_command_takes_is_told() {
        let taken = |line: &str| divide(words(line), &mut Cli::command()).unwrap().taken;
        assert_eq!(taken("job submit img echo --concurrency 3").as_deref(), Some("--concurrency"));
        assert_eq!(taken("job submit img run --memory=1g").as_deref(), Some("--memory=1g"));
        for line in [
            "job submit img ls --all -q",
            "job submit img -- run --memory 1g",
            "job submit img sh -- --env x",
        ] {
            assert_eq!(taken(line), None, "{line}");
        }
    }

    #[test]
    fn other_command_lines_are_left_alone() {
        for line in [
            "job list",
            "job",
            "job submit",
            "job submit --help",
            "job submit --nonsense img echo",
            "submit img echo",
            "job submit --concurrency",
            "help job submit",
            "-- job submit img echo",
            "job submit img --help",
            "verdict check x",
            "nonsense submit img echo",
        ] {
            assert_eq!(divided(line).unwrap(), words(line), "{line}");
        }
    }

    #[test]
    fn json_is_asked_for_before_two_dashes() {
        for line in ["--output json job", "job list -o json", "job -ojson", "job --output=json", "-o=json x"]
        {
            assert!(asks_for_json(&words(line)), "{line}");
        }
        for line in ["job list", "--output table", "job submit img -- -o json", "json -o", "-o"] {
            assert!(!asks_for_json(&words(line)), "{line}");
        }
    }

    #[test]
    fn what_is_meant_is_no_command_already() {
        let program = Cli::command();
        for name in ["run", "ps", "submit", "logs", "wait", "inspect", "images"] {
            assert!(meant(name).is_some() && program.find_subcommand(name).is_none(), "{name}");
        }
        assert_eq!(meant("nonsense"), None);
    }
}
