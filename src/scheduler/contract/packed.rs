//! Packed terms and deals as the contract takes them, and the head of a job whose seats it stores as one hash.

use alloy_primitives::{Bytes, U256};

use super::abi::IJobScheduler as abi;
use crate::domain::{
    Deal, Job, JobState,
    codec::{self, CodecError},
};

/// How many of the 32 bytes of each word of the ABI encoding are sent; the allow-list, the only field without a fixed
/// length, comes last.
const WIDTHS: [usize; 24] = [1, 1, 4, 2, 1, 1, 1, 12, 12, 12, 4, 4, 4, 4, 1, 0, 12, 1, 32, 1, 2, 1, 32, 32];
/// Which word says where the allow-list is.
const ALLOW_LIST: usize = 15;
const WORD: usize = 32;
const NODE_BYTES: usize = 20;

/// The terms: the bytes of their fields, then those of the allow-list.
pub(super) fn pack_terms(deal: &Deal) -> Bytes {
    let encoded = codec::encode_deal(deal);
    // The first word is the offset of the others; after them come the length of the allow-list and its nodes.
    let mut words = encoded.chunks_exact(WORD).skip(1);
    let mut packed = Vec::new();
    for (width, word) in WIDTHS.iter().zip(words.by_ref()) {
        packed.extend_from_slice(&word[WORD - width..]);
    }
    for node in words.skip(1) {
        packed.extend_from_slice(&node[WORD - NODE_BYTES..]);
    }
    packed.into()
}

/// Reads packed terms; their bounds are not checked here.
///
/// # Errors
/// As [`codec::decode_deal`].
pub(super) fn unpack_terms(packed: &[u8]) -> Result<Deal, CodecError> {
    let fixed: usize = WIDTHS.iter().sum();
    let (mut fields, nodes) = packed.split_at_checked(fixed).ok_or(CodecError::Malformed)?;
    if nodes.len() % NODE_BYTES != 0 {
        return Err(CodecError::Malformed);
    }
    let mut encoded = word(&[0x20]);
    for (index, width) in WIDTHS.iter().enumerate() {
        let (field, rest) = fields.split_at(*width);
        fields = rest;
        let offset = ((WIDTHS.len() * WORD) as u64).to_be_bytes();
        encoded.extend(word(if index == ALLOW_LIST { &offset } else { field }));
    }
    encoded.extend(word(&((nodes.len() / NODE_BYTES) as u64).to_be_bytes()));
    nodes.chunks(NODE_BYTES).for_each(|node| encoded.extend(word(node)));
    codec::decode_deal(&encoded)
}

/// These bytes at the end of a word.
fn word(bytes: &[u8]) -> Vec<u8> {
    let mut word = vec![0; WORD - bytes.len()];
    word.extend_from_slice(bytes);
    word
}

/// A job's requester, the nonce and spec hash that its id is made of, and its terms now.
pub(super) fn pack_deal(job: &Job) -> Bytes {
    let prefix = [
        job.requester.as_bytes().as_slice(),
        &job.nonce.to_be_bytes(),
        job.spec_hash.as_bytes(),
        &pack_terms(&job.deal),
    ];
    prefix.concat().into()
}

/// The head of a job none of whose seats has failed, while it runs or after its verdict: see `contracts/src/Packing.sol`.
pub(super) fn rostered_head(job: &Job) -> U256 {
    let fields: [(u64, usize); 11] = [
        (job.asked().into(), 0),
        (job.deal.confidence.into(), 5),
        (u8::from(stored_state(job.state)).into(), 12),
        (job.asked().into(), 15),
        (job.committed.bits().into(), 51),
        (job.revealed.bits().into(), 82),
        (job.deal.timeout.as_secs().into(), 113),
        (job.deal.reveal.as_secs().into(), 135),
        (job.audit as u64, 158),
        (job.commit_by.as_secs(), 192),
        (job.seats_changed_at.as_secs(), 224),
    ];
    fields.into_iter().fold(U256::ZERO, |head, (value, at)| head | U256::from(value) << at)
}

/// The contract knows by the time alone that a job is revealing.
const fn stored_state(state: JobState) -> abi::JobState {
    match state {
        JobState::Open => abi::JobState::Open,
        JobState::Running | JobState::Revealing => abi::JobState::Running,
        JobState::Verified => abi::JobState::Verified,
        JobState::Inconclusive => abi::JobState::Inconclusive,
        JobState::Failed => abi::JobState::Failed,
        JobState::Cancelled => abi::JobState::Cancelled,
        JobState::Expired => abi::JobState::Expired,
    }
}

/// Whether the head that the contract keeps of a job says that its seats are one hash (`contracts/src/Packing.sol`).
pub(super) fn is_rostered(head: U256) -> bool {
    head.bit(11)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{Audit, JobId, NodeId};

    fn deal() -> Deal {
        Deal {
            allow_list: vec![NodeId::new([7; 20]), NodeId::new([8; 20])],
            parent: Some(JobId::new([9; 32])),
            audit: Some(Audit::from_word([7; 32])),
            ..Deal::default()
        }
    }

    #[test]
    fn terms_survive_the_way_through_the_contract() {
        let packed = pack_terms(&deal());
        assert_eq!(packed.len(), 177 + 2 * NODE_BYTES);
        assert_eq!(packed[177..197], [7; 20]);
        assert_eq!(unpack_terms(&packed), Ok(deal()));
        assert_eq!(unpack_terms(&pack_terms(&Deal::default())), Ok(Deal::default()));
    }

    #[test]
    fn bytes_of_another_length_are_no_terms() {
        let packed = pack_terms(&deal());
        for length in (0..177).chain([178, 196, 198]) {
            assert_eq!(unpack_terms(&packed[..length]), Err(CodecError::Malformed), "{length}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_of_any_bytes_is_written_so(bytes in prop::collection::vec(any::<u8>(), 150..230)) {
            if let Ok(deal) = unpack_terms(&bytes) {
                prop_assert_eq!(pack_terms(&deal), bytes);
            }
        }
    }
}
