//! Handlers that move content: archives in, results and output out.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    Json,
    body::{Body, BodyDataStream},
    extract::{
        Path, Query, State,
        rejection::{JsonRejection, QueryRejection},
    },
    http::header,
    response::{
        IntoResponse,
        sse::{Event, Sse},
    },
};
use futures::{Stream, StreamExt as _, stream};
use tokio::{
    fs::File,
    io::AsyncRead,
    time::{Instant, timeout, timeout_at},
};
use tokio_util::io::ReaderStream;

use super::{
    error::Failure,
    schema::Bytes,
    state::Api,
    types::{BlobInfo, ErrorCode, InputEvent, InputRequest, LastWordsView, Page, ResultRow},
    view,
};
use crate::{
    domain::{NodeId, SeatStatus},
    node::RequestError,
    store::{LastWords, STDOUT},
};

/// How long an archive waits for its turn, how long its sender may be silent, and how long the upload may take: the
/// longest archive at 2 MiB/s.
const TURN_LIMIT: Duration = Duration::from_secs(120);
const SILENCE_LIMIT: Duration = Duration::from_secs(30);
const UPLOAD_LIMIT: Duration = Duration::from_secs(1024);

/// How often a client hears how far a file from a URL is.
const PROGRESS: Duration = Duration::from_secs(1);

/// Takes a file from a URL, and tells how far it is.
#[utoipa::path(
    post,
    path = "/api/v1/inputs",
    request_body = InputRequest,
    responses(
        (status = 200, description = "Server-sent events, one InputEvent each", body = String, content_type = "text/event-stream"),
    )
)]
pub(super) async fn take_input(
    State(Api { node, .. }): State<Api>,
    request: Result<Json<InputRequest>, JsonRejection>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Failure> {
    let Json(InputRequest { url, digest }) = request?;
    let received = Arc::new(AtomicU64::new(0));
    let told = Arc::clone(&received);
    let taking = Box::pin(async move { node.take_input(&url, digest, &told).await });
    let events = stream::unfold(Some(taking), move |taking| {
        let received = Arc::clone(&received);
        async move {
            let mut taking = taking?;
            Some(match timeout(PROGRESS, &mut taking).await {
                Ok(Ok(bytes)) => (InputEvent::Taken(bytes), None),
                Ok(Err(error)) => (InputEvent::Failed(Failure::from(error).into_body()), None),
                Err(_elapsed) => (InputEvent::Received(received.load(Ordering::Relaxed)), Some(taking)),
            })
        }
    });
    let json = |event| {
        Event::default().json_data(&event).expect("an event has string keys only, so that JSON can hold it")
    };
    Ok(Sse::new(events.map(move |event| Ok(json(event)))))
}

/// Takes an archive in. One that is not canonical is refused here, before nodes fail on it.
#[utoipa::path(
    post,
    path = "/api/v1/blobs",
    request_body(content = inline(Bytes), content_type = "application/octet-stream", description = "A canonical archive"),
    responses((status = 200, description = "The answer", body = BlobInfo))
)]
pub(super) async fn upload(
    State(Api { node, uploads, .. }): State<Api>,
    body: Body,
) -> Result<Json<BlobInfo>, Failure> {
    let busy = |_| {
        Failure::new(ErrorCode::Busy, "too many archives are being uploaded")
            .with_hint("retry when some of them have arrived")
    };
    let turn = timeout(TURN_LIMIT, uploads.acquire()).await.map_err(busy)?;
    let _turn = turn.expect("nobody closes the semaphore");
    let mut stream: BodyDataStream = body.into_data_stream();
    let mut upload = node.begin_upload()?;
    let until = Instant::now() + UPLOAD_LIMIT;
    loop {
        let next = timeout_at(until.min(Instant::now() + SILENCE_LIMIT), stream.next());
        let slow = |_| Failure::new(ErrorCode::TooSlow, "the archive does not arrive, or too slowly");
        let Some(piece) = next.await.map_err(slow)? else { break };
        let piece = piece.map_err(|error| Failure::new(ErrorCode::BadRequest, error.to_string()))?;
        upload = upload.push(piece.to_vec()).await?;
    }
    let (digest, bytes) = upload.finish(&node).await?;
    Ok(Json(BlobInfo { digest, bytes }))
}

/// The revealed results of a job that ended.
#[utoipa::path(
    get,
    path = "/api/v1/jobs/{job}/results",
    params(Page<u8>),
    responses((status = 200, description = "The answer", body = Vec<ResultRow>))
)]
pub(super) async fn results(
    State(Api { node, .. }): State<Api>,
    Path(job): Path<String>,
    page: Result<Query<Page<u8>>, QueryRejection>,
) -> Result<Json<Vec<ResultRow>>, Failure> {
    let Query(page) = page?;
    let job = node.known_job(node.find_job(&job)?)?;
    if !job.state.is_terminal() {
        return Err(RequestError::NotDecided { state: job.state }.into());
    }
    let rows = (0..).zip(&job.seats).filter_map(|(seat, held)| {
        let SeatStatus::Revealed(opening) = held.status else { return None };
        Some(ResultRow {
            seat,
            node: held.node,
            exit_code: opening.exit_code,
            output_root: opening.output_root,
            judgement: view::judgement(&job, seat),
            bytes: node.result_length(opening.output_root, held.node),
        })
    });
    Ok(Json(page.of(rows, |row| row.seat)))
}

/// The checked result of one node, fetched from it when it is not here.
#[utoipa::path(
    get,
    path = "/api/v1/jobs/{job}/results/{node}/archive",
    responses(
        (status = 200, description = "The archive", body = inline(Bytes), content_type = "application/x-tar"),
    )
)]
pub(super) async fn archive(
    State(Api { node, .. }): State<Api>,
    Path((job, from)): Path<(String, String)>,
) -> Result<impl IntoResponse, Failure> {
    let (job, from) = (node.find_job(&job)?, node_named(&from)?);
    let (opening, bytes) = node.result_of(job, from).await?;
    let file = node.open_result(opening.output_root, from)?;
    Ok(body_of(File::from_std(file), bytes, "application/x-tar", ()))
}

/// What a failed run of one node left, fetched from it.
#[utoipa::path(
    get,
    path = "/api/v1/jobs/{job}/results/{node}/last-words",
    responses((status = 200, description = "The answer", body = LastWordsView))
)]
pub(super) async fn last_words(
    State(Api { node, .. }): State<Api>,
    Path((job, from)): Path<(String, String)>,
) -> Result<Json<LastWordsView>, Failure> {
    let (job, from) = (node.find_job(&job)?, node_named(&from)?);
    let LastWords { reason, stdout, stderr } = node.last_words_of(job, from).await?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok(Json(LastWordsView { node: from, reason, stdout: text(stdout), stderr: text(stderr) }))
}

fn node_named(text: &str) -> Result<NodeId, Failure> {
    text.parse()
        .map_err(|error| Failure::new(ErrorCode::BadRequest, format!("the node's id is malformed: {error}")))
}

/// The standard output of the first accepted result that can be fetched.
#[utoipa::path(
    get,
    path = "/api/v1/jobs/{job}/output",
    responses(
        (status = 200, description = "Standard output", body = inline(Bytes), content_type = "application/octet-stream"),
    )
)]
pub(super) async fn output(
    State(Api { node, .. }): State<Api>,
    Path(job): Path<String>,
) -> Result<impl IntoResponse, Failure> {
    let job = node.find_job(&job)?;
    let dir = node.accepted_result(job).await?;
    let read = async {
        let file = File::open(dir.path().join("result").join(STDOUT)).await?;
        let bytes = file.metadata().await?.len();
        Ok((file, bytes))
    };
    let (file, bytes) =
        read.await.map_err(|error: std::io::Error| Failure::new(ErrorCode::Unexpected, error.to_string()))?;
    Ok(body_of(file, bytes, "application/octet-stream", dir))
}

/// A file as a body. `keep` lives as long as the body is read.
fn body_of(
    file: impl AsyncRead + Send + 'static,
    bytes: u64,
    kind: &'static str,
    keep: impl Send + 'static,
) -> impl IntoResponse {
    let pieces = ReaderStream::new(file).map(move |piece| {
        let _keep = &keep;
        piece
    });
    let headers = [
        (header::CONTENT_TYPE, kind.to_owned()),
        (header::CONTENT_LENGTH, bytes.to_string()),
        // Bytes of a stranger's program: no browser should guess what they are.
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
    ];
    (headers, Body::from_stream(pieces))
}
