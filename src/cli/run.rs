//! From the command line's words to the exit code.

use std::ffi::OsString;

use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _};

use super::{
    Cli, CliError, ExitStatus,
    args::{
        Command, ConfigCommand, ContractCommand, Format, GroupCommand, JobCommand, LogFormat, NodeCommand,
        ResultsCommand, VerdictCommand, WalletCommand,
    },
    commands,
    config::{Config, ConfigError},
    job_file,
    output::{self, Output},
    settings::SettingsError,
    words::{self, Divided},
};
use crate::telemetry::{self, LogStyle};

/// Runs the command line `words`, which start with the program's name, and shows the user the outcome.
pub async fn run(words: impl IntoIterator<Item = OsString>) -> ExitStatus {
    let words: Vec<OsString> = words.into_iter().collect();
    let format = if words::asks_for_json(&words) { Format::Json } else { Format::Table };
    let output = Output::new(format, false);
    let Divided { words, taken } = match read(words) {
        Ok(divided) => divided,
        Err(error) => {
            output.error(&error);
            return error.exit_status();
        }
    };
    // Help, and what is wrong on the command line itself, needs no file.
    let matches = match Cli::command().try_get_matches_from(&words) {
        Ok(matches) => matches,
        Err(message) => return output.clap_message(&message),
    };
    let program = match configured(&matches) {
        Ok(program) => program,
        Err(error) => {
            let error = CliError::from(error);
            output.error(&error);
            return error.exit_status();
        }
    };
    let cli = program.try_get_matches_from(words).and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match cli {
        Ok(cli) => cli,
        Err(message) => return output.clap_message(&message),
    };
    let output = Output::new(cli.output, cli.quiet);
    if let Some(word) = taken {
        let name = word.split('=').next().unwrap_or_default();
        output.note(&format!("{name} is passed to the job's command; options of assay go before IMAGE"));
    }
    match dispatch(cli, output).await {
        Ok(status) => status,
        Err(error) if error.is_closed_output() => ExitStatus::Success,
        Err(error) => {
            output.error(&error);
            error.exit_status()
        }
    }
}

/// Words that clap understands: a job's command is told from the rest, and a job file is read.
fn read(words: Vec<OsString>) -> Result<Divided, CliError> {
    let mut program = Cli::command();
    let Divided { words, taken } = words::divide(words, &mut program)?;
    Ok(Divided { words: job_file::expand(words, &mut program)?, taken })
}

/// The program with defaults from configuration files, for the command line that `matches` is.
fn configured(matches: &ArgMatches) -> Result<clap::Command, ConfigError> {
    // Neither depends on them, and a shell's start must not fail for a file in some directory.
    if matches!(matches.subcommand_name(), Some("completion" | "man")) {
        return Ok(Cli::command());
    }
    let profile = matches.get_one::<String>("profile");
    Ok(Config::here(profile.map(String::as_str))?.apply(Cli::command(), matches))
}

async fn dispatch(cli: Cli, output: Output) -> Result<ExitStatus, CliError> {
    if cli.output == Format::Csv && !cli.command.prints_list() {
        return Err(SettingsError::NoList.into());
    }
    start_log(&cli)?;
    match cli.command {
        Command::Devstack(args) => commands::devstack::run(args, output).await,
        Command::Serve(args) => commands::serve::run(*args, output).await,
        Command::Job(command) => match command {
            JobCommand::Submit(args) => commands::submit::run(*args, output).await,
            JobCommand::List(args) => commands::jobs::list(&args, output).await,
            JobCommand::Describe(args) => commands::describe::run(&args, output).await,
            JobCommand::Explain(args) => commands::explain::run(&args, output).await,
            JobCommand::Wait(args) => commands::jobs::wait(&args, output).await,
            JobCommand::Rerun(args) => commands::rerun::run(&args, output).await,
            JobCommand::Cancel(args) => commands::jobs::cancel(&args, output).await,
            JobCommand::Forget(args) => commands::retention::forget(&args, output).await,
            JobCommand::Update(args) => commands::jobs::update(&args, output).await,
            JobCommand::Logs(args) => commands::results::logs(&args, output).await,
            JobCommand::Calibrate(args) => commands::calibrate::run(*args, output).await,
            JobCommand::Validate(args) => commands::job_files::validate(&args, output),
            JobCommand::Schema => commands::job_files::schema(output),
        },
        Command::Group(GroupCommand::Wait(args)) => commands::group::wait(&args, output).await,
        Command::Results(command) => match command {
            ResultsCommand::List(args) => commands::results::list(&args, output).await,
            ResultsCommand::Fetch(args) => commands::results::fetch(args, output).await,
            ResultsCommand::Diff(args) => commands::diff::run(args, output).await,
        },
        Command::Verdict(command) => match command {
            VerdictCommand::Show(args) => commands::verdict::show(&args, output).await,
            VerdictCommand::Plot(args) => commands::plot::run(&args, output).await,
            VerdictCommand::Check(args) => commands::check::check(&args, output).await,
            VerdictCommand::Export(args) => commands::check::export(&args, output).await,
            VerdictCommand::Compute(args) => commands::verdict::compute(&args, output),
        },
        Command::Attest(args) => commands::attest::run(*args, output).await,
        Command::Node(NodeCommand::Describe(args)) => commands::node::describe(&args, output).await,
        Command::Node(NodeCommand::List(args)) => commands::node::list(&args, output).await,
        Command::Node(NodeCommand::Usage(args)) => commands::retention::usage(&args, output).await,
        Command::Node(NodeCommand::Prune(args)) => commands::retention::prune(&args, output).await,
        Command::Node(NodeCommand::Earnings(args)) => commands::earnings::run(&args, output).await,
        Command::Node(NodeCommand::Pause(args)) => commands::intake::pause(&args, output).await,
        Command::Node(NodeCommand::Resume(args)) => commands::intake::resume(&args, output).await,
        Command::Node(NodeCommand::Drain(args)) => commands::intake::drain(&args, output).await,
        Command::Wallet(command) => match command {
            WalletCommand::New(args) => commands::wallet::new(&args, output),
            WalletCommand::Import(args) => commands::wallet::import(&args, output),
            WalletCommand::Show(args) => commands::wallet::show(&args, output),
            WalletCommand::Balance(args) => commands::wallet::balance(args, output).await,
            WalletCommand::Deposit(args) => commands::wallet::deposit(&args, output).await,
            WalletCommand::Withdraw(args) => commands::wallet::withdraw(&args, output).await,
        },
        Command::Contract(command) => match command {
            ContractCommand::Deploy(args) => commands::contract::deploy(&args, output).await,
            ContractCommand::Info(args) => commands::contract::info(&args, output).await,
        },
        Command::Dashboard(args) => commands::dashboard::run(&args, output).await,
        Command::Store(command) => commands::store::run(command, output).await,
        Command::Sim(args) => commands::sim::run(args, output).await,
        Command::Doctor(args) => commands::doctor::run(&args, output).await,
        Command::Config(ConfigCommand::List(args)) => {
            commands::config::list(&args, cli.profile.as_deref(), output)
        }
        Command::Completion { shell } => commands::program::completion(shell, output),
        Command::Man { dir } => commands::program::man(&dir, output),
        Command::Version(args) => commands::program::version(&args, output).await,
    }
}

fn start_log(cli: &Cli) -> Result<(), CliError> {
    let default = match cli.command {
        Command::Serve(_) => "assay=info,warn",
        Command::Devstack(_)
        | Command::Job(_)
        | Command::Group(_)
        | Command::Results(_)
        | Command::Verdict(_)
        | Command::Attest(_)
        | Command::Node(_)
        | Command::Wallet(_)
        | Command::Contract(_)
        | Command::Dashboard(_)
        | Command::Store(_)
        | Command::Sim(_)
        | Command::Doctor(_)
        | Command::Config(_)
        | Command::Completion { .. }
        | Command::Man { .. }
        | Command::Version(_) => "warn",
    };
    let usual = match cli.output {
        Format::Table | Format::Wide | Format::Yaml | Format::Csv => LogFormat::Text,
        Format::Json => LogFormat::Json,
    };
    let style = match cli.log_format.unwrap_or(usual) {
        LogFormat::Text => LogStyle::Text { ansi: output::use_colour() },
        LogFormat::Json => LogStyle::Json,
    };
    let filter = cli.log.as_deref().unwrap_or(default);
    telemetry::init(filter, style)
        .map_err(|source| CliError::LogFilter { filter: filter.to_owned(), reason: source.to_string() })
}
