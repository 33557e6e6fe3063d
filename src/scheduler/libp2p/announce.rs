//! A job's announcement: the first entry of its log, and where its requester can be reached.
//!
//! On the wire: one version byte and the ABI encoding of the entry's bytes and the addresses, in their one
//! canonical form. The gossip message around it is signed by the requester.

use alloy_primitives::Bytes;
use alloy_sol_types::SolValue;

use super::{
    chain::{Chain, parent_of},
    entry::{Entry, EntryError, MAX_ENTRY_BYTES},
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
    #[error("it takes {actual} bytes, {MAX_ANNOUNCEMENT_BYTES} are allowed")]
    TooLong {
        /// Its length.
        actual: usize,
    },
    /// It cannot be read, or is not in canonical form.
    #[error("it is malformed")]
    Malformed,
    /// The entry inside cannot be read.
    #[error("its entry cannot be read")]
    Entry(#[from] EntryError),
    /// Sender, author and signer of the entry are not one and the same, or it is no first entry.
    #[error("it is not by the requester of the job")]
    Forged,
    /// The submission is refused by envelope or rules.
    #[error("its submission is refused")]
    Refused(#[source] SubmitError),
    /// Bids are taken no more, or not yet by this node's clock.
    #[error("it is stale, or ahead of the clock")]
    Stale,
}

impl AnnouncementError {
    /// Whether an honest node would never have sent it.
    pub const fn is_fault_of_sender(&self) -> bool {
        match self {
            Self::TooLong { .. } | Self::Malformed | Self::Entry(_) | Self::Forged | Self::Refused(_) => true,
            // Clocks differ, and gossip takes its time.
            Self::Stale => false,
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

    /// Reads an announcement of a stranger; nothing is checked beyond its form.
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
        let by_source = self.entry.height == 1
            && self.entry.prev.is_zero()
            && self.entry.signer(domain) == Ok(source)
            && self.entry.action.author(domain) == Ok(source);
        if !by_source {
            return Err(AnnouncementError::Forged);
        }
        match Chain::check_submission(domain, None, &self.entry.action, self.entry.at) {
            Err(SubmitError::Rejected(Rejection::BadParent)) if self.parent().is_some() => Ok(()),
            Err(error) => Err(AnnouncementError::Refused(error)),
            Ok(_) => Ok(()),
        }
    }

    /// Whether a node that does not know the job may still bid, by its own clock.
    ///
    /// # Errors
    /// [`AnnouncementError::Stale`].
    pub fn check_time(&self, now: Timestamp) -> Result<(), AnnouncementError> {
        let Event::Submitted { deal, .. } = self.entry.event() else {
            return Err(AnnouncementError::Forged);
        };
        let open = self.entry.at <= now.plus(MAX_SKEW) && now <= self.entry.at.plus(deal.open);
        if open { Ok(()) } else { Err(AnnouncementError::Stale) }
    }

    /// The job that this one follows up.
    pub fn parent(&self) -> Option<JobId> {
        parent_of(self.entry.event())
    }
}
