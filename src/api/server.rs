//! Paths, limits, and who may ask.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request, State},
    http::{HeaderMap, HeaderValue, header},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use tokio::sync::Semaphore;

use super::{
    connections::Visitor,
    content, dashboard,
    error::Failure,
    events, intake, jobs, metrics, plot, retention,
    state::{Api, Gate},
    tickets::REDEEM,
    types::ErrorCode,
};
use crate::node::Node;

/// The version of the API.
pub(super) const V1: &str = "/api/v1";

/// The paths that need no token: whether the node is there, and how far it is. The last two are those of service managers.
pub(super) const HEALTH: &str = "/api/v1/health";
pub(super) const ALIVE: &str = "/healthz";
pub(super) const READY: &str = "/readyz";

/// The node in numbers.
pub(super) const METRICS: &str = "/metrics";

/// Longest JSON request: the largest spec and a full allow-list, several times over.
const MAX_JSON_BYTES: usize = 256 * 1024;

/// How long the body of a JSON request may take.
const JSON_LIMIT: Duration = Duration::from_secs(15);

/// Archives that are taken in at the same time; others wait.
const MAX_UPLOADS: usize = 8;

/// Every route for admitted clients of a node that listens on `bound`.
pub(super) fn router(node: Arc<Node>, bound: SocketAddr) -> Router {
    let api = Api { node, bound, uploads: Arc::new(Semaphore::new(MAX_UPLOADS)) };
    let json = Router::new()
        .route("/node", get(jobs::node_info))
        .route("/node/usage", get(retention::usage))
        .route("/node/prune", post(retention::prune))
        .route("/node/earnings", get(jobs::earnings))
        .route("/node/pause", post(intake::pause))
        .route("/node/resume", post(intake::resume))
        .route("/nodes", get(jobs::nodes))
        .route("/defaults", get(jobs::defaults))
        .route("/events", get(events::all))
        .route("/jobs", get(jobs::list).post(jobs::submit))
        .route("/inputs", post(content::take_input))
        .route("/jobs/{job}", get(jobs::describe))
        .route("/jobs/{job}/nodes", get(jobs::outlooks))
        .route("/jobs/{job}/events", get(events::follow))
        .route("/jobs/{job}/log", get(events::log))
        .route("/jobs/{job}/anchors", get(jobs::anchors))
        .route("/jobs/{job}/plot", get(plot::plot))
        .route("/jobs/{job}/cancel", post(jobs::cancel))
        .route("/jobs/{job}/forget", post(retention::forget))
        .route("/jobs/{job}/deal", post(jobs::update))
        .route("/jobs/{job}/results", get(content::results))
        .route("/jobs/{job}/results/{node}/archive", get(content::archive))
        .route("/jobs/{job}/results/{node}/last-words", get(content::last_words))
        .route("/jobs/{job}/output", get(content::output))
        .route_layer(middleware::from_fn(whole_body));
    let v1 =
        Router::new().route("/blobs", post(content::upload).layer(DefaultBodyLimit::disable())).merge(json);
    Router::new()
        .nest(V1, v1)
        .route(METRICS, get(metrics::show))
        .fallback(async || Failure::new(ErrorCode::NotFound, "there is nothing at this address"))
        .method_not_allowed_fallback(async || {
            Failure::new(ErrorCode::BadRequest, "this address does not take this method")
        })
        .with_state(api)
}

/// Refuses clients without the token, and requests that a browser sends for a foreign site: by a name made to resolve
/// to this machine (DNS rebinding), or from a page of another origin. Programs send no Origin.
pub(super) async fn only_our_clients(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    match admit(&gate, &request) {
        Ok(()) => next.run(request).await,
        Err(failure) => failure.into_response(),
    }
}

fn admit(gate: &Gate, request: &Request) -> Result<(), Failure> {
    let headers = request.headers();
    check_host(headers, gate.bound.ip()).map_err(|problem| {
        Failure::new(ErrorCode::ForbiddenHost, problem).with_hint(format!("ask http://{}", gate.bound))
    })?;
    if is_open_to_all(request.uri().path()) {
        return Ok(());
    }
    let for_numbers = request.uri().path() == METRICS && gate.metrics.is_borne_by(headers);
    if !for_numbers && !gate.token.is_borne_by(headers) {
        return Err(Failure::new(
            ErrorCode::Unauthorized,
            "the request does not carry the token of this node",
        )
        .with_hint(
            "run as the user who started the node, or name the file api.token in its data directory with \
                 ASSAY_API_TOKEN_FILE",
        ));
    }
    let visitor = request.extensions().get::<Visitor>();
    if visitor.is_some_and(|visitor| !visitor.is_known()) {
        return Err(Failure::busy());
    }
    Ok(())
}

/// Whether the path needs no token: it tells nothing about the node, or asks for something else that opens it.
fn is_open_to_all(path: &str) -> bool {
    [HEALTH, ALIVE, READY].contains(&path)
        || path.strip_prefix(V1) == Some(REDEEM)
        || dashboard::is_part(path)
}

/// Reads the whole body before a handler runs. A long or slow body is refused.
async fn whole_body(request: Request, next: Next) -> Response {
    let (head, body) = request.into_parts();
    let whole = tokio::time::timeout(JSON_LIMIT, axum::body::to_bytes(body, MAX_JSON_BYTES)).await;
    let refused = match whole {
        Ok(Ok(bytes)) => return next.run(Request::from_parts(head, bytes.into())).await,
        Ok(Err(_)) => Failure::new(
            ErrorCode::TooLarge,
            format!("the body of the request ended early, or has more than {MAX_JSON_BYTES} bytes"),
        ),
        Err(_) => Failure::new(
            ErrorCode::TooSlow,
            format!("the body of the request did not arrive within {} s", JSON_LIMIT.as_secs()),
        ),
    };
    refused.into_response()
}

fn check_host(headers: &HeaderMap, bound: IpAddr) -> Result<(), String> {
    let text = |value: &HeaderValue| value.to_str().unwrap_or_default().to_owned();
    let host = headers.get(header::HOST).map(text).ok_or("the request names no host")?;
    if !is_here(&host, bound) {
        return Err(format!("{host:?} is not this node"));
    }
    match headers.get(header::ORIGIN).map(text) {
        Some(origin) if origin.strip_prefix("http://") != Some(host.as_str()) => {
            Err(format!("pages from {origin:?} may not use this node"))
        }
        _ => Ok(()),
    }
}

/// Whether a Host header names this machine by address, or as localhost. A node that listens beyond the loopback
/// address may be asked under any IP address: only names can be pointed here by others.
fn is_here(host: &str, bound: IpAddr) -> bool {
    let is_ours = |ip: IpAddr| !bound.is_loopback() || ip.is_loopback();
    let address = host.parse::<SocketAddr>().map(|address| address.ip());
    let bare = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    if let Ok(ip) = address.or(bare) {
        return is_ours(ip);
    }
    let (name, port) = host.split_once(':').unwrap_or((host, "80"));
    name.eq_ignore_ascii_case("localhost") && port.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(host: &str, origin: Option<&str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().unwrap());
        }
        headers
    }

    #[test]
    fn only_this_machine_may_be_named_as_host() {
        let loopback = IpAddr::from([127, 0, 0, 1]);
        for host in ["127.0.0.1:4000", "127.0.0.1", "localhost:1", "LOCALHOST", "[::1]:80", "[::1]"] {
            assert_eq!(check_host(&headers(host, None), loopback), Ok(()), "{host}");
        }
        for host in ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "10.0.0.1", ""] {
            assert!(check_host(&headers(host, None), loopback).is_err(), "{host}");
        }
        assert!(check_host(&HeaderMap::new(), loopback).is_err());
        let beyond = IpAddr::from([0, 0, 0, 0]);
        assert_eq!(check_host(&headers("10.0.0.1:80", None), beyond), Ok(()));
        assert!(check_host(&headers("evil.example", None), beyond).is_err());
    }

    #[test]
    fn pages_of_other_origins_may_not_ask() {
        let loopback = IpAddr::from([127, 0, 0, 1]);
        let host = "127.0.0.1:4000";
        assert_eq!(check_host(&headers(host, Some("http://127.0.0.1:4000")), loopback), Ok(()));
        for origin in ["http://evil.example", "http://127.0.0.1:5000", "null", "https://127.0.0.1:4000"] {
            assert!(check_host(&headers(host, Some(origin)), loopback).is_err(), "{origin}");
        }
    }
}
