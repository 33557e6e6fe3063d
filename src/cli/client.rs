//! The client of a node's API: one method for each request, with bounds on replies and waits.

mod error;
mod pages;

use std::{error::Error, io, path::Path, time::Duration};

use alloy_primitives::hex;
use reqwest::{
    Body, ClientBuilder, RequestBuilder, Response, StatusCode, Url, header::AUTHORIZATION, redirect::Policy,
};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep};
use tokio_util::io::ReaderStream;

use super::{
    output::Output,
    settings::{ApiAddress, ApiOrigin},
    text,
};
use crate::{
    api::types::{
        BlobInfo, CancelReply, ErrorCode, ErrorReply, ForgetReply, IDEMPOTENCY_KEY, InputEvent, InputRequest,
        IntakeReply, JobView, LastWordsView, LogEntry, NodeInfo, NodeRow, OutlookRow, PauseRequest,
        PruneReply, PruneRequest, ResultRow, SubmitReply, SubmitRequest, TicketReply, UpdateReply,
        UsageReply,
    },
    domain::{Deal, Digest, NodeId},
    scheduler::Anchor,
};

pub(super) use error::ClientError;

/// The longest time to connect. A node on this machine or network needs much less.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest silence in a reply. Event streams send something every few seconds, and a node may fetch a result from
/// another one before it answers.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// The same for a node in this process, which reports its own timeouts of the chain.
const OWN_READ_TIMEOUT: Duration = Duration::from_secs(900);

/// How long an idempotent request is retried: in all, since a chain may take many minutes, and after the node was last
/// reachable, since it may be restarting.
const ONCE_LIMIT: Duration = Duration::from_secs(900);
const AWAY_LIMIT: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(500);

/// How long a node may read its logs without progress, or have too many clients.
const STUCK_LIMIT: Duration = Duration::from_secs(60);

/// How long an idle connection stays open for the next request.
const IDLE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an archive may take, including the wait for its turn.
const UPLOAD_LIMIT: Duration = Duration::from_secs(1200);

/// The longest JSON reply, in bytes: the log of a job with a thousand bids takes a few MiB.
const MAX_REPLY_BYTES: usize = 64 << 20;

/// The longest line of an event stream, in bytes: a submission with the largest spec and its proof.
const MAX_LINE_BYTES: usize = 1 << 20;

/// The client of one node.
#[derive(Debug, Clone)]
pub(super) struct Client {
    http: reqwest::Client,
    /// The node answers an upload once all of it was sent, so earlier silence means nothing.
    uploads: reqwest::Client,
    api: ApiAddress,
    output: Output,
}

impl Client {
    pub(super) fn new(api: ApiAddress, output: Output) -> Self {
        let silence = if api.origin == ApiOrigin::Own { OWN_READ_TIMEOUT } else { READ_TIMEOUT };
        Self { http: build(http().read_timeout(silence)), uploads: build(http()), api, output }
    }

    /// The address for commands shown to the user, without a trailing slash.
    pub(super) fn address(&self) -> &str {
        self.api.url.as_str().trim_end_matches('/')
    }

    pub(super) async fn node(&self) -> Result<NodeInfo, ClientError> {
        self.json(self.http.get(self.url(&["node"]))).await
    }

    pub(super) async fn nodes(&self) -> Result<Vec<NodeRow>, ClientError> {
        self.every(&["nodes"], |row: &NodeRow| row.id).await
    }

    /// Uploads an archive of `bytes` bytes.
    pub(super) async fn upload(&self, archive: &Path, bytes: u64) -> Result<BlobInfo, ClientError> {
        // An archive is sent once, so the node must be ready for it.
        self.node().await?;
        let file = tokio::fs::File::open(archive).await?;
        let body = Body::wrap_stream(ReaderStream::new(file));
        let request = self.uploads.post(self.url(&["blobs"])).header(reqwest::header::CONTENT_LENGTH, bytes);
        self.json(request.body(body).timeout(UPLOAD_LIMIT)).await
    }

    /// Has the node take a file from a URL; returns the file's length. Tells how far it is.
    pub(super) async fn take_input(
        &self,
        url: &str,
        digest: Digest,
        output: Output,
    ) -> Result<u64, ClientError> {
        let request =
            self.http.post(self.url(&["inputs"])).json(&InputRequest { url: url.to_owned(), digest });
        let mut events = Events { download: self.open(request).await?, line: Vec::new() };
        let mut told = 0;
        loop {
            let foreign = |problem| ClientError::Foreign { api: self.address().to_owned(), problem };
            let line = events.line().await?.ok_or_else(|| foreign("the answer ended early".to_owned()))?;
            let Some(data) = line.strip_prefix(b"data:") else { continue };
            match serde_json::from_slice(data).map_err(|error| foreign(error.to_string()))? {
                InputEvent::Taken(bytes) => return Ok(bytes),
                InputEvent::Failed(body) => {
                    return Err(ClientError::Refused { api: self.address().to_owned(), body });
                }
                // A line for each doubling: a long file does not fill the terminal.
                InputEvent::Received(bytes) if bytes >= 2 * told && bytes > 0 => {
                    output.note(&format!("input {url}: {} received", text::bytes(bytes)));
                    told = bytes;
                }
                InputEvent::Received(_) => {}
            }
        }
    }

    pub(super) async fn submit(&self, request: &SubmitRequest) -> Result<SubmitReply, ClientError> {
        self.submit_as(request, &request_key()?).await
    }

    /// Submits under a key of the caller's. The same request under the same key is the same job.
    pub(super) async fn submit_as(
        &self,
        request: &SubmitRequest,
        key: &str,
    ) -> Result<SubmitReply, ClientError> {
        self.once(key, || self.http.post(self.url(&["jobs"])).json(request)).await
    }

    pub(super) async fn job(&self, job: &str) -> Result<JobView, ClientError> {
        self.json(self.http.get(self.url(&["jobs", job]))).await
    }

    /// The curves of the job's runs, as SVG.
    pub(super) async fn plot(&self, job: &str) -> Result<String, ClientError> {
        let response = self.send(self.http.get(self.url(&["jobs", job, "plot"]))).await?;
        Ok(String::from_utf8_lossy(&self.body(response).await?).into_owned())
    }

    /// What a browser can redeem for the node's token.
    pub(super) async fn ticket(&self) -> Result<TicketReply, ClientError> {
        self.json(self.http.post(self.url(&["tickets"]))).await
    }

    /// Why each known node has a seat in the job or none.
    pub(super) async fn outlooks(&self, job: &str) -> Result<Vec<OutlookRow>, ClientError> {
        self.every(&["jobs", job, "nodes"], |row: &OutlookRow| row.node).await
    }

    pub(super) async fn cancel(&self, job: &str) -> Result<CancelReply, ClientError> {
        self.once(&request_key()?, || self.http.post(self.url(&["jobs", job, "cancel"]))).await
    }

    pub(super) async fn forget(&self, job: &str) -> Result<ForgetReply, ClientError> {
        self.json(self.http.post(self.url(&["jobs", job, "forget"]))).await
    }

    pub(super) async fn usage(&self) -> Result<UsageReply, ClientError> {
        self.json(self.http.get(self.url(&["node", "usage"]))).await
    }

    pub(super) async fn prune(&self, dry_run: bool) -> Result<PruneReply, ClientError> {
        self.json(self.http.post(self.url(&["node", "prune"])).json(&PruneRequest { dry_run })).await
    }

    /// Has the node take on no more work, and waits so many seconds, or as long as the node allows, until it owes nothing.
    pub(super) async fn pause(&self, wait_secs: u32) -> Result<IntakeReply, ClientError> {
        self.json(self.http.post(self.url(&["node", "pause"])).json(&PauseRequest { wait_secs })).await
    }

    pub(super) async fn resume(&self) -> Result<IntakeReply, ClientError> {
        self.json(self.http.post(self.url(&["node", "resume"]))).await
    }

    pub(super) async fn update(&self, job: &str, deal: &Deal) -> Result<UpdateReply, ClientError> {
        self.once(&request_key()?, || self.http.post(self.url(&["jobs", job, "deal"])).json(deal)).await
    }

    pub(super) async fn log(&self, job: &str) -> Result<Vec<LogEntry>, ClientError> {
        self.every(&["jobs", job, "log"], |entry: &LogEntry| entry.height).await
    }

    /// Where the log's entries are on a chain.
    pub(super) async fn anchors(&self, job: &str) -> Result<Vec<Anchor>, ClientError> {
        self.every(&["jobs", job, "anchors"], |anchor: &Anchor| anchor.height).await
    }

    pub(super) async fn results(&self, job: &str) -> Result<Vec<ResultRow>, ClientError> {
        self.json(self.http.get(self.url(&["jobs", job, "results"]))).await
    }

    /// The output of the accepted run.
    pub(super) async fn output(&self, job: &str) -> Result<Download, ClientError> {
        self.download(&["jobs", job, "output"]).await
    }

    /// One node's result, as a canonical archive.
    pub(super) async fn archive(&self, job: &str, node: NodeId) -> Result<Download, ClientError> {
        self.download(&["jobs", job, "results", &node.to_string(), "archive"]).await
    }

    /// What a failed run of one node left.
    pub(super) async fn last_words(&self, job: &str, node: NodeId) -> Result<LastWordsView, ClientError> {
        self.json(self.http.get(self.url(&["jobs", job, "results", &node.to_string(), "last-words"]))).await
    }

    /// An event stream that wakes the caller when a job's log grows above this height.
    pub(super) async fn events(&self, job: &str, after: u64) -> Result<Events, ClientError> {
        let request = self.http.get(self.url(&["jobs", job, "events"])).query(&[("after", after)]);
        Ok(Events { download: self.open(request).await?, line: Vec::new() })
    }

    /// An event stream that wakes the caller when the log of any job grows.
    pub(super) async fn all_events(&self) -> Result<Events, ClientError> {
        let request = self.http.get(self.url(&["events"]));
        Ok(Events { download: self.open(request).await?, line: Vec::new() })
    }

    async fn download(&self, path: &[&str]) -> Result<Download, ClientError> {
        self.open(self.http.get(self.url(path))).await
    }

    async fn open(&self, request: RequestBuilder) -> Result<Download, ClientError> {
        let response = self.send(request).await?;
        Ok(Download { response, client: self.clone() })
    }

    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.api.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.clear().extend(["api", "v1"]).extend(path);
        }
        url
    }

    /// Sends a request. Retries while the node makes progress in reading its logs, or has too many clients.
    async fn send(&self, mut request: RequestBuilder) -> Result<Response, ClientError> {
        let began = Instant::now();
        let (mut moved, mut heard) = (began, None);
        loop {
            // A stream cannot be sent twice.
            let copy = request.try_clone();
            let (api, body) = match self.send_once(request).await {
                Err(ClientError::Refused { api, body })
                    if matches!(body.code, ErrorCode::Loading | ErrorCode::Busy) =>
                {
                    (api, body)
                }
                other => return other,
            };
            if heard.is_none() {
                self.output.note(&format!("waiting: {}", body.message));
            }
            if heard.as_ref() != Some(&body.message) {
                (moved, heard) = (Instant::now(), Some(body.message.clone()));
            }
            request = match copy {
                Some(copy) if moved.elapsed() < STUCK_LIMIT && began.elapsed() < ONCE_LIMIT => copy,
                Some(_) | None => return Err(ClientError::Refused { api, body }),
            };
            sleep(PAUSE).await;
        }
    }

    async fn send_once(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        // Read for each request, because a restarted node has a new token.
        let request = match self.api.token()? {
            Some(token) => request.header(AUTHORIZATION, token.header()),
            None => request,
        };
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let body = self.body(response).await?;
        match serde_json::from_slice(&body) {
            Ok(ErrorReply { error }) => {
                Err(ClientError::Refused { api: self.address().to_owned(), body: error })
            }
            Err(_) => Err(self.foreign(status, &body)),
        }
    }

    /// Sends a request that must take effect once: if its answer is lost, sends it again under the same key.
    async fn once<T: DeserializeOwned>(
        &self,
        key: &str,
        request: impl Fn() -> RequestBuilder,
    ) -> Result<T, ClientError> {
        let began = Instant::now();
        let (mut answered, mut lost) = (began, false);
        loop {
            let reason = match self.json(request().header(IDEMPOTENCY_KEY, key)).await {
                Err(ClientError::Unreachable { reason, sent: true, .. }) => {
                    (answered, lost) = (Instant::now(), true);
                    reason
                }
                Err(ClientError::Unreachable { reason, sent: false, .. }) if lost => reason,
                other => return other,
            };
            if answered.elapsed() >= AWAY_LIMIT || began.elapsed() >= ONCE_LIMIT {
                return Err(ClientError::Unknown { api: self.address().to_owned(), reason });
            }
            sleep(PAUSE).await;
        }
    }

    async fn json<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, ClientError> {
        let response = self.send(request).await?;
        let body = self.body(response).await?;
        serde_json::from_slice(&body).map_err(|error| ClientError::Foreign {
            api: self.address().to_owned(),
            problem: error.to_string(),
        })
    }

    async fn body(&self, response: Response) -> Result<Vec<u8>, ClientError> {
        let mut download = Download { response, client: self.clone() };
        let mut body = Vec::new();
        while let Some(chunk) = download.next().await? {
            let chunk = chunk.as_ref();
            if body.len() + chunk.len() > MAX_REPLY_BYTES {
                return Err(self.too_long(MAX_REPLY_BYTES as u64));
            }
            body.extend_from_slice(chunk);
        }
        Ok(body)
    }

    fn unreachable(&self, error: &reqwest::Error) -> ClientError {
        let assumed = matches!(self.api.origin, ApiOrigin::StateFile | ApiOrigin::Default);
        let causes = std::iter::successors(error.source(), |cause: &&dyn Error| (*cause).source());
        let reason = causes.last().map_or_else(|| error.to_string(), ToString::to_string);
        ClientError::Unreachable {
            api: self.address().to_owned(),
            assumed,
            reason,
            sent: !error.is_connect(),
        }
    }

    fn foreign(&self, status: StatusCode, body: &[u8]) -> ClientError {
        let text: String = String::from_utf8_lossy(body).chars().take(100).collect();
        ClientError::Foreign { api: self.address().to_owned(), problem: format!("{status} {text}") }
    }

    fn too_long(&self, limit: u64) -> ClientError {
        ClientError::TooLong { api: self.address().to_owned(), limit }
    }
}

/// A reply body in flight.
#[derive(Debug)]
pub(super) struct Download {
    response: Response,
    client: Client,
}

impl Download {
    /// The next piece; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<impl AsRef<[u8]> + use<>>, ClientError> {
        self.response.chunk().await.map_err(|error| self.client.unreachable(&error))
    }

    /// Writes everything, up to `limit` bytes, to `sink`; returns the number of bytes.
    pub(super) async fn save(mut self, sink: &mut impl io::Write, limit: u64) -> Result<u64, ClientError> {
        let mut total = 0;
        while let Some(chunk) = self.next().await? {
            let chunk = chunk.as_ref();
            total += chunk.len() as u64;
            if total > limit {
                return Err(self.client.too_long(limit));
            }
            sink.write_all(chunk)?;
        }
        Ok(total)
    }
}

/// Server-sent events. Of a job's log only their arrival matters; the caller then asks what happened.
#[derive(Debug)]
pub(super) struct Events {
    download: Download,
    line: Vec<u8>,
}

impl Events {
    /// Waits for the next event; `false` when the stream has ended. Cancel safe.
    pub(super) async fn next(&mut self) -> Result<bool, ClientError> {
        while let Some(line) = self.line().await? {
            if line.starts_with(b"data:") {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Waits for the next line; `None` when the stream has ended. Cancel safe.
    async fn line(&mut self) -> Result<Option<Vec<u8>>, ClientError> {
        loop {
            if let Some(end) = self.line.iter().position(|byte| *byte == b'\n') {
                return Ok(Some(self.line.drain(..=end).collect()));
            }
            if self.line.len() > MAX_LINE_BYTES {
                return Err(self.download.client.too_long(MAX_LINE_BYTES as u64));
            }
            match self.download.next().await? {
                Some(chunk) => self.line.extend_from_slice(chunk.as_ref()),
                None => return Ok(None),
            }
        }
    }
}

/// A client that talks to one node only.
fn http() -> ClientBuilder {
    crate::tls::http_client()
        .connect_timeout(CONNECT_TIMEOUT)
        // Shorter than the node's own limit.
        .pool_idle_timeout(IDLE_TIMEOUT)
        // The node does not redirect, and nobody else may see its token.
        .redirect(Policy::none())
        // A direct connection: the node's address means nothing to a web proxy.
        .no_proxy()
        // No TLS either, so a machine without trusted authorities works too.
        .tls_certs_only([])
}

fn build(builder: ClientBuilder) -> reqwest::Client {
    builder.build().expect("without authorities there is nothing that could fail to load")
}

/// A key that no earlier request had.
fn request_key() -> io::Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(hex::encode(bytes))
}

/// A job's name in a request: an id or a prefix of it, in hex.
pub(super) fn is_job_prefix(text: &str) -> bool {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    (1..=64).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_named_by_hex_digits() {
        for good in ["0x1a", "1a2b", &"f".repeat(64)] {
            assert!(is_job_prefix(good), "{good}");
        }
        for bad in ["", "0x", "xyz", "../node", "1a/../..", &"f".repeat(65)] {
            assert!(!is_job_prefix(bad), "{bad}");
        }
    }
}
