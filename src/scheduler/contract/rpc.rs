//! The endpoints of a chain, one of them in use. Every request is bounded in time, every answer in length.

use std::{
    error::Error,
    fmt,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use alloy::{
    eips::BlockNumberOrTag,
    primitives::Bytes,
    providers::{DynProvider, Provider, ProviderBuilder, WebSocketConfig, WsConnect},
    rpc::{client::RpcClient, types::Header},
    transports::{RpcError, TransportError, TransportErrorKind, http::reqwest::Url},
};
use tokio::{
    sync::{Mutex, watch},
    time::{Instant, sleep, timeout},
};

use super::{
    convert::{Revert, revert_of},
    http::{Http, MAX_ANSWER, TooLong},
    newest::{Newest, Told, header},
    socket::Socket,
    span::Span,
    words::{self, Complaint},
};
use crate::{domain::Backoff, scheduler::BackendError, tls};

/// Longest wait for one answer.
const REQUEST: Duration = Duration::from_secs(10);

/// Pauses before endpoints that are busy (429, 5xx, a reset connection) are asked again. The longest bounds what an
/// endpoint asks for, too. About twenty seconds in all.
pub(super) const PAUSES: Backoff =
    Backoff { first: Duration::from_millis(250), longest: Duration::from_secs(8) };
const ROUNDS: u32 = 7;

/// How often a chain on this machine is asked for news, and any other chain.
const POLL: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// How much sooner it is asked after an event, since the next one may be near.
const SOONER: u32 = 32;

/// When to ask for news again: soon after something happened, and ever later while nothing does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pace {
    pauses: Backoff,
    last: Duration,
}

impl Pace {
    /// Begins soon; never waits longer than `longest`.
    pub(super) fn new(longest: Duration) -> Self {
        Self { pauses: Backoff { first: longest / SOONER, longest }, last: Duration::ZERO }
    }

    /// Something happened.
    pub(super) const fn hurry(&mut self) {
        self.last = Duration::ZERO;
    }

    /// How long to wait now; the next wait is twice as long.
    pub(super) fn pause(&mut self) -> Duration {
        self.last = self.pauses.after(self.last);
        self.last
    }
}

/// An endpoint that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// No endpoint was given.
    #[error("no RPC endpoint was given; name one, such as http://127.0.0.1:8545")]
    None,
    /// The text is no URL of a known kind.
    #[error("{url:?} is not an RPC endpoint: expected http://, https://, ws:// or wss://")]
    Url {
        /// What was given.
        url: String,
    },
}

/// Endpoints of one chain; requests go to one until it fails, then to the next.
pub(super) struct Endpoints {
    list: Vec<Endpoint>,
    current: AtomicUsize,
    span: Span,
}

struct Endpoint {
    url: Url,
    newest: Arc<Newest>,
    /// Connected when first needed, and anew after a failure.
    provider: Mutex<Option<DynProvider>>,
}

/// Most characters that are repeated of what an endpoint says.
const LONGEST_ANSWER: usize = 300;

/// How long to go on asking.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// How often all endpoints are asked.
    rounds: u32,
    /// Whether the caller can ask for less.
    has_less: bool,
}

/// Why one endpoint gave no result.
enum Attempt {
    Answered(AskError),
    Failed(Failure),
}

struct Failure {
    reason: String,
    /// After which pause asking again may help, if it may.
    again_after: Option<Duration>,
    /// Whether it may answer when it is asked for less.
    may_be_too_much: bool,
    may_have_arrived: bool,
}

/// Why a request has no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum AskError {
    /// The call would revert.
    Reverted(Revert),
    /// The endpoint answered with an error.
    Answer(String),
    /// No endpoint answered, but one may if it is asked for less.
    Declined(BackendError),
    /// No endpoint can be reached.
    Unreachable(BackendError),
}

impl Endpoints {
    pub(super) fn new(urls: &[String]) -> Result<Self, EndpointError> {
        let endpoint = |text: &String| {
            let url = text.parse::<Url>().ok();
            let url =
                url.filter(|url| matches!(url.scheme(), "http" | "https" | "ws" | "wss") && url.has_host());
            let url = url.ok_or_else(|| EndpointError::Url { url: text.clone() })?;
            let newest = Newest::of(url.as_str());
            Ok(Endpoint { url, newest, provider: Mutex::new(None) })
        };
        let list: Vec<Endpoint> = urls.iter().map(endpoint).collect::<Result<_, _>>()?;
        if list.is_empty() {
            Err(EndpointError::None)
        } else {
            Ok(Self { list, current: AtomicUsize::new(0), span: Span::default() })
        }
    }

    /// How long to wait at most before asking for news again.
    pub(super) fn poll_interval(&self) -> Duration {
        if self.is_local() { POLL.0 } else { POLL.1 }
    }

    /// How many blocks may be asked for at a time.
    pub(super) const fn span(&self) -> &Span {
        &self.span
    }

    /// Whether every endpoint is on this machine.
    pub(super) fn is_local(&self) -> bool {
        self.list.iter().all(Endpoint::is_loopback)
    }

    /// How many endpoints there are.
    pub(super) fn count(&self) -> usize {
        self.list.len()
    }

    /// The endpoint in use, to be named to a user.
    pub(super) fn shown(&self) -> String {
        self.list[self.current.load(Ordering::Relaxed) % self.list.len()].shown()
    }

    /// Asks the endpoint in use, or the next that answers. All requests of `ask` go to the same endpoint. When all
    /// fail and one of them is only busy, they are asked again after a pause, for some twenty seconds.
    ///
    /// # Errors
    /// [`AskError`]; what an endpoint answered is not asked of another.
    pub(super) async fn ask<T, F: Future<Output = Result<T, TransportError>> + Send>(
        &self,
        ask: impl Fn(DynProvider) -> F + Send + Sync,
    ) -> Result<T, AskError> {
        let limits = Limits { rounds: ROUNDS, has_less: false };
        self.ask_rounds(ask, &AtomicUsize::new(0), limits).await
    }

    /// As [`Self::ask`], for callers that can ask for less: [`AskError::Declined`] at once if that may help.
    pub(super) async fn ask_for_many<T, F: Future<Output = Result<T, TransportError>> + Send>(
        &self,
        ask: impl Fn(DynProvider) -> F + Send + Sync,
    ) -> Result<T, AskError> {
        let limits = Limits { rounds: ROUNDS, has_less: true };
        self.ask_rounds(ask, &AtomicUsize::new(0), limits).await
    }

    /// As [`Self::ask`], but each endpoint once; counts in `lost` the requests that may have arrived though no answer
    /// came back.
    pub(super) async fn ask_in_turn<T, F: Future<Output = Result<T, TransportError>> + Send>(
        &self,
        ask: impl Fn(DynProvider) -> F + Send + Sync,
        lost: &AtomicUsize,
    ) -> Result<T, AskError> {
        self.ask_rounds(ask, lost, Limits { rounds: 1, has_less: false }).await
    }

    async fn ask_rounds<T, F: Future<Output = Result<T, TransportError>> + Send>(
        &self,
        ask: impl Fn(DynProvider) -> F + Send + Sync,
        lost: &AtomicUsize,
        limits: Limits,
    ) -> Result<T, AskError> {
        let mut pause = Duration::ZERO;
        let mut round = 1;
        loop {
            let mut failures = Vec::new();
            let (mut wait, mut may_be_too_much) = (None, false);
            for _ in 0..self.list.len() {
                let failure = match self.ask_once(&ask).await {
                    Ok(value) => return Ok(value),
                    Err(Attempt::Answered(error)) => return Err(error),
                    Err(Attempt::Failed(failure)) => failure,
                };
                lost.fetch_add(usize::from(failure.may_have_arrived), Ordering::Relaxed);
                wait = wait.max(failure.again_after);
                may_be_too_much |= failure.may_be_too_much;
                failures.push(failure.reason);
            }
            let failed = || BackendError::Chain { reason: failures.join("; ") };
            if may_be_too_much && limits.has_less {
                return Err(AskError::Declined(failed()));
            }
            let Some(asked_for) = wait.filter(|_| round < limits.rounds) else {
                return Err(AskError::Unreachable(failed()));
            };
            pause = PAUSES.after(pause);
            sleep(pause.max(asked_for).min(PAUSES.longest)).await;
            round += 1;
        }
    }

    /// Asks the endpoint in use; leaves it for the next one when it fails.
    async fn ask_once<T, F: Future<Output = Result<T, TransportError>> + Send>(
        &self,
        ask: &(impl Fn(DynProvider) -> F + Send + Sync),
    ) -> Result<T, Attempt> {
        let current = self.current.load(Ordering::Relaxed);
        let endpoint = &self.list[current % self.list.len()];
        let late = || format!("no answer within {} s", REQUEST.as_secs());
        let answered = match timeout(REQUEST, endpoint.provider()).await {
            Ok(Ok(provider)) => Ok(timeout(REQUEST, ask(provider)).await),
            Ok(Err(error)) => Err(innermost(&error)),
            Err(_) => Err(late()),
        };
        let failure =
            |reason| Failure { reason, again_after: None, may_be_too_much: false, may_have_arrived: false };
        let failure = match answered {
            Ok(Ok(Ok(value))) => return Ok(value),
            Ok(Ok(Err(error))) => match answer_of(&error) {
                Some(answer) => return Err(Attempt::Answered(answer)),
                None => Failure {
                    again_after: again_after(&error),
                    may_be_too_much: may_be_too_much(&error),
                    may_have_arrived: !is_refused(&error),
                    ..failure(innermost(&error))
                },
            },
            Ok(Err(_)) => Failure { may_be_too_much: true, may_have_arrived: true, ..failure(late()) },
            // There was no connection.
            Err(reason) => failure(reason),
        };
        endpoint.provider.lock().await.take();
        // Another request that failed at this endpoint may have switched already.
        let next = current.wrapping_add(1);
        let _ = self.current.compare_exchange(current, next, Ordering::Relaxed, Ordering::Relaxed);
        let reason = format!("{}: {}", endpoint.shown(), failure.reason);
        Err(Attempt::Failed(Failure { reason, ..failure }))
    }

    /// The newest block, as the endpoint in use says when it is asked at `since` or later. Nodes of this process that ask
    /// it at a time share the answer.
    pub(super) async fn newest(&self, since: Instant) -> Result<Header, AskError> {
        let asked = self.current.load(Ordering::Relaxed);
        let ask = async {
            let header =
                self.ask(|provider| async move { header(&provider, BlockNumberOrTag::Latest).await }).await;
            // What another endpoint answered, in place of this one, is not for those who ask this one.
            match header {
                Ok(header) if self.current.load(Ordering::Relaxed) == asked => Ok(header),
                answer => Err(answer),
            }
        };
        let newest = &self.list[asked % self.list.len()].newest;
        newest.since(since, ask).await.or_else(|of_another| of_another)
    }

    /// Changes with every new block of the endpoint in use that a node of this process hears of.
    pub(super) fn watch_newest(&self) -> watch::Receiver<Option<Told>> {
        self.list[self.current.load(Ordering::Relaxed) % self.list.len()].newest.watch()
    }

    /// Leaves the endpoint in use for the next one. Says whether there is another.
    pub(super) fn move_on(&self) -> bool {
        let is_one_of_many = self.list.len() > 1;
        if is_one_of_many {
            self.current.fetch_add(1, Ordering::Relaxed);
        }
        is_one_of_many
    }

    /// A subscription to new blocks on the endpoint in use, if that can push.
    pub(super) async fn new_blocks(&self) -> Option<alloy::pubsub::Subscription<Header>> {
        let current = self.current.load(Ordering::Relaxed) % self.list.len();
        let endpoint = &self.list[current];
        if endpoint.is_http() {
            return None;
        }
        let subscribed =
            timeout(REQUEST, async { endpoint.provider().await?.subscribe_blocks().await }).await;
        subscribed.ok()?.ok()
    }
}

impl Endpoint {
    async fn provider(&self) -> Result<DynProvider, TransportError> {
        let mut held = self.provider.lock().await;
        if let Some(provider) = &*held {
            return Ok(provider.clone());
        }
        let builder = ProviderBuilder::default();
        let provider = if self.is_http() {
            let transport = Http { client: self.http_client()?, url: self.url.clone() };
            builder.connect_client(RpcClient::new(transport, self.is_loopback())).erased()
        } else {
            tls::prepare();
            // The next request connects again: requests must not wait in a dead connection.
            let limits = WebSocketConfig::default();
            let limits = limits.max_message_size(Some(MAX_ANSWER)).max_frame_size(Some(MAX_ANSWER));
            let connect = WsConnect::new(self.url.as_str()).with_max_retries(0).with_config(limits);
            builder.connect_pubsub_with(Socket(connect)).await?.erased()
        };
        *held = Some(provider.clone());
        Ok(provider)
    }

    fn is_http(&self) -> bool {
        matches!(self.url.scheme(), "http" | "https")
    }

    fn is_loopback(&self) -> bool {
        let Some(host) = self.url.host_str() else { return false };
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        let name = host.trim_end_matches('.');
        let is_named =
            name.eq_ignore_ascii_case("localhost") || name.to_ascii_lowercase().ends_with(".localhost");
        is_named || address.is_ok_and(|address| address.to_canonical().is_loopback())
    }

    fn http_client(&self) -> Result<reqwest::Client, TransportError> {
        let client = tls::http_client();
        // For a web proxy, loopback is another machine.
        let client = if self.is_loopback() { client.no_proxy() } else { client };
        let client = if self.url.scheme() == "https" {
            // No redirects: they could lead requests to where others read them.
            client.https_only(true)
        } else {
            // Without TLS the machine need not trust any authority.
            client.tls_certs_only([])
        };
        client.build().map_err(TransportErrorKind::custom)
    }

    /// The URL without the secrets that providers put into path and user name.
    fn shown(&self) -> String {
        format!("{}://{}", self.url.scheme(), self.url.authority().rsplit('@').next().unwrap_or_default())
    }
}

impl fmt::Debug for Endpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.list.iter().map(Endpoint::shown)).finish()
    }
}

/// The cause that alone says something new; those around it repeat the URL, in which providers put secrets.
fn innermost(error: &TransportError) -> String {
    let causes = std::iter::successors(Some(error as &dyn Error), |cause| (*cause).source());
    let reason = causes.last().unwrap_or(error).to_string();
    if words::is_untrusted(&reason) {
        return format!(
            "{reason}: no authority that this machine trusts vouches for it; SSL_CERT_FILE names a file of others"
        );
    }
    reason
}

/// The endpoint's error answer, unless it only says that it cannot answer now.
fn answer_of(error: &TransportError) -> Option<AskError> {
    let payload = match error {
        RpcError::ErrorResp(payload) => payload,
        // A request that this endpoint never takes, such as one for too many blocks.
        RpcError::Transport(kind) => {
            let refused = kind.as_http_error().filter(|error| matches!(error.status, 400 | 413 | 422))?;
            return Some(AskError::Answer(cut(&refused.body)));
        }
        _ => return None,
    };
    // Nodes that are overloaded or still catching up say so with errors of the server's own range. What is too large
    // comes under the same numbers.
    let is_of_size = matches!(Complaint::of(&payload.message), Complaint::TooMuch | Complaint::Either);
    if payload.is_retry_err() && !is_of_size {
        return None;
    }
    let has_no_data = || words::is_revert(&payload.message).then(Bytes::new);
    Some(match payload.as_revert_data().or_else(has_no_data) {
        Some(data) => AskError::Reverted(revert_of(&data, &cut(&payload.message))),
        None => AskError::Answer(cut(&payload.message)),
    })
}

/// Whether an endpoint that failed may have been asked for too much. Some say of both "too much" and "too often" that a
/// limit is exceeded; a gateway gives up on what takes long.
fn may_be_too_much(error: &TransportError) -> bool {
    match error {
        RpcError::ErrorResp(payload) => match Complaint::of(&payload.message) {
            Complaint::TooMuch | Complaint::Unclear => true,
            Complaint::TooOften | Complaint::Either => false,
        },
        RpcError::Transport(kind) => {
            // Over a WebSocket, an answer that is too long looks like a connection that was cut.
            let may_be_too_long = kind.is_backend_gone() || is_too_long(error);
            may_be_too_long || kind.as_http_error().is_some_and(|http| http.status == 504)
        }
        _ => false,
    }
}

/// As much of an endpoint's words as a person reads.
fn cut(text: &str) -> String {
    text.chars().take(LONGEST_ANSWER).flat_map(char::escape_debug).collect()
}

/// How long to wait before an endpoint that is busy is asked again; `None` when that would not help.
fn again_after(error: &TransportError) -> Option<Duration> {
    match error {
        RpcError::ErrorResp(payload) => payload.is_retry_err().then_some(Duration::ZERO),
        RpcError::Transport(kind) => match kind.as_http_error() {
            Some(http) => {
                let is_busy = http.status == 429 || http.status == 408 || http.status >= 500;
                is_busy.then(|| kind.retry_after().unwrap_or_default())
            }
            // Nobody listens there.
            None if is_refused(error) => None,
            // The same would come again.
            None if is_too_long(error) => None,
            // A connection that was cut.
            None => (kind.is_backend_gone() || kind.as_custom().is_some()).then_some(Duration::ZERO),
        },
        // Garbage, as proxies in between give it.
        RpcError::DeserError { .. } => Some(Duration::ZERO),
        _ => None,
    }
}

fn is_too_long(error: &TransportError) -> bool {
    let causes = std::iter::successors(Some(error as &dyn Error), |cause| (*cause).source());
    causes.into_iter().any(|cause| cause.is::<TooLong>())
}

/// Whether the request never left: there was no connection.
fn is_refused(error: &TransportError) -> bool {
    let causes = std::iter::successors(Some(error as &dyn Error), |cause| (*cause).source());
    causes.filter_map(|cause| cause.downcast_ref::<reqwest::Error>()).any(reqwest::Error::is_connect)
}

impl From<AskError> for BackendError {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Declined(error) | AskError::Unreachable(error) => error,
            AskError::Answer(reason) => Self::Chain { reason },
            AskError::Reverted(revert) => Self::Chain { reason: format!("the contract refused: {revert:?}") },
        }
    }
}
