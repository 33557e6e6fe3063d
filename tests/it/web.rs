//! A web server on this machine with one file, and with what can be wrong with URLs.

use std::{
    io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use assay::domain::Digest;
use tokio::{sync::watch, time::timeout};

use crate::town::PATIENCE;

/// The one file: longer than what is written at a time, and no two pieces of it are equal.
pub(crate) fn content() -> Vec<u8> {
    (0..200_000_u32).flat_map(u32::to_le_bytes).collect()
}

/// How long each redirect of a slow server takes: five take longer than all may.
const HOP: Duration = Duration::from_millis(1500);

/// How long a server that sends byte by byte waits after each.
const BETWEEN_BYTES: Duration = Duration::from_millis(50);

/// The server. Ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Web {
    address: SocketAddr,
    /// The first lines of all requests, and what part they asked for.
    asked: watch::Sender<Vec<String>>,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Web {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (asked, ends) = (watch::Sender::new(Vec::new()), Arc::new(AtomicBool::new(false)));
        let (noted, ended) = (asked.clone(), Arc::clone(&ends));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                // A client that goes away in the middle is what some of the tests are about.
                let _gone = stream.and_then(|stream| answer(stream, &noted));
            }
        });
        Self { address, asked, ends, thread: Some(thread) }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The file's URL with its hash, as the command line takes it.
    pub(crate) fn pinned(&self) -> String {
        format!("{}#sha256={}", self.url("/file"), &Digest::sha256(content()).to_string()[2..])
    }

    /// The requests so far that contain this.
    pub(crate) fn asked(&self, what: &str) -> usize {
        count(&self.asked.borrow(), what)
    }

    /// Waits for so many requests that contain this.
    pub(crate) async fn when_asked(&self, what: &str, times: usize) {
        let mut asked = self.asked.subscribe();
        let found = timeout(PATIENCE, asked.wait_for(|asked| count(asked, what) >= times)).await;
        found.expect("it is asked in time").expect("the server lives");
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::SeqCst);
        // Wakes the thread.
        let _woken = TcpStream::connect(self.address);
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || std::thread::panicking());
    }
}

fn count(asked: &[String], what: &str) -> usize {
    asked.iter().filter(|asked| asked.contains(what)).count()
}

fn answer(stream: TcpStream, asked: &watch::Sender<Vec<String>>) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    let (mut offset, mut is_look) = (None, false);
    for line in lines {
        let line = line?.to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(range) = line.strip_prefix("range: bytes=") {
            is_look = range == "0-4095";
            offset = range.strip_suffix('-').and_then(|begins| begins.parse::<usize>().ok());
        }
    }
    let path = first.split(' ').nth(1).unwrap_or_default();
    let whole = content();
    let half = whole.len() / 2;
    let asked_for = if is_look { "first bytes".to_owned() } else { format!("from {offset:?}") };
    asked.send_modify(|asked| asked.push(format!("{path} {asked_for}")));
    let full = || head("200 OK", &format!("content-length: {}\r\n", whole.len()));
    let moved =
        |to: &str| (head("302 Found", &format!("location: {to}\r\ncontent-length: 0\r\n")), &whole[..0]);
    let (head, body) = match (path, offset) {
        // The connection ends in the middle; a server may go on where it was, or may not know how.
        ("/cut" | "/cut-anew", None) => (full(), &whole[..half]),
        ("/cut", Some(offset)) => {
            let range = format!("content-range: bytes {offset}-{0}/{1}\r\n", whole.len() - 1, whole.len());
            (head("206 Partial Content", &range), &whole[offset..])
        }
        ("/file", _) if is_look => {
            let range = format!("content-range: bytes 0-4095/{}\r\ncontent-length: 4096\r\n", whole.len());
            (head("206 Partial Content", &range), &whole[..4096])
        }
        // Knows nothing of parts of empty files but this.
        ("/empty", _) if is_look => (
            head("416 Range Not Satisfiable", "content-range: bytes */0\r\ncontent-length: 0\r\n"),
            &whole[..0],
        ),
        ("/empty", _) => (head("200 OK", "content-length: 0\r\n"), &whole[..0]),
        ("/file" | "/whole" | "/cut-anew", _) => (full(), &whole[..]),
        ("/endless", _) => (head("200 OK", ""), &whole[..]),
        // Says that more will come, whatever part is asked for.
        ("/short", None) => (full(), &whole[..half]),
        ("/short", Some(offset)) => {
            let range = format!("content-range: bytes {offset}-{0}/{1}\r\n", whole.len() - 1, whole.len());
            (head("206 Partial Content", &range), &whole[..0])
        }
        ("/trickle", _) => (full(), &whole[..]),
        ("/slow", _) => {
            while_here(&stream, HOP)?;
            moved("/slow")
        }
        ("/ftp", _) => moved("ftp://127.0.0.1/file"),
        ("/moved", _) => moved("/file"),
        ("/loop", _) => moved("/loop"),
        ("/inside", _) => moved("http://169.254.169.254/latest"),
        ("/disk", _) => moved("file:///etc/passwd"),
        ("/down", _) => (head("503 Service Unavailable", "content-length: 0\r\n"), &whole[..0]),
        _ => (head("404 Not Found", "content-length: 0\r\n"), &whole[..0]),
    };
    let mut stream = stream;
    stream.write_all(head.as_bytes())?;
    if path == "/trickle" {
        // Until the client goes away.
        for byte in body {
            stream.write_all(&[*byte])?;
            while_here(&stream, BETWEEN_BYTES)?;
        }
    }
    stream.write_all(body)
}

/// Lets this time pass, or less if the client goes away. Clients send nothing more.
fn while_here(mut stream: &TcpStream, time: Duration) -> std::io::Result<()> {
    stream.set_read_timeout(Some(time))?;
    match stream.read(&mut [0]) {
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Err(ErrorKind::ConnectionAborted.into()),
    }
}

fn head(status: &str, fields: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{fields}connection: close\r\n\r\n")
}
