//! The API while its node starts: it listens, and tells how far the node is.
//!
//! A node reads its logs before it knows any job, which takes as long as there are jobs or blocks. A client that finds
//! nobody listening cannot tell that from a node that does not run, so the API answers from the start. A node that
//! reads a chain answers for itself meanwhile, and says what keeps it from reading; of jobs it says nothing yet.

use std::{
    io,
    net::SocketAddr,
    path::Path,
    sync::{Arc, OnceLock},
};

use axum::{
    Router,
    extract::{FromRef, Request, State},
    middleware,
    response::{IntoResponse as _, Response},
    routing::get,
};
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use tokio::{sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::{
    connections, dashboard,
    error::Failure,
    health, openapi,
    server::{ALIVE, HEALTH, READY, V1, only_our_clients, router},
    sessions,
    state::Gate,
    token::{Token, TokenError},
    types::{ErrorCode, Readiness},
};
use crate::{
    explain::Hint,
    node::{Node, NodeError, NodeHandle},
    scheduler::Loading,
};

/// The file, beside that of the token, with the token that opens the node's numbers and nothing else.
const METRICS_TOKEN: &str = "metrics.token";

/// Where the API listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApiConfig {
    /// Port 0 for any free one.
    pub address: SocketAddr,
    /// Whether other machines may reach it. Anyone on the way can read the token.
    pub beyond_loopback: bool,
}

impl Default for ApiConfig {
    fn default() -> Self {
        Self { address: SocketAddr::from(([127, 0, 0, 1], 0)), beyond_loopback: false }
    }
}

/// Why the API does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address is taken, or not this machine's.
    #[error("the API cannot listen on {address}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The address can be reached from other machines, and that was not asked for.
    #[error("the API speaks plain HTTP, and other machines can reach {address}")]
    NotLoopback {
        /// Where.
        address: SocketAddr,
    },
    /// The token file cannot be written.
    #[error(transparent)]
    Token(#[from] TokenError),
}

impl Hint for ServeError {
    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Token(_) => "check that the data directory can be written, and the room on its disk",
            Self::Listen { .. } => "choose another --api address; port 0 takes any free one",
            Self::NotLoopback { .. } => {
                "listen on 127.0.0.1, and let others in through an encrypted tunnel such as ssh -L"
            }
        };
        Some(hint.to_owned())
    }
}

impl ApiConfig {
    /// Refuses an address that other machines can reach, unless that was asked for.
    ///
    /// # Errors
    /// [`ServeError::NotLoopback`].
    pub fn check(&self) -> Result<(), ServeError> {
        if self.beyond_loopback || self.address.ip().is_loopback() {
            return Ok(());
        }
        Err(ServeError::NotLoopback { address: self.address })
    }
}

/// An API that answers every request for its node with `loading`. Dropping it closes it.
#[derive(Debug)]
pub struct Listening {
    front: Front,
    stop: CancellationToken,
    task: JoinSet<()>,
}

/// Answers before the node can.
#[derive(Debug, Clone)]
struct Front {
    bound: SocketAddr,
    loading: watch::Receiver<Loading>,
    /// The node and what answers for it, once it is there.
    served: Arc<OnceLock<Served>>,
}

#[derive(Debug)]
struct Served {
    node: Arc<Node>,
    router: Router,
}

/// Listens, and writes a new token to `token_file`. Beside it is the one for the node's numbers, which stays. Until
/// [`Listening::serve`], requests that need the node are answered with the progress in `loading`.
///
/// # Errors
/// [`ServeError`].
pub async fn listen(
    config: ApiConfig,
    token_file: &Path,
    loading: watch::Receiver<Loading>,
) -> Result<Listening, ServeError> {
    config.check()?;
    let address = config.address;
    let listen_error = |source| ServeError::Listen { address, source };
    let listener = connections::listen(address).map_err(listen_error)?;
    let bound = listener.local_addr().map_err(listen_error)?;
    let (token, metrics) =
        (Token::create(token_file)?, Token::keep(&token_file.with_file_name(METRICS_TOKEN))?);
    let (front, stop) = (Front { bound, loading, served: Arc::default() }, CancellationToken::new());
    let app = front.clone().app(token, metrics);
    let mut task = JoinSet::new();
    info!(api = %bound, "api listens");
    task.spawn(connections::serve(listener, app, stop.clone()));
    Ok(Listening { front, stop, task })
}

/// Serves the API of a node for as long as it runs; returns where.
///
/// # Errors
/// [`ServeError`].
pub async fn serve(handle: &mut NodeHandle, config: ApiConfig) -> Result<SocketAddr, ServeError> {
    let listening = listen(config, &handle.node().token_file(), watch::Sender::default().subscribe()).await?;
    let bound = listening.address();
    listening.serve(handle);
    Ok(bound)
}

impl Listening {
    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.front.bound
    }

    /// Serves the API of this node from here on, for as long as the node runs.
    pub fn serve(self, handle: &mut NodeHandle) {
        let Self { front, stop, mut task } = self;
        front
            .served
            .get_or_init(|| Served { node: handle.node(), router: router(handle.node(), front.bound) });
        let node_stop = handle.stop_token();
        handle.attach("api", async move {
            let early = node_stop.run_until_cancelled(task.join_next()).await.flatten();
            stop.cancel();
            let ended = if early.is_some() { early } else { task.join_next().await };
            ended.transpose().map_err(NodeError::panicked("api")).map(|_| ())
        });
    }
}

impl Front {
    fn app(self, token: Token, metrics: Token) -> Router {
        let gate = Gate { bound: self.bound, token, metrics, tickets: Default::default() };
        Router::new()
            .route(HEALTH, get(health::health))
            .route(ALIVE, get(health::alive))
            .route(READY, get(health::ready))
            .route(openapi::PATH, get(openapi::show))
            .merge(dashboard::router())
            .merge(sessions::router(gate.clone()))
            .method_not_allowed_fallback(async || {
                Failure::new(ErrorCode::BadRequest, "this address takes another method")
            })
            .fallback(Self::answer)
            .layer(middleware::from_fn_with_state(gate, only_our_clients))
            .with_state(self)
    }

    async fn answer(State(front): State<Self>, request: Request) -> Response {
        let path = request.uri().path();
        let may_answer = |served: &&Served| served.node.is_caught_up() || !is_about_jobs(path);
        match front.served.get().filter(may_answer) {
            Some(Served { router, .. }) => {
                TowerToHyperService::new(router.clone()).call(request).await.into_response()
            }
            None => loading(*front.loading.borrow()).into_response(),
        }
    }
}

/// How far the node is, as of the request.
impl FromRef<Front> for Readiness {
    fn from_ref(front: &Front) -> Self {
        let is_ready = front.served.get().is_some_and(|served| served.node.is_caught_up());
        if is_ready { Self::Ready } else { Self::Loading }
    }
}

/// Whether the answer depends on which jobs the node knows.
fn is_about_jobs(path: &str) -> bool {
    path.strip_prefix(V1).is_some_and(|path| path.starts_with("/jobs"))
}

fn loading(loading: Loading) -> Failure {
    let message = match loading {
        Loading::Starting => "the node is starting".to_owned(),
        Loading::Jobs { read, total } if read < total => {
            format!("the node is loading its logs: {read} of {total} jobs are read")
        }
        Loading::Jobs { total, .. } => format!("the node is loading its logs: it takes up {total} jobs"),
        Loading::Blocks { read, total } => {
            format!("the node is loading its logs: {read} of {total} blocks are read")
        }
    };
    Failure::new(ErrorCode::Loading, message).with_hint("try again in a moment")
}
