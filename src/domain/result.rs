//! The result of a run, the commitment to it, and the opening of that commitment.

use alloy_primitives::{Address, B256};
use alloy_sol_types::SolValue;
use serde::{Deserialize, Serialize};

use super::{Digest, FingerprintWord, JobId, LogDomain, NodeId, SummaryWord};

/// A result and the salt of its commitment: what a node reveals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Opening {
    /// SHA-256 over job id, exit code, stdout and the files of `/outputs`: what a verdict compares.
    pub result_hash: Digest,
    /// SHA-256 of the archive of the result directory, which the requester fetches.
    pub output_root: Digest,
    /// The exit code of the command.
    pub exit_code: i32,
    /// Memory and CPU time of the run.
    pub fingerprint: FingerprintWord,
    /// The output's numbers that may differ a little; void if the deal has none.
    pub summary: SummaryWord,
    /// 32 random bytes, so that a guessed result cannot be checked against the commitment.
    pub salt: Digest,
}

impl Opening {
    /// An opening for any use, without a fingerprint or a summary. Tests and examples use it.
    pub const fn sample(salt: u8) -> Self {
        Self {
            result_hash: Digest::new([7; 32]),
            output_root: Digest::new([8; 32]),
            exit_code: 0,
            fingerprint: FingerprintWord::VOID,
            summary: SummaryWord::VOID,
            salt: Digest::new([salt; 32]),
        }
    }

    /// The commitment that this opening opens: for this node, seat and job only.
    pub fn commitment(&self, domain: LogDomain, job: JobId, seat: u8, node: NodeId) -> Digest {
        let fields = (
            domain.chain_id,
            Address::from(domain.contract),
            B256::from(job),
            // ABI encoding pads every unsigned integer to a word, and a bare `u8` would mean `bytes`.
            u16::from(seat),
            Address::from(node),
            B256::from(self.result_hash),
            B256::from(self.output_root),
            self.exit_code,
            B256::from(self.fingerprint.0),
            B256::from(self.summary.0),
            B256::from(self.salt),
        );
        Digest::keccak(fields.abi_encode())
    }
}

/// An opening for a seat, sent with a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SeatOpening {
    /// The seat.
    pub seat: u8,
    /// Its opening.
    pub opening: Opening,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commitment_opens_for_one_node_in_one_seat_of_one_job_only() {
        let opening = Opening {
            result_hash: Digest::new([1; 32]),
            output_root: Digest::new([2; 32]),
            exit_code: 0,
            fingerprint: FingerprintWord::VOID,
            summary: SummaryWord::VOID,
            salt: Digest::new([3; 32]),
        };
        let domain = LogDomain::default();
        let chain = LogDomain { chain_id: 1, ..domain };
        let (job, node) = (JobId::new([4; 32]), NodeId::new([5; 20]));
        let commitments = [
            opening.commitment(domain, job, 0, node),
            opening.commitment(chain, job, 0, node),
            opening.commitment(domain, JobId::ZERO, 0, node),
            opening.commitment(domain, job, 1, node),
            opening.commitment(domain, job, 0, NodeId::ZERO),
            Opening { exit_code: -1, ..opening }.commitment(domain, job, 0, node),
            Opening { result_hash: Digest::ZERO, ..opening }.commitment(domain, job, 0, node),
            Opening { output_root: Digest::ZERO, ..opening }.commitment(domain, job, 0, node),
            Opening { summary: SummaryWord([0; 32]), ..opening }.commitment(domain, job, 0, node),
            Opening { salt: Digest::ZERO, ..opening }.commitment(domain, job, 0, node),
            Opening { fingerprint: FingerprintWord([0; 32]), ..opening }.commitment(domain, job, 0, node),
        ];
        let distinct: std::collections::BTreeSet<_> = commitments.iter().collect();
        assert_eq!(distinct.len(), commitments.len());
    }
}
