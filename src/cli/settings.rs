//! What the command line means: resolves arguments, environment and defaults, and refuses contradictions.

mod hints;

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
};

use reqwest::Url;

use super::args::{
    API_VARIABLE, AcceptanceArg, ApiArgs, ContractArgs, DEFAULT_API, DealArgs, DevstackArgs, NodeArgs,
    RpcArgs, SCHEDULER_VARIABLE, SchedulerArg,
};
use super::environment::EnvironmentError;
use crate::{
    api::{ServeError, Token, TokenError},
    assembly::Backend,
    devstack::{BadActors, MAX_NODES},
    domain::{
        Acceptance, Amount, Asset, Audit, Deal, InvalidTerm, LogDomain, Method, NodeId, SpecError, Sum,
        SumError,
    },
    executor::DEFAULT_SOCKET,
    scheduler::contract::ChainConfig,
};

/// The command line asks for something impossible.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A term of the deal is out of bounds.
    #[error("invalid deal: {0}")]
    Term(#[from] InvalidTerm),
    /// An amount is in another asset than the deployment's, or too fine or too large for it.
    #[error(transparent)]
    Sum(#[from] SumError),
    /// The spec is not valid.
    #[error("invalid job: {}", hints::spec_problem(.0))]
    Spec(SpecError),
    /// The variables of the job cannot be read.
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    /// The API would listen where it must not.
    #[error(transparent)]
    Exposed(#[from] ServeError),
    /// Anybody could take every seat.
    #[error("--acceptance first-come lets one owner of many nodes take every seat")]
    OpenFirstCome,
    /// A flag belongs to an acceptance that is not chosen.
    #[error("--first-come cannot be used with --acceptance requester")]
    FirstComeUnused,
    /// The update changes nothing.
    #[error("no term to change")]
    NothingToUpdate,
    /// Comma-separated values of what is no list.
    #[error("only lists can be written as comma-separated values, and this command prints none")]
    NoList,
    /// The text is not the id of a job.
    #[error("{text:?} is not the id of a job")]
    JobName {
        /// The text.
        text: String,
    },
    /// The text is a prefix of an id, and there is no node to resolve it.
    #[error("{text:?} is not a full job id")]
    WholeJob {
        /// The text.
        text: String,
    },
    /// The text is not the address of an API.
    #[error("{text:?} is not the address of a node's API: {problem}")]
    Api {
        /// The text.
        text: String,
        /// The problem.
        problem: String,
    },
    /// The contract backend needs this flag.
    #[error("{flag} is missing: a contract is named by its chain and address")]
    NoContract {
        /// The flag.
        flag: &'static str,
    },
    /// A flag about the chain, for a network without one.
    #[error("--rpc-url names a chain, but --scheduler libp2p uses none")]
    NoChain,
    /// Flags name both a node to ask and a requester to act as.
    #[error("--api asks a node, but --scheduler contract asks none")]
    TwoNodes,
    /// Results are to be delivered to contracts, where there are none.
    #[error("--deliver is for contracts that ask, but --scheduler libp2p has none")]
    NoConsumers,
    /// No URLs are allowed, and some are.
    #[error("--input-url none allows no URLs, but another --input-url allows some")]
    UrlsAndNone,
    /// A follow-up, by a requester that will be gone by then.
    #[error("--escalate needs a requester that keeps running")]
    NoFollowUp,
    /// A choice by what a requester remembers, by a requester that remembers nothing.
    #[error("--replication auto needs a requester that keeps running, and remembers nodes")]
    NoMemory,
    /// Numbers are to be compared, and only equal outputs to count.
    #[error("--deterministic compares outputs alone, so the numbers of --summary would count for nothing")]
    NearDeterministic,
    /// A file with numbers, and no numbers to compare.
    #[error("--summary-file is for a job with --summary")]
    SummaryFileUnused,
    /// The seats of an audit are set, but not its chance.
    #[error("--audit-seats is for a job with an audit")]
    NoAudit,
    /// The engine's containers are invisible to this program.
    #[error("DOCKER_HOST is {host:?}, which is not an engine on this machine")]
    RemoteEngine {
        /// Its value.
        host: String,
    },
    /// There are more bad nodes than nodes that can be bad.
    #[error("of {nodes} nodes, {bad} cannot be bad")]
    BadNodes {
        /// The number of nodes.
        nodes: usize,
        /// The number of bad nodes.
        bad: usize,
    },
    /// The devstack has no nodes, or more than one process can hold.
    #[error("a devstack has 1 to {most} nodes, not {nodes}")]
    NodeCount {
        /// The number given.
        nodes: usize,
        /// The largest number.
        most: usize,
    },
    /// A flag of sweeps, for a single job.
    #[error("--max-parallel is for a sweep, and this is one job")]
    NoSweep,
    /// A sweep sets a variable that is set already.
    #[error("the variable {name} is set twice: by the sweep, and by --env or another --matrix")]
    SweepVariable {
        /// Its name.
        name: String,
    },
    /// A sweep has more jobs than a group may have.
    #[error("the sweep has {jobs} jobs, and a group has at most {most}")]
    SweepSize {
        /// The number of jobs.
        jobs: u128,
        /// The largest number.
        most: u32,
    },
    /// The text is not the id of a group.
    #[error("{text:?} is not the id of a group")]
    GroupName {
        /// The text.
        text: String,
    },
    /// Neither a flag nor the environment says where to keep data.
    #[error("no directory for the node's data: neither XDG_STATE_HOME nor HOME is set")]
    NoDataDir,
}

/// Seats of a second wave that outvote a lie of the whole first wave.
const fn default_audit_seats(concurrency: u8) -> u8 {
    concurrency.saturating_add(1)
}

/// Applies the arguments to `base`: defaults for a new job, its own terms for an update.
pub(super) fn deal(args: &DealArgs, base: Deal, asset: &Asset) -> Result<Deal, SettingsError> {
    let mut deal = base;
    // Before the tolerances that the user gives.
    if (args.require_work || args.verified_build) && !deal.require_work {
        deal.ask_for_work();
    }
    if let Some(concurrency) = args.concurrency {
        deal.concurrency = concurrency;
        // A lower value would mean nothing, since a verdict needs a majority.
        deal.confidence = concurrency / 2 + 1;
    }
    deal.confidence = args.confidence.unwrap_or(deal.confidence);
    deal.tolerance_kib = args.tolerance.map_or(deal.tolerance_kib, |tolerance| tolerance.0);
    deal.relative_permille = args.relative_permille.unwrap_or(deal.relative_permille);
    if args.summary.is_some() {
        deal.method = Method::Near;
        deal.summary = args.summary;
    }
    deal.method = args.method.unwrap_or(deal.method);
    if args.verified_build {
        deal.method = Method::Hash;
    }
    if deal.method != Method::Near && args.summary.is_none() {
        // The updated deal's method brought its summary along.
        deal.summary = None;
    }
    deal.canonical = args.canonical.unwrap_or(deal.canonical);
    if let Some(permille) = args.audit {
        let seats = deal.audit.map_or_else(|| default_audit_seats(deal.concurrency), |audit| audit.seats);
        deal.audit = (permille > 0).then(|| Audit::requested(permille, seats));
    }
    match (&mut deal.audit, args.audit_seats) {
        (Some(audit), Some(seats)) => audit.seats = seats,
        (None, Some(_)) => return Err(SettingsError::NoAudit),
        (Some(_) | None, None) => {}
    }
    deal.cpu_permille = args.cpu_permille.unwrap_or(deal.cpu_permille);
    deal.deterministic |= args.deterministic;
    let asks = args.deterministic || args.summary.is_some() || args.method.is_some();
    if asks && deal.deterministic && deal.method == Method::Near {
        return Err(SettingsError::NearDeterministic);
    }
    if let Some(timeout) = args.timeout {
        deal.timeout = timeout;
        deal.run = Deal::run_for(timeout);
    }
    deal.run = args.run.unwrap_or(deal.run);
    deal.open = args.open.unwrap_or(deal.open);
    deal.reveal = args.reveal.unwrap_or(deal.reveal);
    deal.escalation_limit = args.escalate.unwrap_or(deal.escalation_limit);
    let amount = |sum: &Option<Sum>| sum.as_ref().map(|sum| sum.of(asset)).transpose();
    deal.min_paid = amount(&args.min_paid)?.unwrap_or(deal.min_paid);
    deal.keeper_fee = amount(&args.keeper_fee)?.unwrap_or(deal.keeper_fee);
    if let Some(price) = amount(&args.price)? {
        (deal.price, deal.bond) = (price, price);
    }
    deal.bond = amount(&args.bond)?.unwrap_or(deal.bond);
    if !args.allow.is_empty() {
        deal.allow_list = args.allow.clone();
        deal.allow_list.sort_unstable();
        deal.allow_list.dedup();
    }
    acceptance(args, &mut deal)?;
    deal.validate()?;
    Ok(deal)
}

fn acceptance(args: &DealArgs, deal: &mut Deal) -> Result<(), SettingsError> {
    match args.acceptance {
        None => {}
        Some(AcceptanceArg::Requester) if args.first_come.is_some() => {
            return Err(SettingsError::FirstComeUnused);
        }
        Some(AcceptanceArg::Requester) => deal.acceptance = Acceptance::Requester,
        Some(AcceptanceArg::FirstCome) => {
            let guarded = !deal.allow_list.is_empty() || !deal.min_paid.is_zero();
            if !guarded && args.first_come.is_none() {
                return Err(SettingsError::OpenFirstCome);
            }
            deal.acceptance = Acceptance::FirstCome;
        }
    }
    Ok(())
}

/// The backend that the flags choose.
pub(super) fn backend(scheduler: SchedulerArg, args: &ContractArgs) -> Result<Backend, SettingsError> {
    match scheduler {
        SchedulerArg::Libp2p => Ok(Backend::Libp2p),
        SchedulerArg::Contract => {
            let (chain, first_block) = chain(args)?;
            Ok(Backend::Contract { chain, first_block })
        }
    }
}

/// The contract in the flags, and the first block to read.
pub(super) fn chain(args: &ContractArgs) -> Result<(ChainConfig, u64), SettingsError> {
    let contract = args.contract.ok_or(SettingsError::NoContract { flag: "--contract" })?;
    let chain = ChainConfig {
        rpc_urls: rpc(&args.rpc)?,
        contract,
        chain_id: args.rpc.chain_id,
        confirmations: args.confirmations,
        max_fee_per_gas: max_fee(&args.rpc),
    };
    Ok((chain, args.first_block))
}

/// The most to pay for a unit of gas, in wei, if there is a bound.
pub(super) fn max_fee(args: &RpcArgs) -> Option<u128> {
    args.max_fee.map(Amount::units)
}

/// The endpoints in the flags.
pub(super) fn rpc(args: &RpcArgs) -> Result<Vec<String>, SettingsError> {
    if args.rpc_url.is_empty() {
        return Err(SettingsError::NoContract { flag: "--rpc-url" });
    }
    Ok(args.rpc_url.clone())
}

/// A command's own requester.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Requester {
    pub(super) chain: ChainConfig,
    pub(super) first_block: u64,
}

/// The requester that a command acts as; `None` if it asks a node.
///
/// A flag overrides a variable. Of two variables the node's wins, because asking a node costs nothing.
pub(super) fn requester(args: &NodeArgs) -> Result<Option<Requester>, SettingsError> {
    if args.scheduler != Some(SchedulerArg::Contract) {
        return Ok(None);
    }
    let is_flag = |variable, value: &str| std::env::var(variable).ok().as_deref() != Some(value);
    let scheduler_is_flag = is_flag(SCHEDULER_VARIABLE, "contract");
    match &args.api.api {
        Some(api) if is_flag(API_VARIABLE, api) && scheduler_is_flag => Err(SettingsError::TwoNodes),
        Some(_) if !scheduler_is_flag => Ok(None),
        Some(_) | None => {
            let (chain, first_block) = chain(&args.chain)?;
            Ok(Some(Requester { chain, first_block }))
        }
    }
}

/// The settings of a devstack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DevstackSettings {
    pub(super) nodes: usize,
    pub(super) bad: BadActors,
}

/// A devstack with checked numbers.
pub(super) fn devstack(args: &DevstackArgs) -> Result<DevstackSettings, SettingsError> {
    let (nodes, bad) = (args.nodes, args.bad_actors);
    if !(1..=MAX_NODES).contains(&nodes) {
        return Err(SettingsError::NodeCount { nodes, most: MAX_NODES });
    }
    if bad.count > nodes {
        return Err(SettingsError::BadNodes { nodes, bad: bad.count });
    }
    if args.rpc_url.is_some() && args.scheduler == SchedulerArg::Libp2p {
        return Err(SettingsError::NoChain);
    }
    Ok(DevstackSettings { nodes, bad })
}

/// The node to ask, and who named it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ApiAddress {
    /// Ends with a slash.
    pub(super) url: Url,
    /// For the hint when nobody answers there.
    pub(super) origin: ApiOrigin,
    token: TokenFile,
}

/// The file with the token of a node's API.
#[derive(Debug, Clone, PartialEq, Eq)]
enum TokenFile {
    /// The path is known from the user or this command.
    At(PathBuf),
    /// A node of this user left it when it started, if there is one at that address.
    Noted,
}

/// Who named the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ApiOrigin {
    /// The flag, `ASSAY_API` or a configuration file.
    User,
    /// A devstack or node on this machine, when it started.
    StateFile,
    /// This command, which runs the node.
    Own,
    /// Nobody.
    Default,
}

impl ApiAddress {
    /// The node of this process.
    pub(super) fn own(address: SocketAddr, token_file: PathBuf) -> Self {
        let url = api_url(&address.to_string()).expect("a socket address is a host and a port");
        Self { url, origin: ApiOrigin::Own, token: TokenFile::At(token_file) }
    }

    fn named(url: Url, origin: ApiOrigin, args: &ApiArgs) -> Self {
        let token = args.api_token_file.clone().map_or(TokenFile::Noted, TokenFile::At);
        Self { url, origin, token }
    }

    /// The present token; `None` if no node of this user listens there, and then the node that does will say so.
    ///
    /// # Errors
    /// [`TokenError`] about a file that the user named.
    pub(super) fn token(&self) -> Result<Option<Token>, TokenError> {
        match &self.token {
            TokenFile::At(path) => Token::read(path).map(Some),
            TokenFile::Noted => {
                let noted = self.notes().find_map(|note| std::fs::read_to_string(note).ok());
                Ok(noted.and_then(|path| Token::read(Path::new(path.trim())).ok()))
            }
        }
    }

    /// Where a node at this address may have left the path of its token file.
    fn notes(&self) -> impl Iterator<Item = PathBuf> {
        let port = self.url.port_or_known_default().unwrap_or_default();
        let host = self.url.host_str().unwrap_or_default();
        let ips = match host.trim_matches(['[', ']']).parse() {
            Ok(ip) => vec![ip],
            Err(_) if host.eq_ignore_ascii_case("localhost") => {
                vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]
            }
            Err(_) => Vec::new(),
        };
        ips.into_iter().filter_map(move |ip: IpAddr| token_note(SocketAddr::new(ip, port)))
    }
}

/// Precedence: flag, then environment, then configuration files (all in `args`), then what the newest devstack or node left, then the default.
pub(super) fn api(args: &ApiArgs) -> Result<ApiAddress, SettingsError> {
    if let Some(text) = &args.api {
        return Ok(ApiAddress::named(api_url(text)?, ApiOrigin::User, args));
    }
    let recorded = state_file().and_then(|path| std::fs::read_to_string(path).ok());
    match recorded.as_deref().map(str::trim).map(api_url) {
        Some(Ok(url)) => Ok(ApiAddress::named(url, ApiOrigin::StateFile, args)),
        Some(Err(_)) | None => Ok(ApiAddress::named(api_url(DEFAULT_API)?, ApiOrigin::Default, args)),
    }
}

fn api_url(text: &str) -> Result<Url, SettingsError> {
    let bad = |problem: String| SettingsError::Api { text: text.to_owned(), problem };
    let whole = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let url = Url::parse(&whole).map_err(|error| bad(error.to_string()))?;
    if url.scheme() != "http" {
        return Err(bad("only http is supported".to_owned()));
    }
    if url.host_str().is_none() || url.path() != "/" || url.query().is_some() {
        return Err(bad("expected only a host and a port".to_owned()));
    }
    Ok(url)
}

/// The socket of the container engine: `DOCKER_HOST`, or the usual path.
pub(super) fn engine_socket() -> Result<String, SettingsError> {
    match std::env::var("DOCKER_HOST") {
        Ok(host) if !host.is_empty() => match host.strip_prefix("unix://") {
            Some(path) => Ok(path.to_owned()),
            None => Err(SettingsError::RemoteEngine { host }),
        },
        _ => Ok(DEFAULT_SOCKET.to_owned()),
    }
}

/// Where this user's nodes leave the addresses of their APIs, and keep their data.
fn state_dir() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    // Without HOME, the home directory from the system's user database.
    let base = set("XDG_STATE_HOME").or_else(|| Some(std::env::home_dir()?.join(".local/state")))?;
    Some(base.join("assay"))
}

/// The file with the API address of the newest devstack or node.
pub(super) fn state_file() -> Option<PathBuf> {
    Some(state_dir()?.join("api"))
}

/// The file with the token path of the node whose API has this address.
pub(super) fn token_note(api: SocketAddr) -> Option<PathBuf> {
    Some(state_dir()?.join("tokens").join(api.to_string()))
}

/// The file of a sweep.
pub(super) fn sweep_file(group: &str) -> Option<PathBuf> {
    Some(state_dir()?.join("sweeps").join(format!("{group}.json")))
}

/// Where the requester with this key keeps its state for this contract.
pub(super) fn requester_dir(domain: LogDomain, requester: NodeId) -> Result<PathBuf, SettingsError> {
    let name = format!("{}-{}-{requester}", domain.chain_id, domain.contract);
    Ok(state_dir().ok_or(SettingsError::NoDataDir)?.join("requester").join(name))
}

/// The default data directory of a node.
pub(super) fn default_data_dir() -> Result<PathBuf, SettingsError> {
    Ok(state_dir().ok_or(SettingsError::NoDataDir)?.join("node"))
}

#[cfg(test)]
mod tests;
