//! Why the rules refuse an event.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! rejections {
    ($($(#[doc = $doc:literal])* $name:ident = $index:literal, $fault:literal, $text:literal;)*) => {
        /// Why the rules refuse an event. The order equals the contract's errors: only append.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        #[repr(u8)]
        pub enum Rejection {
            $($(#[doc = $doc])* $name = $index,)*
        }

        impl Rejection {
            /// Every rejection, in the order of the wire format.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Whether an honest author that has the whole log would never have sent this.
            ///
            /// Deadlines, competition for seats and a log that moved on are nobody's fault.
            pub const fn is_fault_of_author(self) -> bool {
                match self { $(Self::$name => $fault,)* }
            }
        }

        impl fmt::Display for Rejection {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$name => $text,)* })
            }
        }
    };
}

rejections! {
    /// No job has this id.
    NoSuchJob = 0, false, "no such job";
    /// The job exists already.
    JobExists = 1, false, "the job exists already";
    /// The job's state does not allow this.
    WrongState = 2, false, "the job's state does not allow this";
    /// Only the requester may do this.
    NotRequester = 3, true, "only the requester may do this";
    /// The author holds no seat in this job.
    NotSeatHolder = 4, true, "the author holds no seat in this job";
    /// The deadline for this has passed.
    DeadlinePassed = 5, false, "the deadline has passed";
    /// The deadline that allows this has not passed yet.
    DeadlineNotReached = 6, false, "the deadline has not been reached";
    /// A seat was accepted, so that the terms stand and the job cannot be withdrawn.
    SeatsTaken = 7, true, "a seat has been accepted already";
    /// A term of the deal is out of bounds.
    InvalidTerms = 8, true, "a term of the deal is out of bounds";
    /// The spec document is malformed, not canonical or not allowed.
    InvalidSpec = 9, true, "the spec is malformed or not allowed";
    /// The job's id is not the hash of what was submitted.
    WrongJobId = 10, true, "the job id does not follow from the submission";
    /// The parent is not inconclusive, not the author's, asked for no follow-up, or the terms differ.
    BadParent = 11, true, "the job cannot follow up that parent";
    /// The money that this locks is not there.
    NotFunded = 12, false, "the account has less free money than this locks";
    /// The bid names another revision than the deal has.
    WrongRevision = 13, false, "the bid names another revision of the deal";
    /// The price exceeds the deal's maximum.
    PriceTooHigh = 14, true, "the price exceeds the deal's";
    /// The bidder is not on the deal's allow-list.
    NotAllowed = 15, true, "the bidder is not on the allow-list";
    /// Verdicts have paid the bidder less than the deal asks for.
    TooLittlePaid = 16, true, "verdicts have paid the bidder too little so far";
    /// The bidder had a seat in the parent, whose openings are public.
    SatInParent = 17, true, "the bidder had a seat in the parent job";
    /// The node has a bid in this job.
    AlreadyBid = 18, true, "the node has a bid already, or had one that the requester turned down";
    /// The job takes no more bids.
    TooManyBids = 19, false, "the job has too many bids";
    /// The node has no bid in this job.
    NoSuchBid = 20, true, "the node has no bid in this job";
    /// The bid was withdrawn, rejected, passed over or seated.
    BidNotStanding = 21, false, "the bid is no longer open";
    /// No seat is free, or it is too late to fill one again.
    NoSeatFree = 22, false, "no seat is free";
    /// Under this deal bids take their seats themselves.
    FirstComeDeal = 23, true, "bids take seats directly under this deal";
    /// The seat's holder has reported a failure.
    SeatFailed = 24, true, "the seat has failed";
    /// The seat has committed.
    AlreadyCommitted = 25, false, "the seat has committed already";
    /// The seat has not committed.
    NotCommitted = 26, true, "the seat has not committed";
    /// The seat has revealed.
    AlreadyRevealed = 27, false, "the seat has revealed already";
    /// The opening does not open the commitment.
    BadOpening = 28, true, "the opening does not match the commitment";
    /// The fingerprint word has bits set that no fingerprint has.
    BadFingerprint = 29, true, "the fingerprint word is malformed";
    /// Openings must ascend by seat.
    OpeningsOutOfOrder = 30, true, "openings must ascend by seat";
    /// A seat that committed has not revealed, and may until the deadline.
    OpeningsMissing = 31, false, "an opening is missing";
    /// The seat did not reveal in time.
    OpeningTooLate = 32, true, "the seat did not reveal in time";
    /// Too few seats revealed for a verdict.
    QuorumNotRevealed = 33, false, "too few seats revealed";
    /// The verdict is not the one that the rules give.
    VerdictMismatch = 34, true, "the verdict differs from that of the rules";
    /// A verdict is possible, so the job cannot be expired.
    VerdictDue = 35, false, "a verdict is due, not an expiry";
    /// Nothing is due that a tick would write down.
    NothingDue = 36, true, "nothing is due";
    /// The remark is too long.
    RemarkTooLong = 37, true, "the remark is too long";
    /// The summary word has bits set that no summary has.
    BadSummary = 38, true, "the summary word is malformed";
    /// Nobody reveals before the requester has published the secret of its audit.
    AwaitsSecret = 39, true, "the requester has yet to publish the secret of its audit";
    /// The deal asks for no audit, or it was drawn already.
    NoDrawDue = 40, true, "no draw is due";
    /// The secret is not the one that the deal commits to.
    WrongSecret = 41, true, "the secret is not the one in the deal";
}

impl std::error::Error for Rejection {}

impl Rejection {
    /// The index on the wire.
    pub const fn index(self) -> u8 {
        self as u8
    }

    /// The rejection with this index on the wire.
    pub fn from_index(index: u8) -> Option<Self> {
        Self::ALL.get(usize::from(index)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_are_inverse() {
        for (index, rejection) in Rejection::ALL.iter().enumerate() {
            assert_eq!(usize::from(rejection.index()), index);
            assert_eq!(Rejection::from_index(rejection.index()), Some(*rejection));
        }
        assert_eq!(Rejection::from_index(42), None);
    }
}
