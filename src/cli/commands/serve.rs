//! `assay serve`: one node in this process.

use std::{path::PathBuf, sync::Arc, time::Duration};

use serde::Serialize;

use crate::{
    api::ApiConfig,
    assembly::{Backend, Host, HostConfig},
    cli::{
        CliError, ExitStatus,
        args::{DialArg, InputUrlArg, KeepFor, KeepKind, ServeArgs, values::AskedSum},
        document::Document,
        keys,
        output::Output,
        running::{Interrupts, Running, RunningNote, allow_many_files, ended},
        settings::{self, SettingsError},
    },
    domain::{Ask, Asset, MIN_REVEAL, NodeId, Resources, Sum},
    executor::{DockerExecutor, Executor, NoEngine, Registries},
    node::{Admission, ComputeLimits, Keep, Together, UrlLimits},
    policy::capacity::Obligations,
    scheduler::contract::ContractReader,
};

/// A node that serves, as JSON.
#[derive(Debug, Serialize)]
struct Serving {
    id: NodeId,
    api: String,
    /// The token file of the API.
    token_file: PathBuf,
    addresses: Vec<String>,
}

impl Document for Serving {}

/// Runs one node until the user, or a service manager, tells it to end.
pub(in crate::cli) async fn run(args: ServeArgs, output: Output) -> Result<ExitStatus, CliError> {
    // First of all, before anything listens or is written.
    let api = ApiConfig { address: args.api, ..ApiConfig::default() };
    api.check().map_err(SettingsError::from)?;
    let backend = settings::backend(args.scheduler, &args.chain)?;
    if args.deliver && backend == Backend::Libp2p {
        return Err(SettingsError::NoConsumers.into());
    }
    let urls = urls(&args.input_url)?;
    let key = args.key.key.is_some().then(|| keys::load(&args.key)).transpose()?;
    let sums = sums(&args);
    let asset = match &backend {
        // What a sum with a unit is worth, the contract says. The node must not bid before that is known.
        Backend::Contract { chain, .. } if !sums.iter().all(Sum::is_bare) => {
            let reader = ContractReader::connect(&chain.rpc_urls, chain.contract, chain.chain_id).await?;
            reader.asset().clone()
        }
        Backend::Contract { .. } | Backend::Libp2p => Asset::Ether,
    };
    let (limits, admission, keep) = (limits(&args, &asset)?, admission(&args), keep(&args));
    let data_dir = args.data_dir.map_or_else(settings::default_data_dir, Ok)?;
    allow_many_files();
    let mut interrupts = Interrupts::new().map_err(CliError::Signals)?;
    let registries = match args.allow_registry {
        named if named.is_empty() => Registries::default(),
        named => Registries::new(named.into_iter().filter(|host| host != "none")),
    };
    let executor: Arc<dyn Executor> = match DockerExecutor::connect(&settings::engine_socket()?).await {
        Ok(engine) => Arc::new(engine.with_registries(registries)),
        Err(error) if args.slots == 0 => {
            output.note(&format!("no engine here ({error}): jobs must name images as name@sha256:.."));
            Arc::new(NoEngine)
        }
        Err(error) => return Err(CliError::Engine(error)),
    };
    let config = HostConfig {
        backend,
        data_dir,
        key,
        listen: vec![args.listen],
        peers: args.peer,
        dial_private: args.dial.contains(&DialArg::Private),
        api: args.api,
        compute_slots: args.slots,
        limits,
        sisters: args.sister,
        admission,
        deliver: args.deliver,
        urls,
        keep,
        executor,
    };
    let opening = Host::open(config).await.map_err(CliError::Host)?;
    let running = Running { api: opening.api(), token_file: opening.token_file() };
    let _announced = RunningNote::new(&[running], output);
    output.note(&format!("loading; the API answers at http://{} and says how far it is", opening.api()));
    let host = tokio::select! {
        started = opening.start() => started.map_err(CliError::Host)?,
        () = interrupts.next() => return Ok(ExitStatus::Interrupted),
    };
    let serving = Serving {
        id: host.id(),
        api: format!("http://{}", host.api()),
        token_file: host.token_file(),
        addresses: host.addresses().iter().map(ToString::to_string).collect(),
    };
    output.result(&serving, || {
        let peers = serving.addresses.iter().map(|address| format!("Join:  assay serve --peer {address}\n"));
        let token_file = serving.token_file.display();
        format!(
            "Node:  {}\nAPI:   {}\nToken: {token_file}\n{}",
            serving.id,
            serving.api,
            peers.collect::<String>()
        )
    })?;
    output.note("ready; Ctrl-C stops the node");
    let (node, stop) = (host.node(), host.stop_token());
    let mut joined = Box::pin(host.join());
    tokio::select! {
        joined = &mut joined => return ended(joined.map_err(CliError::Host)),
        () = interrupts.next() => {}
    }
    let grace = Duration::from_secs(args.grace.as_secs().into());
    output.note(&format!(
        "stopping; running jobs have {} s more; Ctrl-C again to stop at once",
        grace.as_secs()
    ));
    let status = tokio::select! {
        joined = &mut joined => return ended(joined.map_err(CliError::Host)),
        left = node.leave(grace) => tell_debts(left, output),
        () = interrupts.next() => return Ok(ExitStatus::Interrupted),
    };
    stop.cancel();
    tokio::select! {
        joined = joined => ended(joined.map_err(CliError::Host)).map(|_| status),
        () = interrupts.next() => Ok(ExitStatus::Interrupted),
    }
}

/// The URLs that the node gets inputs from.
fn urls(given: &[InputUrlArg]) -> Result<UrlLimits, SettingsError> {
    let has = |kind| given.contains(&kind);
    if has(InputUrlArg::None) {
        let is_alone = given.iter().all(|kind| *kind == InputUrlArg::None);
        return is_alone.then_some(UrlLimits::NONE).ok_or(SettingsError::UrlsAndNone);
    }
    Ok(UrlLimits {
        https: true,
        http: has(InputUrlArg::Http),
        file: has(InputUrlArg::File),
        private: has(InputUrlArg::Private),
    })
}

/// Lists what the node owes when it ends. Whoever started it learns from the exit code that it has to be started again.
fn tell_debts(owed: Obligations, output: Output) -> ExitStatus {
    let Obligations { bids, seats, openings } = owed;
    if openings > 0 {
        output.note(&format!(
            "{openings} results are committed to and not revealed: start the node again before their deadline, or their \
             bonds are lost"
        ));
    }
    if bids + seats > 0 {
        output.note(&format!(
            "{bids} bids and {seats} seats could not be given back in time: their jobs wait until a deadline passes"
        ));
    }
    status_of(owed)
}

/// The end of a node that was told to end.
fn status_of(owed: Obligations) -> ExitStatus {
    if owed == Obligations::default() { ExitStatus::Success } else { ExitStatus::Deadline }
}

/// The sums that the flags name.
fn sums(args: &ServeArgs) -> Vec<Sum> {
    let ask = match &args.ask {
        AskedSum::Percent(_) => None,
        AskedSum::Sum(sum) => Some(sum),
    };
    [&args.max_bond, &args.min_price].into_iter().chain(ask).cloned().collect()
}

/// The limits on the jobs that the node takes on.
fn limits(args: &ServeArgs, asset: &Asset) -> Result<ComputeLimits, SettingsError> {
    Ok(ComputeLimits {
        max_bond: args.max_bond.of(asset)?,
        ask: match &args.ask {
            AskedSum::Percent(share) => *share,
            AskedSum::Sum(sum) => Ask::Amount(sum.of(asset)?),
        },
        // A job's run phase is at least a minute longer than its timeout, so one bound suffices.
        max_timeout: args.max_run,
        max_run: args.max_run,
        min_reveal: args.min_reveal.unwrap_or(MIN_REVEAL),
        max_reveal: args.max_reveal,
        min_price: args.min_price.of(asset)?,
        // What all containers may not take together, one may not take either.
        max_resources: together(args).cap(Resources {
            memory_bytes: args.max_memory,
            cpu_millis: args.max_cpus,
            disk_bytes: args.max_disk,
            scratch_bytes: args.max_scratch,
            ..ComputeLimits::default().max_resources
        }),
    })
}

/// What the operator lets the node work for, and when.
fn admission(args: &ServeArgs) -> Admission {
    Admission {
        images: args.allow_image.clone(),
        requesters: args.allow_requester.clone(),
        hours: args.hours.clone(),
        together: together(args),
    }
}

const fn together(args: &ServeArgs) -> Together {
    Together { memory_bytes: args.total_memory, cpu_millis: args.total_cpus, disk_bytes: args.total_disk }
}

/// For how long the node keeps what ended jobs left. Later flags win.
fn keep(args: &ServeArgs) -> Keep {
    let mut keep = Keep { bytes: args.keep_bytes, ..Keep::default() };
    for KeepFor { kind, time } in &args.keep_for {
        let Keep { results, own, inputs, logs, bytes: _ } = &mut keep;
        let spans = match kind {
            None => vec![results, own, inputs, logs],
            Some(KeepKind::Results) => vec![results],
            Some(KeepKind::Own) => vec![own],
            Some(KeepKind::Inputs) => vec![inputs],
            Some(KeepKind::Logs) => vec![logs],
        };
        spans.into_iter().for_each(|span| *span = *time);
    }
    keep
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::{
        cli::args::{Cli, Command},
        domain::Span,
    };

    fn args(flags: &[&str]) -> ServeArgs {
        let words = ["assay", "serve"].iter().chain(flags);
        let Command::Serve(args) = Cli::try_parse_from(words).unwrap().command else { panic!("serve") };
        *args
    }

    fn of(flags: &[&str]) -> ComputeLimits {
        limits(&args(flags), &Asset::Ether).unwrap()
    }

    #[test]
    fn flags_say_for_how_long_what_ended_jobs_left_is_kept() {
        let day = |days: u32| Span::from_secs(days * 24 * 60 * 60);
        assert_eq!(keep(&args(&[])), Keep::default());
        let flags = ["--keep-for", "2d", "--keep-for", "own=3d", "--keep-bytes", "1g"];
        let expected = Keep { results: day(2), own: day(3), inputs: day(2), logs: day(2), bytes: 1 << 30 };
        assert_eq!(keep(&args(&flags)), expected);
        assert!(Cli::try_parse_from(["assay", "serve", "--keep-for", "all=2d"]).is_err());
    }

    #[test]
    fn flags_say_what_one_container_and_all_together_may_take() {
        assert_eq!(of(&[]), ComputeLimits { max_timeout: of(&[]).max_run, ..ComputeLimits::default() });
        assert_eq!(admission(&args(&[])), Admission::default());
        let flags = ["--max-memory", "2g", "--max-cpus", "1.5", "--max-disk", "3g", "--total-memory", "1g"];
        let most = of(&flags).max_resources;
        assert_eq!((most.memory_bytes, most.cpu_millis, most.disk_bytes), (1 << 30, 1500, 3 << 30));
        assert_eq!(admission(&args(&flags)).together.memory_bytes, Some(1 << 30));
        let flags = ["--min-price", "5gwei", "--allow-image", "assay/*", "--hours", "mon-fri 18:00-08:00"];
        assert_eq!(of(&flags).min_price.units(), 5_000_000_000);
        let Admission { images, hours, requesters, .. } = admission(&args(&flags));
        assert_eq!((images.len(), hours.len(), requesters.len()), (1, 1, 0));
        for bad in [["--hours", "9-17"], ["--allow-image", "a b"], ["--max-memory", "much"]] {
            assert!(Cli::try_parse_from(["assay", "serve"].iter().chain(&bad)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_node_that_ends_with_debts_says_so_by_its_exit_code() {
        assert_eq!(status_of(Obligations::default()).code(), 0);
        let debts = [(1, 0, 0), (0, 1, 0), (0, 0, 1)];
        for (bids, seats, openings) in debts {
            assert_eq!(status_of(Obligations { bids, seats, openings }).code(), 122);
        }
    }

    #[test]
    fn jobs_get_inputs_from_public_servers_that_prove_their_names_unless_flags_say_more() {
        let urls = |given: &[InputUrlArg]| urls(given).ok();
        assert_eq!(urls(&[]), Some(UrlLimits::default()));
        let all = [InputUrlArg::Http, InputUrlArg::File, InputUrlArg::Private];
        assert_eq!(urls(&all), Some(UrlLimits::ALL));
        assert_eq!(urls(&[InputUrlArg::None]), Some(UrlLimits::NONE));
        assert_eq!(urls(&[InputUrlArg::None, InputUrlArg::Http]), None, "they say the opposite");
    }

    #[test]
    fn flags_say_for_how_long_a_seat_may_be_bound() {
        let (usual, given) = (of(&[]), of(&["--max-run", "48h", "--max-reveal", "2h", "--min-reveal", "1h"]));
        assert_eq!(usual.max_run, ComputeLimits::default().max_run);
        assert_eq!(usual.max_reveal, ComputeLimits::default().max_reveal);
        assert_eq!((given.max_run, given.max_reveal), (Span::from_secs(172_800), Span::from_secs(7200)));
        assert_eq!((usual.min_reveal, given.min_reveal), (MIN_REVEAL, Span::from_secs(3600)));
        assert!(given.max_timeout > ComputeLimits::default().max_timeout, "or no run could be so long");
    }
}
