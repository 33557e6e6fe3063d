//! Takes the content of a URL to disk, and checks that it is what the job names.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::{
    task::spawn_blocking,
    time::{Instant, timeout_at},
};
use tracing::{debug, info};

use super::{
    error::UrlError,
    source::{ANSWER_LIMIT, FIRST_BYTES, UrlLimits},
};
use crate::{
    domain::{Digest, Input, Job, NodeId},
    node::{
        Node,
        pace::{GRACE, LEAST_BYTES_PER_SECOND, Pace},
    },
    store::{BlobError, BlobWriter},
};

/// How long content that has begun to come may make no progress.
const PATIENCE: Duration = Duration::from_secs(60);

/// Pause between two attempts.
const PAUSE: Duration = Duration::from_millis(500);

/// Before the first byte a failure is retried only until then, so that a dead URL is reported soon.
const FIRST_TRIES: Duration = Duration::from_secs(2);

/// How much is written at a time, in bytes.
const PIECE: usize = 256 * 1024;

/// How much comes between two lines in the node's log, in bytes.
const TOLD_EVERY: u64 = 64 << 20;

impl Node {
    /// Makes sure that this node has the file at an input's URL, and that it is the one that the job names.
    ///
    /// # Errors
    /// [`UrlError`]; the store then keeps nothing.
    pub(crate) async fn fetch_from_url(
        &self,
        job: &Job,
        input: &Input,
        url: &str,
        within: Duration,
    ) -> Result<(), UrlError> {
        if let Some(held) = self.held_from_url(job, input, url) {
            return held;
        }
        let holder = input.holder(job.requester);
        let store = |source| UrlError::Store { url: url.to_owned(), source };
        let limit = input.bytes.min(self.config.max_archive_bytes);
        let writer = self.writer_for(job.id, limit).map_err(store)?;
        let pace = Pace::new(PATIENCE, within);
        let writer = self.download(writer, url, (Some(input.bytes), limit), pace, &AtomicU64::new(0)).await?;
        self.keep_file(writer, url, input.digest, holder).await.map(drop)
    }

    /// The same for a job that this node's user is about to submit; returns the length of the file. `received` tells
    /// how far it is.
    ///
    /// # Errors
    /// [`UrlError`].
    pub(crate) async fn take_from_url(
        &self,
        url: &str,
        digest: Digest,
        received: &AtomicU64,
    ) -> Result<u64, UrlError> {
        let holder = Input::holder_of_url(url);
        if let Ok(bytes) = self.shelf.content().length(digest, holder) {
            return Ok(bytes);
        }
        let store = |source| UrlError::Store { url: url.to_owned(), source };
        let limit = self.config.max_archive_bytes;
        let writer = self.shelf.content().writer(limit).map_err(store)?;
        let pace = Pace::new(PATIENCE, GRACE + Duration::from_secs(limit / LEAST_BYTES_PER_SECOND));
        let writer = self.download(writer, url, (None, limit), pace, received).await?;
        self.keep_file(writer, url, digest, holder).await
    }

    /// Checks that the file at an input's URL is there, as long as the job says, and begins to come, without taking it.
    ///
    /// # Errors
    /// [`UrlError`].
    pub(crate) async fn look_at_url(&self, job: &Job, input: &Input, url: &str) -> Result<(), UrlError> {
        if let Some(held) = self.held_from_url(job, input, url) {
            return held;
        }
        let begun = Instant::now();
        let until = begun + ANSWER_LIMIT;
        let mut source = self.config.urls.open_first(url, until).await?;
        check_length(url, source.total, (Some(input.bytes), self.config.max_archive_bytes))?;
        let (url, mut received) = (|| url.to_owned(), 0);
        while received < FIRST_BYTES {
            let next = timeout_at(until, source.next()).await;
            let next = next.map_err(|_| UrlError::Slow { url: url(), received, after: begun.elapsed() })?;
            match next.map_err(|reason| UrlError::Cut { url: url(), received, reason })? {
                Some(bytes) => received += bytes.len() as u64,
                None => break,
            }
        }
        Ok(())
    }

    /// Whether the file that this node has from an input's URL is as long as the job says; `None` if it has none. An
    /// earlier job may have named another length, and bids reserve room for the length in this one.
    fn held_from_url(&self, job: &Job, input: &Input, url: &str) -> Option<Result<(), UrlError>> {
        let held = self.shelf.content().length(input.digest, input.holder(job.requester)).ok()?;
        Some(check_length(url, Some(held), (Some(input.bytes), input.bytes)))
    }

    /// Takes content to its end. Where the connection ends early, goes on where it was; not from a server that ends it there
    /// again. `lengths` are the length that
    /// the content must have, if that is known, and may have.
    async fn download(
        &self,
        mut writer: BlobWriter,
        url: &str,
        lengths: (Option<u64>, u64),
        mut pace: Pace,
        received: &AtomicU64,
    ) -> Result<BlobWriter, UrlError> {
        let begun = Instant::now();
        let mut ended_at = None;
        loop {
            // Nothing came yet: then all attempts share the time.
            let asked = if received.load(Ordering::Relaxed) == 0 { begun } else { Instant::now() };
            let taken = Taking { limits: self.config.urls, url, lengths, begun, asked, received };
            let error = match taken.go_on(writer, &mut pace).await {
                (writer, Ok(())) => return Ok(writer),
                (unfinished, Err(error)) => {
                    writer = unfinished;
                    error
                }
            };
            let (now, count) = (begun.elapsed(), received.load(Ordering::Relaxed));
            let may_go_on = if count == 0 { now < FIRST_TRIES } else { pace.may_go_on(now + PAUSE) };
            let is_cut = matches!(error, UrlError::Cut { .. });
            let is_stuck = is_cut && ended_at.replace(count) == Some(count);
            if !error.may_pass() || is_stuck || !may_go_on || self.stop.is_cancelled() {
                return Err(error);
            }
            debug!(%error, received = count, "a URL is asked again");
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn keep_file(
        &self,
        writer: BlobWriter,
        url: &str,
        digest: Digest,
        holder: NodeId,
    ) -> Result<u64, UrlError> {
        let content = self.shelf.content().clone();
        let kept = spawn_blocking(move || content.keep(writer, digest, holder)).await;
        let url = url.to_owned();
        kept.expect("storing content returns its errors").map_err(|source| match source {
            BlobError::Mismatch { expected, found } => UrlError::Hash { url, expected, found },
            source => UrlError::Store { url, source },
        })
    }
}

fn check_length(url: &str, total: Option<u64>, (exactly, most): (Option<u64>, u64)) -> Result<(), UrlError> {
    let (Some(found), url) = (total, || url.to_owned()) else { return Ok(()) };
    match exactly {
        Some(expected) if found != expected => Err(UrlError::Length { url: url(), found, expected }),
        Some(_) | None if found > most => Err(UrlError::TooLong { url: url(), most }),
        Some(_) | None => Ok(()),
    }
}

/// One attempt to take the rest of some content.
struct Taking<'a> {
    limits: UrlLimits,
    url: &'a str,
    lengths: (Option<u64>, u64),
    begun: Instant,
    /// When the time for the first answer began.
    asked: Instant,
    /// How much came in all attempts.
    received: &'a AtomicU64,
}

impl Taking<'_> {
    /// Goes on behind what the writer has. Gives it back, so that another attempt can.
    async fn go_on(self, writer: BlobWriter, pace: &mut Pace) -> (BlobWriter, Result<(), UrlError>) {
        let mut writer = Some(writer);
        let ended = self.take_rest(&mut writer, pace).await;
        (writer.expect("every step gives the writer back"), ended)
    }

    async fn take_rest(&self, writer: &mut Option<BlobWriter>, pace: &mut Pace) -> Result<(), UrlError> {
        let url = || self.url.to_owned();
        let before = self.received.load(Ordering::Relaxed);
        let first_until = self.asked + ANSWER_LIMIT;
        let mut source = self.limits.open(self.url, before, first_until).await?;
        check_length(self.url, source.total, self.lengths)?;
        let (mut piece, mut at, mut told) = (Vec::new(), before, before);
        loop {
            let asked = Instant::now();
            let until = self.begun + pace.ends();
            let until = if at < FIRST_BYTES { until.min(first_until) } else { until };
            let next = timeout_at(until, source.next()).await;
            let slow = |_| UrlError::Slow { url: url(), received: at, after: self.begun.elapsed() };
            let next = next.map_err(slow)?;
            let (mut bytes, is_over) = match next {
                Ok(Some(bytes)) => (bytes, None),
                Ok(None) => (Vec::new(), Some(Ok(()))),
                Err(reason) => (Vec::new(), Some(Err(UrlError::Cut { url: url(), received: at, reason }))),
            };
            let skipped = usize::try_from(source.skip).unwrap_or(usize::MAX).min(bytes.len());
            source.skip -= skipped as u64;
            bytes.drain(..skipped);
            let count = bytes.len() as u64;
            at += count;
            let (exactly, most) = self.lengths;
            if let Some(expected) = exactly.filter(|expected| at > *expected) {
                return Err(UrlError::Longer { url: url(), expected });
            }
            if at > most {
                return Err(UrlError::TooLong { url: url(), most });
            }
            piece.append(&mut bytes);
            if count > 0 {
                pace.came(count, asked.elapsed(), self.begun.elapsed());
            }
            if piece.len() >= PIECE || is_over.is_some() {
                push(writer, std::mem::take(&mut piece))
                    .await
                    .map_err(|source| UrlError::Store { url: url(), source })?;
                self.received.store(at, Ordering::Relaxed);
            }
            if at - told >= TOLD_EVERY {
                told = at;
                info!(url = self.url, received = at, total = ?source.total, "an input comes");
            }
            match is_over {
                Some(Ok(())) => match source.total.or(exactly).filter(|total| at < *total) {
                    Some(total) => {
                        let reason = format!("{total} were to come");
                        return Err(UrlError::Cut { url: url(), received: at, reason });
                    }
                    None => return Ok(()),
                },
                Some(Err(error)) => return Err(error),
                None => {}
            }
        }
    }
}

async fn push(writer: &mut Option<BlobWriter>, bytes: Vec<u8>) -> Result<(), BlobError> {
    let mut taken = writer.take().expect("every step gives the writer back");
    let (given, pushed) = spawn_blocking(move || {
        let pushed = taken.push(&bytes);
        (taken, pushed)
    })
    .await
    .expect("writing a piece returns its errors");
    *writer = Some(given);
    pushed
}
