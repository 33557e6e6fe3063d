//! Opens a URL, if this node's operator lets jobs look there.

use std::{
    error::Error as _,
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use reqwest::{
    Response, StatusCode, Url,
    header::{CONTENT_RANGE, LOCATION, RANGE},
    redirect::Policy,
};
use tokio::{
    fs::File,
    io::{AsyncReadExt as _, AsyncSeekExt as _},
    task::spawn_blocking,
    time::{Instant, timeout_at},
};

use super::error::UrlError;
use crate::{scope::Scope, tls::http_client};

/// How long the names, connections, redirects and first bytes of an answer may take, all together. A dead URL is reported
/// sooner than users lose patience: within 5 s.
pub(super) const ANSWER_LIMIT: Duration = Duration::from_secs(4);

/// How much has to come within that time, in bytes: what comes slower is no use.
pub(super) const FIRST_BYTES: u64 = 4 * 1024;

/// How long the next piece of content may take.
const SILENCE_LIMIT: Duration = Duration::from_secs(20);

/// The most redirects that are followed.
const MAX_REDIRECTS: usize = 5;

/// How much of a file is read at a time, in bytes.
const PIECE: usize = 64 * 1024;

/// Which URLs a node gets inputs from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UrlLimits {
    /// By `https`.
    pub https: bool,
    /// By `http`, which anybody on the way can read. The hash still decides what is mounted.
    pub http: bool,
    /// Files of this machine.
    pub file: bool,
    /// From this machine and private networks, too. Link-local addresses are never asked.
    pub private: bool,
}

impl Default for UrlLimits {
    fn default() -> Self {
        Self { https: true, ..Self::NONE }
    }
}

impl UrlLimits {
    /// No URL.
    pub const NONE: Self = Self { https: false, http: false, file: false, private: false };
    /// For a user's own machine: every URL.
    pub const ALL: Self = Self { https: true, http: true, file: true, private: true };

    fn may_reach(self, ip: IpAddr) -> bool {
        match Scope::of(ip) {
            Scope::Public => true,
            Scope::Loopback | Scope::Private => self.private,
            Scope::Link | Scope::Nobody => false,
        }
    }

    /// Opens a URL, to read from this offset on. Its answer begins until then.
    ///
    /// # Errors
    /// [`UrlError`].
    pub(super) async fn open(self, url: &str, offset: u64, until: Instant) -> Result<Source, UrlError> {
        self.open_part(url, Part::From(offset), until).await
    }

    /// Opens a URL, to read its first bytes. A server that sends the whole all the same is cut off behind them. `HEAD` would
    /// send even less, but URLs that are signed for `GET` refuse it, and it shows no server that says much and sends
    /// nothing.
    ///
    /// # Errors
    /// [`UrlError`].
    pub(super) async fn open_first(self, url: &str, until: Instant) -> Result<Source, UrlError> {
        self.open_part(url, Part::First, until).await
    }

    async fn open_part(self, url: &str, part: Part, until: Instant) -> Result<Source, UrlError> {
        let mut at = Url::parse(url)
            .map_err(|error| UrlError::Malformed { url: url.to_owned(), reason: error.to_string() })?;
        let mut before = at.clone();
        for hop in 0..=MAX_REDIRECTS {
            match at.scheme() {
                "https" if self.https => {}
                "http" if self.http => {}
                // Nobody else may name a file of this machine.
                "file" if self.file && hop == 0 => return open_file(&at, part.begins()).await,
                scheme => {
                    let (url, scheme) = (at.to_string(), scheme.to_owned());
                    return Err(match scheme.as_str() {
                        "https" | "http" => UrlError::Scheme { url, scheme },
                        _ if hop > 0 => UrlError::LeadsOff { url: before.to_string(), scheme },
                        "file" => UrlError::Scheme { url, scheme },
                        _ => UrlError::Unknown { url, scheme },
                    });
                }
            }
            let response = self.ask(&at, part, until).await?;
            if !response.status().is_redirection() {
                return Source::of(&at, response, part);
            }
            let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
            let next = location.and_then(|location| at.join(location).ok());
            before = at;
            at = next.ok_or_else(|| UrlError::Redirects { url: url.to_owned() })?;
        }
        Err(UrlError::Redirects { url: url.to_owned() })
    }

    /// The answer to one request. The connection goes to an address that was checked.
    async fn ask(self, url: &Url, part: Part, until: Instant) -> Result<Response, UrlError> {
        let addresses = resolve(url, until).await?;
        let (allowed, other): (Vec<_>, Vec<_>) =
            addresses.into_iter().partition(|address| self.may_reach(address.ip()));
        if let (true, Some(address)) = (allowed.is_empty(), other.first()) {
            return Err(UrlError::Address { url: url.to_string(), address: address.ip() });
        }
        let host = url.host_str().unwrap_or_default();
        let client = http_client()
            .resolve_to_addrs(host, &allowed)
            .redirect(Policy::none())
            // A proxy would look the name up again, and reach where this node must not.
            .no_proxy()
            .connect_timeout(ANSWER_LIMIT)
            .read_timeout(SILENCE_LIMIT)
            .user_agent(concat!("assay/", env!("CARGO_PKG_VERSION")))
            .build();
        let unreachable = |reason| UrlError::Unreachable { url: url.to_string(), reason };
        let mut request = client.map_err(|error| unreachable(last_cause(&error)))?.get(url.clone());
        if let Some(range) = part.range() {
            request = request.header(RANGE, range);
        }
        let answered = timeout_at(until, request.send()).await.map_err(|_| unreachable(late()))?;
        answered.map_err(|error| unreachable(last_cause(&error)))
    }
}

/// The addresses of the host, with the port. Looks up no name that is an address.
async fn resolve(url: &Url, until: Instant) -> Result<Vec<SocketAddr>, UrlError> {
    let failed = |reason| UrlError::Resolve { url: url.to_string(), reason };
    let asked = url.clone();
    let found = timeout_at(until, spawn_blocking(move || asked.socket_addrs(|| None))).await;
    let found = found.map_err(|_| failed(late()))?;
    let found = found.expect("a lookup returns its errors").map_err(|error| failed(error.to_string()))?;
    if found.is_empty() { Err(failed("it has no address".to_owned())) } else { Ok(found) }
}

/// Of redirects, too, all share the time.
fn late() -> String {
    format!("no answer within {} s", ANSWER_LIMIT.as_secs())
}

fn last_cause(error: &reqwest::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    causes.last().map_or_else(|| error.to_string(), ToString::to_string)
}

async fn open_file(url: &Url, offset: u64) -> Result<Source, UrlError> {
    let failed = |source| UrlError::File { url: url.to_string(), source };
    let path = url.to_file_path();
    let path = path.map_err(|()| failed(io::Error::from(io::ErrorKind::InvalidFilename)))?;
    // A pipe or a device would never end, or never open.
    let metadata = tokio::fs::metadata(&path).await.map_err(failed)?;
    if !metadata.is_file() {
        return Err(failed(io::Error::other("it is not a regular file")));
    }
    let mut file = File::open(&path).await.map_err(failed)?;
    file.seek(io::SeekFrom::Start(offset)).await.map_err(failed)?;
    Ok(Source { skip: 0, total: Some(metadata.len()), body: Body::File(file) })
}

/// What of some content is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// From this offset to the end.
    From(u64),
    /// The first bytes, to learn the length of the whole, and whether it comes.
    First,
}

impl Part {
    const fn begins(self) -> u64 {
        match self {
            Self::From(offset) => offset,
            Self::First => 0,
        }
    }

    /// The value of the `Range` header.
    fn range(self) -> Option<String> {
        match self {
            Self::From(0) => None,
            Self::From(offset) => Some(format!("bytes={offset}-")),
            Self::First => Some(format!("bytes=0-{}", FIRST_BYTES - 1)),
        }
    }
}

/// Content that is being read.
#[derive(Debug)]
pub(super) struct Source {
    /// How many bytes come before the offset that was asked for, from a server that begins anew.
    pub(super) skip: u64,
    /// The length of the whole, where the server states it.
    pub(super) total: Option<u64>,
    body: Body,
}

#[derive(Debug)]
enum Body {
    Http(Response),
    File(File),
    Empty,
}

impl Source {
    fn of(url: &Url, response: Response, part: Part) -> Result<Self, UrlError> {
        let url = url.to_string();
        let (status, offset) = (response.status(), part.begins());
        let range = response.headers().get(CONTENT_RANGE).and_then(|range| range.to_str().ok());
        let (begins, total) = match status {
            StatusCode::OK => (0, response.content_length()),
            StatusCode::PARTIAL_CONTENT => {
                let range = range.and_then(parse_range).filter(|(begins, _)| *begins == offset);
                let reason = "it answers another range than asked".to_owned();
                range.ok_or_else(|| UrlError::Unreachable { url: url.clone(), reason })?
            }
            // What is empty has no first byte, and what ended at the offset has no next one.
            StatusCode::RANGE_NOT_SATISFIABLE if range == Some(format!("bytes */{offset}").as_str()) => {
                (offset, Some(offset))
            }
            _ => return Err(UrlError::Status { url, status: status.as_u16() }),
        };
        let is_over = status == StatusCode::RANGE_NOT_SATISFIABLE;
        let body = if is_over { Body::Empty } else { Body::Http(response) };
        Ok(Self { skip: offset - begins, total, body })
    }

    /// The next piece; `None` at the end. Bounded in time.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<u8>>, String> {
        match &mut self.body {
            Body::Empty => Ok(None),
            Body::Http(response) => match response.chunk().await {
                Ok(chunk) => Ok(chunk.map(|chunk| chunk.to_vec())),
                Err(error) => Err(last_cause(&error)),
            },
            Body::File(file) => {
                let mut piece = vec![0; PIECE];
                let read = file.read(&mut piece).await.map_err(|error| error.to_string())?;
                piece.truncate(read);
                Ok((read > 0).then_some(piece))
            }
        }
    }
}

/// Where a part begins, and the length of the whole: `bytes 5-9/10`, `bytes 5-9/*`.
fn parse_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (begins, _) = range.split_once('-')?;
    let total = if total == "*" { None } else { Some(total.parse().ok()?) };
    Some((begins.parse().ok()?, total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_says_where_it_begins() {
        assert_eq!(parse_range("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(parse_range("bytes 5-9/*"), Some((5, None)));
        for bad in ["", "bytes */10", "bytes 5/10", "items 5-9/10", "bytes 5-9/x", "bytes -9/10"] {
            assert_eq!(parse_range(bad), None, "{bad}");
        }
    }

    #[test]
    fn private_addresses_are_asked_where_the_operator_says_and_link_local_ones_never() {
        let (usual, private) = (UrlLimits::default(), UrlLimits { private: true, ..UrlLimits::default() });
        for (ip, by_default, if_private) in [
            ("8.8.8.8", true, true),
            ("10.0.0.1", false, true),
            ("127.0.0.1", false, true),
            ("::1", false, true),
            ("::ffff:192.168.1.1", false, true),
            ("64:ff9b::a00:1", false, true),
            ("169.254.169.254", false, false),
            ("fe80::1", false, false),
            ("0.0.0.0", false, false),
        ] {
            let ip = ip.parse().unwrap();
            assert_eq!((usual.may_reach(ip), private.may_reach(ip)), (by_default, if_private), "{ip}");
        }
    }
}
