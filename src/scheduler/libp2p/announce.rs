//! A job's announcement: the first entry of its log, and where its requester can be reached.
//!
//! On the wire: one version byte and the ABI encoding of the entry's bytes and the addresses, in their one
//! canonical form. The gossip message around it is signed by the requester.

use alloy_primitives::Bytes;
use alloy_sol_types::SolValue;

use super::{
    entry::{Entry, EntryError, MAX_ENTRY_BYTES},
    job_log::{CheckedLog, parent_of},
    sequence::MAX_SKEW,
};
use crate::{
    domain::{Event, JobId, LogDomain, NodeId, Timestamp},
    network::Multiaddr,
    rules::Rejection,
    scheduler::SubmitError,
};

/// First byte of every announcement.
const ANNOUNCEMENT_VERSION: u8 = 1;

/// Most addresses of a requester that an announcement carries.
pub(super) const MAX_ADDRESSES: usize = 4;

/// Longest address, in its binary form.
const MAX_ADDRESS_BYTES: usize = 128;

/// Longest announcement: one entry, its addresses and a dozen words around them.
const MAX_ANNOUNCEMENT_BYTES: usize = MAX_ENTRY_BYTES + MAX_ADDRESSES * (MAX_ADDRESS_BYTES + 64) + 512;

/// A new job, and the way to its requester.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// The first entry of the job's log.
    pub entry: Entry,
    /// Where the requester says that it listens.
    pub addresses: Vec<Multiaddr>,
}

/// Why an announcement is not followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnnouncementError {
    /// More than an announcement can hold.
    #[error("it has {actual} bytes, at most {MAX_ANNOUNCEMENT_BYTES} are allowed")]
    TooLong {
        /// Its length.
        actual: usize,
    },
    /// It cannot be read, or is not in canonical form.
    #[error("it is malformed")]
    Malformed,
    /// The entry inside cannot be read.
    #[error("its entry is malformed")]
    Entry(#[from] EntryError),
    /// Sender, author and signer of the entry differ, or it is not a first entry.
    #[error("it is not by the requester of the job")]
    Forged,
    /// Envelope or rules refuse the submission.
    #[error("its submission is refused")]
    Refused(#[source] SubmitError),
    /// The job takes no more bids.
    #[error("it is stale")]
    Stale,
    /// Its stamp is ahead of this node's clock.
    #[error("it is stamped {seconds} s ahead of this machine's clock")]
    Ahead {
        /// By how many seconds.
        seconds: u64,
    },
}

impl AnnouncementError {
    /// Whether an honest node would never have sent it.
    pub const fn is_fault_of_sender(&self) -> bool {
        match self {
            Self::TooLong { .. } | Self::Malformed | Self::Entry(_) | Self::Forged | Self::Refused(_) => true,
            // Clocks differ, and gossip takes time.
            Self::Stale | Self::Ahead { .. } => false,
        }
    }
}

impl Announcement {
    /// The canonical bytes; addresses that are too many or too long are left out.
    pub fn encode(&self) -> Vec<u8> {
        let addresses = self.addresses.iter().map(Multiaddr::to_vec);
        let addresses = addresses.filter(|address| address.len() <= MAX_ADDRESS_BYTES).take(MAX_ADDRESSES);
        let addresses: Vec<Bytes> = addresses.map(Bytes::from).collect();
        let mut bytes = vec![ANNOUNCEMENT_VERSION];
        bytes.extend((Bytes::from(self.entry.encode()), addresses).abi_encode_params());
        bytes
    }

    /// Decodes a stranger's announcement; only its form is checked.
    ///
    /// # Errors
    /// [`AnnouncementError::TooLong`], [`AnnouncementError::Malformed`] and [`AnnouncementError::Entry`].
    pub fn decode(bytes: &[u8]) -> Result<Self, AnnouncementError> {
        if bytes.len() > MAX_ANNOUNCEMENT_BYTES {
            return Err(AnnouncementError::TooLong { actual: bytes.len() });
        }
        let Some((&ANNOUNCEMENT_VERSION, body)) = bytes.split_first() else {
            return Err(AnnouncementError::Malformed);
        };
        let (entry, addresses) = <(Bytes, Vec<Bytes>)>::abi_decode_params_validate(body)
            .map_err(|_| AnnouncementError::Malformed)?;
        if addresses.len() > MAX_ADDRESSES {
            return Err(AnnouncementError::Malformed);
        }
        let addresses = addresses.iter().map(|address| Multiaddr::try_from(address.to_vec()));
        let addresses = addresses.collect::<Result<_, _>>().map_err(|_| AnnouncementError::Malformed)?;
        let announcement = Self { entry: Entry::decode(&entry)?, addresses };
        if announcement.encode() == bytes { Ok(announcement) } else { Err(AnnouncementError::Malformed) }
    }

    /// Checks all that can be checked without the parent's log: that `source` made it, signed the entry and the
    /// submission in it, and that the submission is one.
    ///
    /// # Errors
    /// [`AnnouncementError::Forged`] and [`AnnouncementError::Refused`].
    pub fn check(&self, domain: LogDomain, source: NodeId) -> Result<(), AnnouncementError> {
        let is_first = self.entry.height == 1
            && self.entry.prev.is_zero()
            && matches!(self.entry.event(), Event::Submitted { .. });
        if !is_first {
            return Err(AnnouncementError::Forged);
        }
        // Cheap checks come first: signatures cost a hundred times as much.
        match CheckedLog::check_submission_of(source, domain, None, &self.entry.action, self.entry.at) {
            Err(SubmitError::Rejected(Rejection::BadParent)) if self.parent().is_some() => {}
            // The id contains the author, and that is somebody else.
            Err(SubmitError::Rejected(Rejection::WrongJobId)) => return Err(AnnouncementError::Forged),
            Err(error) => return Err(AnnouncementError::Refused(error)),
            Ok(_) => {}
        }
        let is_signed =
            self.entry.signer(domain) == Ok(source) && self.entry.action.author(domain) == Ok(source);
        if is_signed { Ok(()) } else { Err(AnnouncementError::Forged) }
    }

    /// Whether a node that does not know the job may still bid, by its own clock.
    ///
    /// # Errors
    /// [`AnnouncementError::Stale`] and [`AnnouncementError::Ahead`].
    pub fn check_time(&self, now: Timestamp) -> Result<(), AnnouncementError> {
        let Event::Submitted { deal, .. } = self.entry.event() else {
            return Err(AnnouncementError::Forged);
        };
        let at = self.entry.at;
        if at > now.plus(MAX_SKEW) {
            return Err(AnnouncementError::Ahead { seconds: at.as_secs() - now.as_secs() });
        }
        if now > at.plus(deal.open) { Err(AnnouncementError::Stale) } else { Ok(()) }
    }

    /// The job that this one follows up.
    pub fn parent(&self) -> Option<JobId> {
        parent_of(self.entry.event())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        domain::{Action, Amount, Deal, Digest, SignedAction, Span, Spec},
        identity::NodeKey,
        scheduler::EnvelopeRefusal,
    };

    const DOMAIN: LogDomain = LogDomain { chain_id: 0, contract: NodeId::ZERO };
    const START: Timestamp = Timestamp::from_secs(1_700_000_000);

    fn key(byte: u8) -> NodeKey {
        NodeKey::from_bytes(&[byte; 32]).unwrap()
    }

    fn submission(key: &NodeKey, deal: &Deal) -> SignedAction {
        let spec = Spec::sample();
        let (document, revision) = (spec.to_document(), deal.revision());
        let job = DOMAIN.job_id(key.node_id(), 0, Spec::hash_document(&document), revision);
        let event = Event::Submitted { deal: deal.clone(), spec: document, nonce: 0 };
        let action = Action { job, revision, sequence: 0, seen: Digest::ZERO, event };
        SignedAction { signature: key.sign(action.signing_digest(DOMAIN)), action }
    }

    fn announcement(author: &NodeKey, signer: &NodeKey, deal: &Deal) -> Announcement {
        let entry = Entry::sign(signer, DOMAIN, (1, Digest::ZERO), START, submission(author, deal));
        Announcement { entry, addresses: vec!["/ip4/127.0.0.1/tcp/4001".parse().unwrap()] }
    }

    #[test]
    fn an_announcement_comes_back_whole() {
        let announcement = announcement(&key(1), &key(1), &Deal::default());
        assert_eq!(Announcement::decode(&announcement.encode()).as_ref(), Ok(&announcement));
        assert_eq!(announcement.check(DOMAIN, key(1).node_id()), Ok(()));
    }

    #[test]
    fn source_author_and_signer_are_one() {
        let deal = Deal::default();
        for (author, signer, source) in [(2, 1, 1), (1, 2, 1), (1, 1, 2), (2, 2, 1), (1, 2, 2)] {
            let announcement = announcement(&key(author), &key(signer), &deal);
            let checked = announcement.check(DOMAIN, key(source).node_id());
            assert_eq!(checked, Err(AnnouncementError::Forged), "{author} {signer} {source}");
        }
        let mut second = announcement(&key(1), &key(1), &deal);
        second.entry = Entry::sign(&key(1), DOMAIN, (2, Digest::ZERO), START, second.entry.action);
        assert_eq!(second.check(DOMAIN, key(1).node_id()), Err(AnnouncementError::Forged));
    }

    #[test]
    fn a_submission_that_has_no_place_is_refused() {
        let wei = Amount::new(1).unwrap();
        let priced = Deal { price: wei, bond: wei, ..Deal::default() };
        let checked = announcement(&key(1), &key(1), &priced).check(DOMAIN, key(1).node_id());
        let moneyless = SubmitError::Refused(EnvelopeRefusal::Moneyless);
        assert_eq!(checked, Err(AnnouncementError::Refused(moneyless)));
        let invalid = Deal { concurrency: 0, ..Deal::default() };
        let checked = announcement(&key(1), &key(1), &invalid).check(DOMAIN, key(1).node_id());
        let terms = SubmitError::Rejected(Rejection::InvalidTerms);
        assert_eq!(checked, Err(AnnouncementError::Refused(terms)));
        let orphan = Deal { parent: Some(JobId::new([1; 32])), ..Deal::default() };
        let checked = announcement(&key(1), &key(1), &orphan).check(DOMAIN, key(1).node_id());
        assert_eq!(checked, Ok(()), "whether it fits its parent is seen once the parent is here");
    }

    #[test]
    fn bids_must_still_be_taken_by_the_clock_here() {
        let announcement = announcement(&key(1), &key(1), &Deal::default());
        let open = Deal::default().open;
        assert_eq!(announcement.check_time(START.plus(open)), Ok(()));
        assert_eq!(announcement.check_time(START.minus(MAX_SKEW)), Ok(()));
        let late = START.plus(open).plus(Span::from_secs(1));
        assert_eq!(announcement.check_time(late), Err(AnnouncementError::Stale));
        let early = START.minus(Span::from_secs(31));
        assert_eq!(announcement.check_time(early), Err(AnnouncementError::Ahead { seconds: 31 }));
    }

    #[test]
    fn what_is_too_long_is_refused_unread() {
        let long = vec![ANNOUNCEMENT_VERSION; MAX_ANNOUNCEMENT_BYTES + 1];
        assert_eq!(Announcement::decode(&long), Err(AnnouncementError::TooLong { actual: long.len() }));
        let mut many = announcement(&key(1), &key(1), &Deal::default());
        many.addresses = vec![many.addresses[0].clone(); MAX_ADDRESSES + 1];
        let kept = Announcement::decode(&many.encode()).unwrap();
        assert_eq!(kept.addresses.len(), MAX_ADDRESSES);
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(bytes: Vec<u8>, at in 0_usize..4096, with: u8) {
            prop_assert!(Announcement::decode(&bytes).is_err());
            let mut altered = announcement(&key(1), &key(1), &Deal::default()).encode();
            let at = at % altered.len();
            altered[at] = with;
            if let Ok(announcement) = Announcement::decode(&altered) {
                prop_assert_eq!(announcement.encode(), altered);
            }
        }
    }
}
