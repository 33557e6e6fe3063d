//! The connections of the API: how many there may be, how long each may take to ask, and which is closed first.
//!
//! Anyone on the machine can connect. A connection that has not shown the token is a stranger. The API keeps only a few
//! strangers, and after a moment the oldest makes room for the next one. So nobody can lock others out by holding
//! connections open. A stranger that has to leave is told to retry: on a busy machine it may be a client of ours whose
//! request the API has not read yet.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{Router, extract::Request};
use hyper::{
    body::Incoming,
    server::conn::http1,
    service::{Service as _, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use super::error::Failure;

/// Connections that have not shown the token. All nodes of a devstack share the files of one process.
const MAX_STRANGERS: usize = 64;

/// How long a stranger may stay when others wait. A client sends its first request at once.
const WELCOME: Duration = Duration::from_millis(500);

/// Connections that the kernel queues until there is room for them, if its own limit (`somaxconn`) allows. A queue of 128,
/// as in the standard library, fills soon. The kernel drops what comes then, and clients retry only after seconds.
const BACKLOG: u32 = 1024;

/// Connections that have shown it: two for each command that waits for a job.
const MAX_KNOWN: usize = 1024;

/// How long the head of a request may take, and a connection may lie idle between two.
pub(super) const HEAD_LIMIT: Duration = Duration::from_secs(15);

/// How long answers that are on their way may take once the node stops.
const STOP_GRACE: Duration = Duration::from_secs(2);

/// How long a stranger that has to leave may take to read why, and how much of what it sent the API reads meanwhile:
/// closing a connection with unread bytes resets it, and the answer is lost.
const FAREWELL: Duration = Duration::from_millis(500);
const MAX_UNREAD_BYTES: u64 = 64 * 1024;

/// The pause after the system gave no connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Listens at an address.
///
/// # Errors
/// When it is taken, or not this machine's.
pub(super) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // As the standard library does: a node that restarts takes its port back at once.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Answers every connection until the node stops.
pub(super) async fn serve(listener: TcpListener, app: Router, stop: CancellationToken) {
    let lobby = Lobby::new(MAX_KNOWN);
    let mut open = JoinSet::new();
    let mut is_starved = false;
    loop {
        let accepted = async {
            lobby.room().await;
            listener.accept().await
        };
        tokio::select! {
            () = stop.cancelled() => break,
            Some(ended) = open.join_next() => if let Err(error) = ended {
                error!(%error, "an answer of the API panicked");
            },
            accepted = accepted => match accepted {
                Ok((stream, peer)) => {
                    is_starved = false;
                    open.spawn(converse(stream, peer, app.clone(), lobby.admit(Instant::now()), stop.clone()));
                }
                Err(error) if is_of_one_connection(&error) => debug!(%error, "a connection came to nothing"),
                Err(error) => {
                    if !is_starved {
                        warn!(%error, "the API cannot accept connections for now; raise the limit on open files");
                    }
                    is_starved = true;
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    let answered = async { while open.join_next().await.is_some() {} };
    // Dropping the set aborts answers that take longer.
    let _ = tokio::time::timeout(STOP_GRACE, answered).await;
}

/// Whether the error concerns this connection alone.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

async fn converse(
    stream: TcpStream,
    peer: SocketAddr,
    app: Router,
    visitor: Visitor,
    stop: CancellationToken,
) {
    // Else the kernel holds a small event back until the client acknowledges the one before, and clients delay that.
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "an answer may be delayed");
    }
    let (app, gone) = (TowerToHyperService::new(app), visitor.0.gone.clone());
    let answer = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(visitor.clone());
        app.call(request)
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_LIMIT);
    let mut connection = http.serve_connection(TokioIo::new(stream), answer);
    let mut is_stopping = false;
    loop {
        tokio::select! {
            ended = &mut connection => {
                if let Err(error) = ended {
                    debug!(%peer, %error, "a connection of the API ended early");
                }
                return;
            }
            () = gone.cancelled() => {
                debug!(%peer, "closing a connection that has not shown the token, to make room for others");
                return turn_away(connection.into_parts().io.into_inner()).await;
            }
            () = stop.cancelled(), if !is_stopping => {
                is_stopping = true;
                std::pin::Pin::new(&mut connection).graceful_shutdown();
            }
        }
    }
}

/// Tells a stranger to retry, and closes its connection.
async fn turn_away(mut stream: TcpStream) {
    let farewell = async {
        stream.write_all(Failure::busy_http().as_bytes()).await?;
        stream.shutdown().await?;
        tokio::io::copy(&mut stream.take(MAX_UNREAD_BYTES), &mut tokio::io::sink()).await
    };
    // A stranger that has gone, or does not read, needs no answer.
    let _ = tokio::time::timeout(FAREWELL, farewell).await;
}

/// Who is connected.
#[derive(Debug)]
struct Lobby {
    next: AtomicU64,
    /// Strangers in order of arrival: since when, and the token that sends each away.
    strangers: Mutex<BTreeMap<u64, (Instant, CancellationToken)>>,
    /// Notified when a stranger has left or shown the token.
    left: Notify,
    known: Arc<Semaphore>,
}

impl Lobby {
    fn new(known: usize) -> Arc<Self> {
        Arc::new(Self {
            next: AtomicU64::default(),
            strangers: Mutex::default(),
            left: Notify::new(),
            known: Arc::new(Semaphore::new(known)),
        })
    }

    /// Waits until there is room for another stranger. Cancel safe.
    async fn room(&self) {
        while let Some(until) = self.make_room(Instant::now()) {
            // After either, the state is checked again.
            let _ = tokio::time::timeout_at(until, self.left.notified()).await;
        }
    }

    /// Sends the oldest stranger away if its time is up, else says when it will be.
    fn make_room(&self, now: Instant) -> Option<Instant> {
        let mut strangers = self.strangers();
        if strangers.len() < MAX_STRANGERS {
            return None;
        }
        let oldest = strangers.first_entry()?;
        let until = oldest.get().0 + WELCOME;
        if until > now {
            return Some(until);
        }
        oldest.remove().1.cancel();
        None
    }

    fn admit(self: &Arc<Self>, now: Instant) -> Visitor {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let gone = CancellationToken::new();
        self.strangers().insert(number, (now, gone.clone()));
        Visitor(Arc::new(Stay { number, gone, lobby: Arc::clone(self), place: OnceLock::new() }))
    }

    fn leave(&self, number: u64) {
        if self.strangers().remove(&number).is_some() {
            self.left.notify_one();
        }
    }

    fn strangers(&self) -> MutexGuard<'_, BTreeMap<u64, (Instant, CancellationToken)>> {
        // A map of tokens cannot be left half changed.
        self.strangers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection, as the requests on it see it.
#[derive(Debug, Clone)]
pub(super) struct Visitor(Arc<Stay>);

#[derive(Debug)]
struct Stay {
    number: u64,
    /// Cancelled when it has to close.
    gone: CancellationToken,
    lobby: Arc<Lobby>,
    /// Held once the token was shown.
    place: OnceLock<OwnedSemaphorePermit>,
}

impl Visitor {
    /// The client showed the token: from here on the connection is not closed for others. `false` if there are too
    /// many of those.
    pub(super) fn is_known(&self) -> bool {
        let Self(stay) = self;
        if stay.place.get().is_some() {
            return true;
        }
        let Ok(place) = Arc::clone(&stay.lobby.known).try_acquire_owned() else { return false };
        stay.lobby.leave(stay.number);
        // Requests of one connection come one after the other: nobody else sets it.
        let _ = stay.place.set(place);
        true
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        self.lobby.leave(self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_stranger_gives_way_after_a_moment_and_who_is_known_never_does() {
        let (lobby, start) = (Lobby::new(8), Instant::now());
        let (known, oldest, second) = (lobby.admit(start), lobby.admit(start), lobby.admit(start));
        assert!(known.is_known());
        let crowd: Vec<_> = (0..MAX_STRANGERS - 2).map(|_| lobby.admit(start)).collect();
        assert_eq!(lobby.make_room(start), Some(start + WELCOME));
        assert_eq!(lobby.make_room(start + WELCOME), None);
        assert!(oldest.0.gone.is_cancelled());
        assert!(!known.0.gone.is_cancelled() && !second.0.gone.is_cancelled());
        assert_eq!(lobby.make_room(start), None, "there is room now");
        drop((crowd, second));
        assert_eq!(lobby.strangers().len(), 0);
    }

    #[test]
    fn who_is_known_has_a_place_until_it_leaves() {
        let (lobby, now) = (Lobby::new(1), Instant::now());
        let (first, second) = (lobby.admit(now), lobby.admit(now));
        assert!(first.is_known() && first.is_known());
        assert!(!second.is_known());
        drop(first);
        assert!(second.is_known());
    }
}
