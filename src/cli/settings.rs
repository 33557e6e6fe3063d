//! What the command line means: arguments, environment and defaults resolved, contradictions refused.

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
    domain::{Acceptance, Amount, Audit, Deal, InvalidTerm, LogDomain, Method, NodeId, SpecError},
    executor::DEFAULT_SOCKET,
    explain::Hint,
    scheduler::contract::{ChainConfig, DEFAULT_MAX_FEE_PER_GAS},
};

/// The file with the token to ask a node with, where no node of this user noted one.
const TOKEN_VARIABLE: &str = "ASSAY_API_TOKEN_FILE";

/// A command line that asks for something impossible.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A term of the deal is out of bounds.
    #[error("invalid deal: {0}")]
    Term(#[from] InvalidTerm),
    /// The spec is not one that a node may run.
    #[error("invalid job: {}", hints::spec_problem(.0))]
    Spec(SpecError),
    /// The variables of the job cannot be read.
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    /// The API would be where it must not be.
    #[error(transparent)]
    Exposed(#[from] ServeError),
    /// Anybody could take every seat.
    #[error("--acceptance first-come lets one owner of many nodes take every seat")]
    OpenFirstCome,
    /// Says something about an acceptance that is not chosen.
    #[error("--first-come cannot be used with --acceptance requester")]
    FirstComeUnused,
    /// There is nothing to change.
    #[error("no term to change")]
    NothingToUpdate,
    /// Text that is not the id of a job.
    #[error("{text:?} is not the id of a job")]
    JobName {
        /// As given.
        text: String,
    },
    /// A prefix of an id, where no node can be asked for the whole id.
    #[error("{text:?} is not a full job id")]
    WholeJob {
        /// As given.
        text: String,
    },
    /// Text that is no address of an API.
    #[error("{text:?} is not the address of a node's API: {problem}")]
    Api {
        /// As given.
        text: String,
        /// What is wrong.
        problem: String,
    },
    /// A contract was asked for, and not said which.
    #[error("{flag} is missing: a contract is named by its chain and address")]
    NoContract {
        /// The flag.
        flag: &'static str,
    },
    /// A chain was named for a network without one.
    #[error("--rpc-url names a chain, but --scheduler libp2p uses none")]
    NoChain,
    /// Both a node to ask and a requester to be.
    #[error("--api asks a node, but --scheduler contract asks none")]
    TwoNodes,
    /// A follow-up by a requester that is gone by then.
    #[error("--escalate needs a requester that keeps running")]
    NoFollowUp,
    /// The number of seats of an audit without its chance.
    #[error("--audit-seats is for a job with an audit")]
    NoAudit,
    /// An engine whose containers this program cannot see.
    #[error("DOCKER_HOST is {host:?}, which is not an engine on this machine")]
    RemoteEngine {
        /// Its value.
        host: String,
    },
    /// A devstack that cannot be.
    #[error("a devstack of {nodes} nodes cannot have {bad} bad ones")]
    BadNodes {
        /// How many nodes.
        nodes: usize,
        /// How many bad ones.
        bad: usize,
    },
    /// A devstack of none, or of more nodes than one process holds.
    #[error("a devstack has 1 to {most} nodes, not {nodes}")]
    NodeCount {
        /// As asked.
        nodes: usize,
        /// As possible.
        most: usize,
    },
    /// Neither the flag nor the environment says where to keep data.
    #[error("no directory for the node's data: neither XDG_STATE_HOME nor HOME is set")]
    NoDataDir,
}

impl Hint for SettingsError {
    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Term(InvalidTerm { term, .. }) => return Some(hints::term(*term)),
            Self::Spec(error) => return hints::spec(error),
            Self::Environment(error) => return error.hint(),
            Self::Exposed(error) => return error.hint(),
            Self::OpenFirstCome => {
                "name the nodes that may bid with --allow, or accept the risk with --first-come open"
            }
            Self::FirstComeUnused => "leave it out, or choose --acceptance first-come",
            Self::NothingToUpdate => "name one, such as --timeout 10m; see assay job update --help",
            Self::JobName { .. } => "give the id of a job or a unique prefix of it; see assay job list",
            Self::WholeJob { .. } => "give all 64 hex digits; assay job list --output json shows them",
            Self::Api { .. } => "give a host and a port, such as http://127.0.0.1:7421",
            Self::NoContract { .. } => {
                "give --rpc-url and --contract, or set ASSAY_RPC_URL and ASSAY_CONTRACT; to try it, assay devstack \
                 --scheduler contract starts a chain and prints both"
            }
            Self::NoFollowUp => {
                "start one with assay serve --scheduler contract --slots 0, and submit with --api"
            }
            Self::NoChain => "add --scheduler contract, or leave it out",
            Self::TwoNodes => "leave one of them out",
            Self::RemoteEngine { .. } => {
                "Assay measures memory on this machine: set DOCKER_HOST to unix:// and a local socket, or unset it"
            }
            Self::NoAudit => "add --audit with its chance in thousandths, such as --audit 100",
            Self::BadNodes { .. } => "ask for more --nodes, or fewer --bad-actors",
            Self::NodeCount { .. } => "choose another number for --nodes",
            Self::NoDataDir => "set one of them, or pass --data-dir if the command has it",
        };
        Some(hint.to_owned())
    }
}

/// Seats of a second wave with which a lie of the whole first wave is outvoted.
const fn default_audit_seats(concurrency: u8) -> u8 {
    concurrency.saturating_add(1)
}

/// The terms that the arguments make of `base`: defaults for a new job, its own terms for one that is updated.
pub(super) fn deal(args: &DealArgs, base: Deal) -> Result<Deal, SettingsError> {
    let mut deal = base;
    if let Some(concurrency) = args.concurrency {
        deal.concurrency = concurrency;
        // Fewer would mean nothing: no verdict is reached without a majority.
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
    if deal.method != Method::Near && args.summary.is_none() {
        // The method of an updated deal took its summary along.
        deal.summary = None;
    }
    deal.canonical = args.canonical.unwrap_or(deal.canonical);
    deal.require_work |= args.require_work;
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
    if let Some(timeout) = args.timeout {
        deal.timeout = timeout;
        deal.run = Deal::run_for(timeout);
    }
    deal.run = args.run.unwrap_or(deal.run);
    deal.open = args.open.unwrap_or(deal.open);
    deal.reveal = args.reveal.unwrap_or(deal.reveal);
    deal.escalation_limit = args.escalate.unwrap_or(deal.escalation_limit);
    deal.keeper_fee = args.keeper_fee.unwrap_or(deal.keeper_fee);
    if let Some(price) = args.price {
        (deal.price, deal.bond) = (price, price);
    }
    deal.bond = args.bond.unwrap_or(deal.bond);
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
            let guarded = !deal.allow_list.is_empty() || deal.min_paid_jobs > 0;
            if !guarded && args.first_come.is_none() {
                return Err(SettingsError::OpenFirstCome);
            }
            deal.acceptance = Acceptance::FirstCome;
        }
    }
    Ok(())
}

/// The backend behind the flags.
pub(super) fn backend(scheduler: SchedulerArg, args: &ContractArgs) -> Result<Backend, SettingsError> {
    match scheduler {
        SchedulerArg::Libp2p => Ok(Backend::Libp2p),
        SchedulerArg::Contract => {
            let (chain, first_block) = chain(args)?;
            Ok(Backend::Contract { chain, first_block })
        }
    }
}

/// The contract behind the flags, and the block to read from.
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

/// The most to pay for a unit of gas, in wei.
pub(super) fn max_fee(args: &RpcArgs) -> u128 {
    args.max_fee.map_or(DEFAULT_MAX_FEE_PER_GAS, Amount::units)
}

/// The endpoints behind the flags.
pub(super) fn rpc(args: &RpcArgs) -> Result<Vec<String>, SettingsError> {
    if args.rpc_url.is_empty() {
        return Err(SettingsError::NoContract { flag: "--rpc-url" });
    }
    Ok(args.rpc_url.clone())
}

/// A requester of a command's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Requester {
    pub(super) chain: ChainConfig,
    pub(super) first_block: u64,
}

/// The requester that a command acts as; `None` if it asks a node.
///
/// A flag overrides a variable. Of two variables, that of the node wins, because asking a node costs nothing.
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

/// What a devstack is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DevstackSettings {
    pub(super) nodes: usize,
    pub(super) bad: BadActors,
}

/// A devstack with possible numbers.
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

/// Which node to ask, and who said so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ApiAddress {
    /// Ends with a slash.
    pub(super) url: Url,
    /// For the hint when nobody answers there.
    pub(super) origin: ApiOrigin,
    token: TokenFile,
}

/// Which file holds the token of a node's API.
#[derive(Debug, Clone, PartialEq, Eq)]
enum TokenFile {
    /// It is known: the user or this command says so.
    At(PathBuf),
    /// A node of this user said so when it started, if there is one at that address.
    Noted,
}

/// Who said where the node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ApiOrigin {
    /// The flag or `ASSAY_API`.
    User,
    /// A devstack or a node of this machine, when it started.
    StateFile,
    /// This command, which runs the node.
    Own,
    /// Nobody.
    Default,
}

impl ApiAddress {
    /// That of a node of this process.
    pub(super) fn own(address: SocketAddr, token_file: PathBuf) -> Self {
        let url = api_url(&address.to_string()).expect("a socket address is a host and a port");
        Self { url, origin: ApiOrigin::Own, token: TokenFile::At(token_file) }
    }

    fn named(url: Url, origin: ApiOrigin) -> Self {
        let set = std::env::var_os(TOKEN_VARIABLE).filter(|value| !value.is_empty());
        let token = set.map_or(TokenFile::Noted, |path| TokenFile::At(path.into()));
        Self { url, origin, token }
    }

    /// The token to ask with, as it is now; `None` if no node of this user listens there, which the one that does tells.
    ///
    /// # Errors
    /// [`TokenError`] about a file that the user names.
    pub(super) fn token(&self) -> Result<Option<Token>, TokenError> {
        match &self.token {
            TokenFile::At(path) => Token::read(path).map(Some),
            TokenFile::Noted => {
                let noted = self.notes().find_map(|note| std::fs::read_to_string(note).ok());
                Ok(noted.and_then(|path| Token::read(Path::new(path.trim())).ok()))
            }
        }
    }

    /// Where a node at this address may have noted its token file.
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

/// Flag, then environment (both in `args`), then what the newest devstack or node left, then the default.
pub(super) fn api(args: &ApiArgs) -> Result<ApiAddress, SettingsError> {
    if let Some(text) = &args.api {
        return Ok(ApiAddress::named(api_url(text)?, ApiOrigin::User));
    }
    let recorded = state_file().and_then(|path| std::fs::read_to_string(path).ok());
    match recorded.as_deref().map(str::trim).map(api_url) {
        Some(Ok(url)) => Ok(ApiAddress::named(url, ApiOrigin::StateFile)),
        Some(Err(_)) | None => Ok(ApiAddress::named(api_url(DEFAULT_API)?, ApiOrigin::Default)),
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

/// The socket of the container engine: `DOCKER_HOST`, or where engines usually are.
pub(super) fn engine_socket() -> Result<String, SettingsError> {
    match std::env::var("DOCKER_HOST") {
        Ok(host) if !host.is_empty() => match host.strip_prefix("unix://") {
            Some(path) => Ok(path.to_owned()),
            None => Err(SettingsError::RemoteEngine { host }),
        },
        _ => Ok(DEFAULT_SOCKET.to_owned()),
    }
}

/// Where this user's nodes leave the address of their API, and their data.
fn state_dir() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    // Without HOME the home that the system knows counts.
    let base = set("XDG_STATE_HOME").or_else(|| Some(std::env::home_dir()?.join(".local/state")))?;
    Some(base.join("assay"))
}

/// The file that names the API of the newest devstack or node.
pub(super) fn state_file() -> Option<PathBuf> {
    Some(state_dir()?.join("api"))
}

/// The file that names the token file of the node whose API has this address.
pub(super) fn token_note(api: SocketAddr) -> Option<PathBuf> {
    Some(state_dir()?.join("tokens").join(api.to_string()))
}

/// Where the requester with this key keeps what it knows of this contract.
pub(super) fn requester_dir(domain: LogDomain, requester: NodeId) -> Result<PathBuf, SettingsError> {
    let name = format!("{}-{}-{requester}", domain.chain_id, domain.contract);
    Ok(state_dir().ok_or(SettingsError::NoDataDir)?.join("requester").join(name))
}

/// Where a node keeps its data when nobody says.
pub(super) fn default_data_dir() -> Result<PathBuf, SettingsError> {
    Ok(state_dir().ok_or(SettingsError::NoDataDir)?.join("node"))
}

#[cfg(test)]
mod tests;
