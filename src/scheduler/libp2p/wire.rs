//! What nodes say to each other of logs: CBOR messages, which the network carries as bytes.
//!
//! Entries and actions travel as canonical bytes, which the receiver decodes.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    domain::{JobId, NodeId, Timestamp},
    network::{NetworkHandle, RequestError, RequestProtocol, WireBytes},
};

/// The protocol of logs.
const NAME: &str = "/assay/log/3";

/// Longest request about a log: one entry of at most 49 KiB and its envelope.
const MAX_REQUEST_BYTES: usize = 64 * 1024;

/// Most bytes of entries that are sent together without being asked for; a single one may take more.
pub const MAX_PUSHED_BYTES: usize = 48 * 1024;

/// Most bytes of entries in one response: a page, of which ten make the longest log.
pub const MAX_RESPONSE_ENTRIES_BYTES: usize = 448 * 1024;

/// Longest response about a log.
const MAX_RESPONSE_BYTES: usize = 512 * 1024;

/// A request about a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogRequest {
    /// To the requester of a job: give this action its place. Answered with the entries above `after_height`.
    Submit {
        /// The signed action.
        action: WireBytes,
        /// The height that the author holds.
        after_height: u64,
    },
    /// To any node that has the log: the entries of a job above a height.
    Read {
        /// The job.
        job: JobId,
        /// The height that the asker holds; 0 for none.
        after_height: u64,
    },
    /// To a follower: new entries of one job, in their order.
    Push {
        /// The entries; several together take at most [`MAX_PUSHED_BYTES`].
        entries: Vec<WireBytes>,
    },
    /// To a seat: an action that was sent to the requester too, in case it never appears in the log.
    Witness {
        /// The signed action.
        action: WireBytes,
    },
    /// To anyone: what its clock says.
    Time,
}

/// The answer to a request about a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogResponse {
    /// The action has this place.
    Placed {
        /// Its height.
        height: u64,
        /// Entries above the asker's height, in their order; at most [`MAX_RESPONSE_ENTRIES_BYTES`].
        entries: Vec<WireBytes>,
    },
    /// Entries above the asker's height, in their order; at most [`MAX_RESPONSE_ENTRIES_BYTES`].
    Entries {
        /// The newest height there is.
        height: u64,
        /// The entries.
        entries: Vec<WireBytes>,
    },
    /// Taken note of.
    Taken,
    /// What the clock says.
    Time {
        /// Unix seconds.
        now: Timestamp,
    },
    /// The rules refuse: the index of the rejection.
    Rejected(u8),
    /// The envelope is refused.
    Refused(WireRefusal),
    /// There is no such log here.
    Unknown,
    /// Too much to do at the moment.
    Busy,
    /// The request cannot be read.
    Malformed,
    /// The node's own store failed.
    Failed,
}

/// An envelope refusal on the wire; each variant is documented at the one of the same name in the scheduler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each is documented at the refusal of the same name")]
pub enum WireRefusal {
    BadSignature,
    WrongSequence { expected: u64 },
    WrongSeen,
    CommitsClosed,
    NotRevealed,
    Moneyless,
    TooMany,
}

/// The protocol, for the network that is to carry it.
pub fn protocol() -> RequestProtocol {
    RequestProtocol {
        name: NAME,
        max_request_bytes: MAX_REQUEST_BYTES,
        max_answer_bytes: MAX_RESPONSE_BYTES,
        busy: LogResponse::Busy.encode(),
    }
}

/// Asks a node about a log. Bounded by [`crate::network::LONGEST_WAIT`].
///
/// # Errors
/// [`RequestError`], also for an answer that cannot be read.
pub async fn ask(
    network: &NetworkHandle,
    node: NodeId,
    request: &LogRequest,
) -> Result<LogResponse, RequestError> {
    let answer = network.request(node, request.encode()).await?;
    LogResponse::decode(&answer).ok_or_else(|| RequestError::Failed("its answer cannot be read".to_owned()))
}

impl LogRequest {
    /// As it travels.
    pub fn encode(&self) -> Vec<u8> {
        encode(self)
    }

    /// What a peer sent; `None` if it is no request.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        decode(bytes)
    }
}

impl LogResponse {
    /// As it travels.
    pub fn encode(&self) -> Vec<u8> {
        encode(self)
    }

    /// What a peer sent; `None` if it is no answer.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        decode(bytes)
    }
}

fn encode<T: Serialize>(message: &T) -> Vec<u8> {
    cbor4ii::serde::to_vec(Vec::new(), message)
        .expect("messages are plain data, and a vector takes all of it")
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    cbor4ii::serde::from_slice(bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn messages_have_the_bytes_that_other_versions_read() {
        let read = LogRequest::Read { job: JobId::ZERO, after_height: 7 };
        let refused = LogResponse::Refused(WireRefusal::WrongSequence { expected: 2 });
        let entries = LogResponse::Entries { height: 1, entries: vec![WireBytes(vec![0xab])] };
        let time = LogResponse::Time { now: Timestamp::from_secs(1_700_000_000) };
        insta::assert_snapshot!(
            [
                read.encode(),
                refused.encode(),
                entries.encode(),
                LogResponse::Busy.encode(),
                LogRequest::Time.encode(),
                time.encode(),
            ]
                .map(alloy_primitives::hex::encode)
                .join("\n"),
            @r"
            a16452656164a2636a6f6278423078303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030306c61667465725f68656967687407
            a16752656675736564a16d57726f6e6753657175656e6365a168657870656374656402
            a167456e7472696573a2666865696768740167656e74726965738141ab
            6442757379
            6454696d65
            a16454696d65a1636e6f771a6553f100
            "
        );
        for request in [read, LogRequest::Time] {
            assert_eq!(LogRequest::decode(&request.encode()), Some(request));
        }
        for answer in [refused, entries, LogResponse::Busy, time] {
            assert_eq!(LogResponse::decode(&answer.encode()), Some(answer));
        }
    }

    proptest! {
        #[test]
        fn hostile_messages_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0_usize..99) {
            let push = LogRequest::Push { entries: vec![WireBytes(vec![7; 20]); 3] };
            let mut changed = push.encode();
            let at = at % changed.len();
            changed.splice(at..at, bytes.iter().copied());
            for bytes in [bytes, changed] {
                let _ = (LogRequest::decode(&bytes), LogResponse::decode(&bytes));
            }
        }
    }
}
