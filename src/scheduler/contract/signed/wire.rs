//! What backends of the signed path say to each other: one byte that says what follows, then canonical bytes.

use crate::domain::{
    SignedAction, Timestamp,
    codec::{MAX_ACTION_BYTES, decode_action, encode_action},
};

/// The name of the protocol among peers.
pub const PROTOCOL: &str = "/assay/signed/1";

/// Longest request: an offer with the largest spec.
pub const MAX_REQUEST_BYTES: usize = 1 + 8 + MAX_ACTION_BYTES;

/// Longest answer.
pub const MAX_ANSWER_BYTES: usize = 1;

const OFFER: u8 = 1;
const ACTION: u8 = 2;

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum Request {
    /// From a requester: a job to come. Bids for it are valid until then.
    Offer { until: Timestamp, submission: SignedAction },
    /// To whoever can bring it to the contract with those of others.
    Action(SignedAction),
}

/// The answer to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It was taken note of.
    Taken,
    /// Not now; the same may be taken in a moment.
    Later,
    /// It is of no use here.
    Refused,
}

impl Request {
    pub(in super::super) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Offer { until, submission } => {
                let until = until.as_secs().to_be_bytes();
                [[OFFER].as_slice(), &until, &encode_action(submission)].concat()
            }
            Self::Action(action) => [[ACTION].as_slice(), &encode_action(action)].concat(),
        }
    }

    /// What a peer sent; `None` if it is no request. Signatures are not checked here.
    pub(in super::super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        match *kind {
            OFFER => {
                let (until, submission) = rest.split_first_chunk()?;
                let until = Timestamp::from_secs(u64::from_be_bytes(*until));
                Some(Self::Offer { until, submission: decode_action(submission).ok()? })
            }
            ACTION => Some(Self::Action(decode_action(rest).ok()?)),
            _ => None,
        }
    }
}

impl Answer {
    /// As it travels.
    pub fn encode(self) -> Vec<u8> {
        vec![match self {
            Self::Taken => 0,
            Self::Later => 1,
            Self::Refused => 2,
        }]
    }

    /// What a peer answered; `None` if it is no answer.
    pub const fn decode(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0] => Some(Self::Taken),
            [1] => Some(Self::Later),
            [2] => Some(Self::Refused),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{Action, Amount, Digest, Event, JobId, Signature};

    fn bid() -> SignedAction {
        let event = Event::BidPlaced { price: Amount::ZERO };
        let (job, digest) = (JobId::ZERO, Digest::ZERO);
        let action = Action { job, revision: digest, sequence: 0, seen: digest, event };
        SignedAction { action, signature: Signature::new([7; 65]) }
    }

    #[test]
    fn messages_survive_the_way() {
        let offer = Request::Offer { until: Timestamp::from_secs(7), submission: bid() };
        for request in [offer, Request::Action(bid())] {
            assert_eq!(Request::decode(&request.encode()), Some(request));
        }
        for answer in [Answer::Taken, Answer::Later, Answer::Refused] {
            assert_eq!(Answer::decode(&answer.encode()), Some(answer));
        }
    }

    proptest! {
        #[test]
        fn hostile_messages_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0_usize..400) {
            let mut changed = Request::Action(bid()).encode();
            let at = at % changed.len();
            changed.splice(at..at, bytes.iter().copied());
            for bytes in [bytes, changed] {
                let _ = (Request::decode(&bytes), Answer::decode(&bytes));
            }
        }
    }
}
