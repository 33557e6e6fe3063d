//! Messages to deliver to other nodes.

use tokio::time::Instant;

use super::wire::MAX_PUSHED_BYTES;
use crate::{
    domain::{JobId, NodeId},
    network::WireBytes,
};

/// A message and its recipient.
#[derive(Debug, Clone)]
pub(super) struct Parcel {
    pub(super) to: NodeId,
    pub(super) message: Message,
    pub(super) posted: Instant,
    /// The recipient has it already, by the answer to its own action: it goes with whatever goes next, so that nothing
    /// is missing before that.
    pub(super) can_wait: bool,
}

/// A message to deliver.
#[derive(Debug, Clone)]
pub(super) enum Message {
    /// New entries of a job, in their order, as many as one message holds.
    Entries { job: JobId, entries: Vec<WireBytes> },
    /// An action that the requester may leave out of its log.
    Evidence { job: JobId, bytes: WireBytes },
}

impl Message {
    pub(super) const fn job(&self) -> JobId {
        match self {
            Self::Entries { job, .. } | Self::Evidence { job, .. } => *job,
        }
    }

    /// Whether both hold entries of the same job.
    pub(super) fn goes_with(&self, other: &Self) -> bool {
        matches!((self, other), (Self::Entries { job, .. }, Self::Entries { job: its, .. }) if job == its)
    }
}

/// The entries in their order, in as few messages as hold them.
pub(super) fn in_messages(entries: impl IntoIterator<Item = WireBytes>) -> Vec<Vec<WireBytes>> {
    let (mut messages, mut room) = (Vec::<Vec<WireBytes>>::new(), 0);
    for entry in entries {
        match (messages.last_mut(), entry.0.len() <= room) {
            (Some(message), true) => {
                room -= entry.0.len();
                message.push(entry);
            }
            (None, _) | (Some(_), false) => {
                room = MAX_PUSHED_BYTES.saturating_sub(entry.0.len());
                messages.push(vec![entry]);
            }
        }
    }
    messages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_go_in_their_order_and_in_as_few_messages_as_hold_them() {
        let entries =
            |sizes: &[usize]| sizes.iter().map(|bytes| WireBytes(vec![0; *bytes])).collect::<Vec<_>>();
        let sizes = |sizes: &[usize]| -> Vec<Vec<usize>> {
            let messages = in_messages(entries(sizes)).into_iter();
            messages.map(|message| message.into_iter().map(|entry| entry.0.len()).collect()).collect()
        };
        assert_eq!(sizes(&[]), Vec::<Vec<usize>>::new());
        assert_eq!(sizes(&[3, 2, 1]), [[3, 2, 1]]);
        assert_eq!(sizes(&[1, MAX_PUSHED_BYTES - 1, 1]), [vec![1, MAX_PUSHED_BYTES - 1], vec![1]]);
        assert_eq!(sizes(&[MAX_PUSHED_BYTES + 1, 1, 2]), [vec![MAX_PUSHED_BYTES + 1], vec![1, 2]]);
    }
}
