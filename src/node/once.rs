//! Idempotent requests: a client that got no answer may retry, and the node carries the request out once.
//!
//! The client gives each request a key. The node stores the action under that key, including a job's nonce, before it acts.
//! So a retry sends the same action, and no log takes an action twice.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Serialize, de::DeserializeOwned};
use tokio::time::timeout;

use super::{
    Node,
    requests::{Ended, RequestError, Submission},
};
use crate::{
    domain::{Deal, Digest, JobId, JobState, Spec},
    policy::replication::Replication,
    rules::Rejection,
    scheduler::SubmitError,
    store::Asked,
};

/// The allowed lengths of a key.
const MIN_KEY: usize = 8;
const MAX_KEY: usize = 64;

/// How long this node may take to read a job that the log already has.
const READ_LIMIT: Duration = Duration::from_secs(30);

/// A client's name for one request. Every retry uses the same key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestKey(String);

/// The text is not a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key has {MIN_KEY} to {MAX_KEY} letters, digits, dashes, dots or underscores")]
pub struct InvalidKey;

impl FromStr for RequestKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        let is_key = (MIN_KEY..=MAX_KEY).contains(&text.len()) && text.bytes().all(is_plain);
        if is_key { Ok(Self(text.to_owned())) } else { Err(InvalidKey) }
    }
}

impl fmt::Display for RequestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Node {
    /// As [`Self::submit_job`]. The same key gives the same job, even after a restart.
    ///
    /// # Errors
    /// Those of [`Self::submit_job`], and [`RequestError::OtherRequest`].
    pub async fn submit_job_once(
        &self,
        key: &RequestKey,
        spec: Spec,
        deal: Deal,
        replication: Replication,
    ) -> Result<(JobId, String), RequestError> {
        let digest = match replication {
            Replication::Fixed => digest_of(&("submit", &spec, &deal)),
            Replication::Auto => digest_of(&("submit", &spec, &deal, replication)),
        };
        let asked = match self.records.requests.get(&key.0)? {
            Some(asked) => asked,
            None => {
                let (submission, plan) = self.plan_submission(spec, deal, replication).await?;
                self.keep_plan(submission.job, plan.as_ref())?;
                self.records.requests.begin(&key.0, digest, &encoded(&submission))?
            }
        };
        check(key, &asked, digest)?;
        let Submission { job, revision, event, image } = decoded(key, &asked.plan)?;
        if asked.reply.is_some() {
            // It may have been forgotten since: a second submission would begin a second history of it.
            return Ok((job, image));
        }
        // Also if this node knows the job, which may be no more than offered yet.
        match self.submit_first(job, revision, event).await {
            Ok(_) => {}
            // An earlier attempt succeeded.
            Err(SubmitError::Rejected(Rejection::JobExists)) => {
                let _ = timeout(READ_LIMIT, self.board.when(job, |_| true)).await;
            }
            Err(error) => return Err(error.into()),
        }
        self.records.requests.finish(&key.0, &encoded(&job))?;
        Ok((job, image))
    }

    /// As [`Self::cancel_job`]. The same key gives the same answer.
    ///
    /// # Errors
    /// Those of [`Self::cancel_job`], and [`RequestError::OtherRequest`].
    pub async fn cancel_job_once(&self, key: &RequestKey, job: JobId) -> Result<Ended, RequestError> {
        let digest = digest_of(&("cancel", job));
        let before = self.records.requests.get(&key.0)?;
        let asked = self.records.requests.begin(&key.0, digest, &[])?;
        check(key, &asked, digest)?;
        if let Some(reply) = &asked.reply {
            return decoded(key, reply);
        }
        let ended = match self.cancel_job(job).await {
            Err(RequestError::Over { state: JobState::Cancelled }) if before.is_some() => {
                let is_seated = self.board.read(job, |job| !job.seats.is_empty()).unwrap_or_default();
                if is_seated { Ended::Stopped } else { Ended::Cancelled }
            }
            other => other?,
        };
        self.records.requests.finish(&key.0, &encoded(&ended))?;
        Ok(ended)
    }

    /// As [`Self::update_deal`]. The same key gives the same answer.
    ///
    /// # Errors
    /// Those of [`Self::update_deal`], and [`RequestError::OtherRequest`].
    pub async fn update_deal_once(
        &self,
        key: &RequestKey,
        job: JobId,
        deal: Deal,
    ) -> Result<Digest, RequestError> {
        let digest = digest_of(&("update", job, &deal));
        let before = self.records.requests.get(&key.0)?;
        let asked = self.records.requests.begin(&key.0, digest, &[])?;
        check(key, &asked, digest)?;
        if let Some(reply) = &asked.reply {
            return decoded(key, reply);
        }
        let revisions = self
            .board
            .read(job, |known| (known.revision, self.with_secret(deal.clone(), known.nonce).revision()));
        let done = revisions.filter(|(now, wanted)| before.is_some() && now == wanted);
        let revision = match done {
            Some((revision, _)) => revision,
            None => self.update_deal(job, deal).await?,
        };
        self.records.requests.finish(&key.0, &encoded(&revision))?;
        Ok(revision)
    }
}

fn digest_of(request: &impl Serialize) -> Digest {
    Digest::sha256(encoded(request))
}

fn encoded(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("requests have string keys only, so that JSON can hold them")
}

fn decoded<T: DeserializeOwned>(key: &RequestKey, bytes: &[u8]) -> Result<T, RequestError> {
    serde_json::from_slice(bytes).map_err(|_| RequestError::UnreadableRequest { key: key.to_string() })
}

fn check(key: &RequestKey, asked: &Asked, digest: Digest) -> Result<(), RequestError> {
    if asked.digest == digest {
        return Ok(());
    }
    Err(RequestError::OtherRequest { key: key.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_short_and_plain() {
        for good in ["12345678", "a-b.c_D9", &"f".repeat(64)] {
            assert_eq!(good.parse::<RequestKey>().unwrap().to_string(), good);
        }
        for bad in
            ["", "1234567", "with space", "quote\"quote", "line\nline", "ümläut-ümläut", &"f".repeat(65)]
        {
            assert_eq!(bad.parse::<RequestKey>(), Err(InvalidKey), "{bad:?}");
        }
    }
}
