//! Connections to the engine: one for each request, bounded in bytes and in time.
//!
//! The client library has a timeout for the start of an answer, but none for its body, and keeps the body in memory whole.
//! Neither an engine in trouble nor something else behind its socket may hang a node or fill its memory.

use std::{
    error::Error as StdError,
    io,
    path::PathBuf,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bollard::{API_DEFAULT_VERSION, BollardRequest, Docker, errors::Error};
use futures::{FutureExt as _, future::BoxFuture};
use hyper::Uri;
use hyper_util::{
    client::legacy::{
        Client,
        connect::{Connected, Connection},
    },
    rt::{TokioExecutor, TokioIo},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::UnixStream,
    time::{Sleep, sleep},
};
use tower_service::Service;

use super::streams::MAX_STREAM_BYTES;

/// The most bytes of a plain answer: the description of thousands of containers.
const MAX_ANSWER_BYTES: u64 = 16 << 20;

/// The most bytes of an answer that streams progress or waits.
const MAX_PROGRESS_BYTES: u64 = 64 << 20;

/// The most bytes of a container's output. In the worst case each byte of both streams has a frame with a header of eight.
const MAX_OUTPUT_BYTES: u64 = 2 * MAX_STREAM_BYTES * 9 + MAX_ANSWER_BYTES;

/// The bounds of one answer.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    bytes: u64,
    /// Until the last byte; `None` where the caller sets the limit.
    time: Option<Duration>,
}

impl Bounds {
    /// The bounds for answers to requests of this path.
    fn of(path: &str, answer: Duration) -> Self {
        match path.rsplit('/').next() {
            Some("attach") => Self { bytes: MAX_OUTPUT_BYTES, time: None },
            Some("wait") => Self { bytes: MAX_PROGRESS_BYTES, time: None },
            Some("create") if path.ends_with("/images/create") => {
                Self { bytes: MAX_PROGRESS_BYTES, time: None }
            }
            Some(_) | None => Self { bytes: MAX_ANSWER_BYTES, time: Some(answer) },
        }
    }
}

/// The answer is longer than an engine's ever is.
#[derive(Debug, thiserror::Error)]
#[error("its answer is longer than {limit} bytes")]
pub(super) struct TooLong {
    limit: u64,
}

impl TooLong {
    /// Whether this error is the cause of an error of the client library.
    pub(super) fn is_behind(error: &Error) -> bool {
        let mut source: Option<&(dyn StdError + 'static)> = Some(error);
        while let Some(error) = source {
            let io = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            if io.is_some_and(|inner| inner.is::<Self>()) {
                return true;
            }
            source = error.source();
        }
        false
    }
}

/// The client of the engine behind this socket. `answer` is the longest that a plain answer may take, to its last byte.
pub(super) fn connect(socket: &str, answer: Duration) -> Result<Docker, Error> {
    let socket = PathBuf::from(socket);
    let transport = move |request: BollardRequest| {
        let connector =
            Connector { socket: socket.clone(), bounds: Bounds::of(request.uri().path(), answer) };
        // The bounds are those of one answer, so no connection serves twice.
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
        async move { client.request(request).await.map_err(Error::from) }
    };
    // The client library needs a host name. Nobody looks it up.
    Docker::connect_with_custom_transport(
        transport,
        Some("http://engine"),
        answer.as_secs(),
        API_DEFAULT_VERSION,
    )
}

/// Opens connections that share their bounds.
#[derive(Debug, Clone)]
struct Connector {
    socket: PathBuf,
    bounds: Bounds,
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Bounded>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<TokioIo<Bounded>>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _engine: Uri) -> Self::Future {
        let Self { socket, bounds } = self.clone();
        Box::pin(async move {
            let stream = UnixStream::connect(socket).await?;
            let end = bounds.time.map(|time| Box::pin(sleep(time)));
            Ok(TokioIo::new(Bounded { stream, bounds, left: bounds.bytes, end }))
        })
    }
}

/// A connection that fails once it has delivered too much or taken too long.
#[derive(Debug)]
struct Bounded {
    stream: UnixStream,
    bounds: Bounds,
    left: u64,
    end: Option<Pin<Box<Sleep>>>,
}

impl AsyncRead for Bounded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if let Some(end) = &mut this.end
            && end.poll_unpin(cx).is_ready()
        {
            let text = format!("no whole answer within {} s", this.bounds.time.unwrap_or_default().as_secs());
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, text)));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buffer))?;
        let came = u64::try_from(buffer.filled().len() - before).unwrap_or(u64::MAX);
        let limit = this.bounds.bytes;
        Poll::Ready(match this.left.checked_sub(came) {
            Some(left) => {
                this.left = left;
                Ok(())
            }
            None => Err(io::Error::other(TooLong { limit })),
        })
    }
}

impl AsyncWrite for Bounded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl Connection for Bounded {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

#[cfg(test)]
mod tests {
    use bollard::query_parameters::{InspectContainerOptions, ListContainersOptions};
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::UnixListener,
        task::JoinSet,
    };

    use super::*;

    /// An engine that begins every answer with `head` and repeats `rest` for ever, or nothing if `rest` is empty.
    fn engine(
        head: &'static str,
        rest: &'static [u8],
        answer: Duration,
    ) -> (tempfile::TempDir, Docker, JoinSet<()>) {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("engine.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                open.spawn(async move {
                    let mut request = [0; 4096];
                    let _ = stream.read(&mut request).await;
                    let _ = stream.write_all(head.as_bytes()).await;
                    while !rest.is_empty() && stream.write_all(rest).await.is_ok() {}
                    let _ = stream.read(&mut request).await;
                });
            }
        });
        let client = connect(socket.to_str().unwrap(), answer).unwrap();
        (dir, client, tasks)
    }

    async fn questions(engine: &Docker) -> [Result<(), Error>; 4] {
        let (image, containers, container, ping) = tokio::join!(
            engine.inspect_image("x"),
            engine.list_containers(None::<ListContainersOptions>),
            engine.inspect_container("x", None::<InspectContainerOptions>),
            engine.ping(),
        );
        [image.map(drop), containers.map(drop), container.map(drop), ping.map(drop)]
    }

    #[tokio::test]
    async fn an_answer_that_never_begins_or_never_ends_is_waited_for_no_longer_than_it_may_take() {
        for head in ["", "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n[", "HTTP/1.1 500 No\r\n"] {
            let (_dir, client, _tasks) = engine(head, b"", Duration::from_secs(1));
            let answers = tokio::time::timeout(Duration::from_secs(30), questions(&client)).await;
            for answer in answers.expect("every answer has an end") {
                let error = answer.unwrap_err();
                assert!(!TooLong::is_behind(&error), "{error:?}");
            }
        }
    }

    #[tokio::test]
    async fn an_answer_without_end_is_cut_before_it_fills_the_memory() {
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n";
        let (_dir, client, _tasks) = engine(head, &[b' '; 1 << 16], Duration::from_secs(60));
        let answer = client.inspect_image("x").await.unwrap_err();
        assert!(TooLong::is_behind(&answer), "{answer:?}");
    }
}
