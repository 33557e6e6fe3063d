use std::fs;

use clap::{CommandFactory as _, FromArgMatches as _};
use tempfile::TempDir;

use super::*;
use crate::{
    cli::{
        Cli,
        args::{AttestCommand, Command as Chosen, Format, NodeCommand, SchedulerArg},
    },
    explain::Hint as _,
};

/// A user with a file, in a project with another.
struct Place {
    dir: TempDir,
}

impl Place {
    fn new(project: &str, own: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("project/below")).unwrap();
        fs::write(dir.path().join("project").join(FILE_NAME), project).unwrap();
        let own = own.replace("PROJECT", &dir.path().join("project").display().to_string());
        fs::write(dir.path().join("own.toml"), own).unwrap();
        Self { dir }
    }

    fn load(&self, profile: Option<&str>, set: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let variable =
            |name: &str| set.iter().find(|(set, _)| *set == name).map(|(_, value)| (*value).to_owned());
        let below = self.dir.path().join("project/below");
        Config::load(profile, Some(&below), Some(&self.dir.path().join("own.toml")), variable)
    }

    fn refused(&self) -> (String, String) {
        let error = self.load(None, &[]).unwrap_err();
        let told = error.to_string().replace(&format!("{}/", self.dir.path().display()), "");
        (told, error.hint().unwrap_or_default())
    }

    fn cli(&self, profile: Option<&str>, line: &str) -> Cli {
        let words: Vec<&str> = std::iter::once("assay").chain(line.split_whitespace()).collect();
        // What this process's environment has must not decide a test.
        let program = || {
            fn bare(command: Command) -> Command {
                let command = command.mut_args(|arg| arg.env(clap::builder::Resettable::Reset));
                command.mut_subcommands(bare)
            }
            bare(Cli::command())
        };
        let matches = program().try_get_matches_from(&words).unwrap();
        let program = self.load(profile, &[]).unwrap().apply(program(), &matches);
        Cli::from_arg_matches(&program.try_get_matches_from(&words).unwrap()).unwrap()
    }
}

fn value(config: &Config, name: &str) -> Option<String> {
    let setting = SETTINGS.iter().find(|setting| setting.name == name).unwrap();
    Some(config.get(setting)?.values.join(","))
}

#[test]
fn every_key_is_a_flag_with_the_variables_that_it_names() {
    let mut program = Cli::command();
    program.build();
    let list = program.find_subcommand("node").and_then(|node| node.find_subcommand("list")).unwrap();
    for setting in &SETTINGS {
        let arg = list.get_arguments().find(|arg| arg.get_id() == setting.id().as_str()).unwrap();
        assert_eq!(arg.get_long(), Some(setting.name));
        if let Some(variable) = arg.get_env() {
            assert_eq!(setting.variables.first().copied(), variable.to_str(), "{}", setting.name);
        }
    }
}

#[test]
fn what_is_nearer_to_the_user_counts() {
    let place = Place::new(
        "api = \"project\"\nchain-id = 1\n[profile.main]\nchain-id = 2",
        "trusted = [\"PROJECT\"]\napi = \"own\"\nfirst-block = 7\nconfirmations = 4\n[profile.main]\napi = \"chosen\"\nchain-id = 3",
    );
    let config = place.load(None, &[]).unwrap();
    let of = |config: &Config, names: [&str; 3]| names.map(|name| value(config, name).unwrap_or_default());
    assert_eq!(of(&config, ["api", "chain-id", "first-block"]), ["project", "1", "7"]);
    let config = place.load(Some("main"), &[]).unwrap();
    assert_eq!(of(&config, ["api", "chain-id", "confirmations"]), ["chosen", "2", "4"]);
    let set = [("ASSAY_API", "variable"), ("ETH_RPC_URL", "http://e"), ("ASSAY_FIRST_BLOCK", "")];
    let config = place.load(Some("main"), &set).unwrap();
    assert_eq!(of(&config, ["api", "rpc-url", "first-block"]), ["variable", "http://e", "7"]);
    let set = [("ASSAY_RPC_URL", "http://a"), ("ETH_RPC_URL", "http://e")];
    assert_eq!(value(&place.load(None, &set).unwrap(), "rpc-url").unwrap(), "http://a");
}

#[test]
fn a_flag_counts_more_than_a_file() {
    let place = Place::new("output = \"json\"", "rpc-url = [\"http://a\", \"http://b\"]\nfirst-block = 9");
    let listed = |line: &str| {
        let cli = place.cli(None, line);
        let Chosen::Node(NodeCommand::List(args)) = cli.command else { panic!("not node list") };
        (cli.output, args.chain.rpc.rpc_url, args.chain.first_block)
    };
    assert_eq!(listed("node list"), (Format::Json, vec!["http://a".into(), "http://b".into()], 9));
    let line = "-o table node list --rpc-url http://c --first-block 1";
    assert_eq!(listed(line), (Format::Table, vec!["http://c".into()], 1));
}

#[test]
fn a_node_and_a_requester_exclude_each_other() {
    let asked = |own: &str, line: &str| {
        let cli = Place::new("", own).cli(None, line);
        let Chosen::Node(NodeCommand::List(args)) = cli.command else { panic!("not node list") };
        (args.api.api, args.scheduler)
    };
    let both = "api = \"x:1\"\nscheduler = \"contract\"";
    assert_eq!(asked(both, "node list"), (Some("x:1".into()), None));
    assert_eq!(asked(both, "node list --scheduler contract"), (None, Some(SchedulerArg::Contract)));
    assert_eq!(asked(both, "node list --api y:2"), (Some("y:2".into()), None));
    let one = "scheduler = \"contract\"";
    assert_eq!(asked(one, "node list"), (None, Some(SchedulerArg::Contract)));
    assert_eq!(asked(one, "node list --api y:2"), (Some("y:2".into()), None));
}

#[test]
fn commands_with_a_world_of_their_own_take_none_of_it() {
    let place = Place::new("", "api = \"127.0.0.1:1\"\nscheduler = \"contract\"\nrpc-url = \"http://a\"");
    let Chosen::Devstack(args) = place.cli(None, "devstack").command else { panic!("no devstack") };
    assert_eq!((args.scheduler, args.rpc_url), (SchedulerArg::Libp2p, None));
    let Chosen::Serve(args) = place.cli(None, "serve").command else { panic!("no node") };
    assert_eq!((args.scheduler, args.api.port()), (SchedulerArg::Contract, 7421));
    let chain = "verdict check 1a --rpc-url http://b --contract 0x5fbdb2315678afecb367f032d93f642f64180aa3";
    place.cli(None, chain);
    let place =
        Place::new("", "rpc-url = \"http://a\"\ncontract = \"0x5fbdb2315678afecb367f032d93f642f64180aa3\"");
    let Chosen::Attest(args) = place.cli(None, "attest verify file").command else {
        panic!("no attestation")
    };
    let Some(AttestCommand::Verify(args)) = args.command else { panic!("nothing to verify") };
    assert_eq!((args.chain.contract, args.chain.rpc_url), (None, vec![]));
}

#[test]
fn a_token_file_is_for_the_node_that_the_same_file_names() {
    let place = Place::new("", "api = \"a:1\"\napi-token-file = \"/t\"\n[profile.x]\napi = \"b:2\"");
    let token = |profile: Option<&str>, line: &str| {
        let Chosen::Node(NodeCommand::List(args)) = place.cli(profile, line).command else {
            panic!("not node list")
        };
        args.api.api_token_file
    };
    assert_eq!(token(None, "node list"), Some("/t".into()));
    assert_eq!(token(Some("x"), "node list"), None);
    assert_eq!(token(None, "node list --api c:3"), None);
    assert_eq!(token(None, "node list --api c:3 --api-token-file u"), Some("u".into()));
}

#[test]
fn a_strangers_project_changes_only_how_things_look() {
    let own = "trusted = [\"/elsewhere\"]";
    assert!(
        Place::new("output = \"json\"\nlog-format = \"json\"\n[profile.x]\napi = \"evil\"", own)
            .load(None, &[])
            .is_ok()
    );
    for line in [
        "log = \"trace\"",
        "api = \"evil\"",
        "scheduler = \"contract\"",
        "rpc-url = \"http://evil\"",
        "max-fee = \"9ether\"",
    ] {
        let (told, hint) = Place::new(&format!("\n{line}"), own).refused();
        let key = line.split(' ').next().unwrap();
        assert_eq!(told, format!("project/assay.toml:2: {key} is set by a project that you do not trust"));
        assert!(hint.contains("add trusted = [\""), "{hint}");
        assert!(Place::new(line, "trusted = [\"PROJECT\"]").load(None, &[]).is_ok());
    }
    for line in
        ["key = \"/root/k\"", "passphrase-file = \"p\"", "api-token-file = \"t\"", "trusted = [\"/\"]"]
    {
        let (told, _) = Place::new(line, "trusted = [\"PROJECT\"]").refused();
        let key = line.split(' ').next().unwrap();
        assert_eq!(told, format!("project/assay.toml:1: a project's file must not set {key}"));
    }
    let profile = Place::new("[profile.x]\napi = \"evil\"", own);
    assert!(matches!(profile.load(Some("x"), &[]), Err(ConfigError::NotTrusted { line: 2, .. })));
}

#[test]
fn a_wrong_file_is_refused_by_its_line() {
    for (own, told, hint) in [
        ("\nwhatever = 1", "own.toml:2: unknown key \"whatever\"", "assay config list shows all keys"),
        ("rpcUrl = \"x\"", "own.toml:1: unknown key \"rpcUrl\"", "did you mean rpc-url?"),
        ("[profile.a]\nContract = \"x\"", "own.toml:2: unknown key \"Contract\"", "did you mean contract?"),
        ("passphrase = \"x\"", "own.toml:1: unknown key \"passphrase\"", ""),
        ("first-block = \"x\"", "own.toml:1: first-block: \"x\": invalid digit found in string", ""),
        (
            "output = \"csv\"",
            "own.toml:1: output: only lists have the form csv; give it to the command: --output csv",
            "",
        ),
        ("first-block = [1]", "own.toml:1: first-block: expected a text or a number", ""),
        ("profile = 1", "own.toml:1: profile: expected [profile.NAME]", ""),
        ("trusted = [\"x\"]", "own.toml:1: trusted: \"x\" is not an absolute path", ""),
        ("rpc-url = \"https://u:p@h\"", "own.toml:1: rpc-url has a secret in it", "set ASSAY_RPC_URL"),
        ("rpc-url = \"https://h/v2/0123456789abcdefghij\"", "own.toml:1: rpc-url has a secret in it", "set "),
    ] {
        let (seen, said) = Place::new("", own).refused();
        assert_eq!(seen, told);
        assert!(said.contains(hint), "{said}");
    }
    let key = format!("key = \"0x{}\"", "1a".repeat(32));
    assert_eq!(Place::new("", &key).refused().0, "own.toml:1: key has a secret in it");
    let form = Place::new("", "\n\napi =").load(None, &[]);
    assert!(matches!(form, Err(ConfigError::Form { line: 3, .. })), "{form:?}");
    let long = Place::new("", &"#".repeat(1 << 17)).load(None, &[]);
    assert!(matches!(long, Err(ConfigError::NoText { .. })), "{long:?}");
    let none = Place::new("", "[profile.main]").load(Some("mian"), &[]).unwrap_err();
    assert_eq!(none.hint().unwrap(), "did you mean main?");
}
