// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IJobScheduler} from "./IJobScheduler.sol";
import {Head, Heads, Slot} from "./Packing.sol";
import {Rules} from "./Rules.sol";
import {Settlements} from "./Settlements.sol";
import {Signatures} from "./Signatures.sol";

/// @title What nodes sign instead of sending, and jobs whose seats are one hash
/// @notice A job submitted with signed bids for every seat is *rostered*: in place of its head a hash of head, revision
/// and roster is kept, and nothing of its nodes but their accounts. `unpack` makes it a job like any other.
///
/// A roster is, for each seat, the four words of a `SeatHolder`; commitments are zero until all have committed.
abstract contract Rosters is Settlements {
    function _commit(bytes32 job, Head head, address node, bytes32 commitment) internal returns (Head next) {
        Slot slot = _slots[job][node];
        bool isHolder = _isHolder(job, head, slot, node);
        (next, slot) = Rules.committed(head, slot, block.timestamp, node, isHolder, commitment);
        _slots[job][node] = slot;
        emit IJobScheduler.Committed(job, node, commitment);
    }

    /// Commits each seat that has neither committed nor failed. Where there is none, the last one says why.
    function _commitEach(
        bytes32 job,
        Head head,
        bytes32 revision,
        IJobScheduler.SeatHolder[] calldata holders,
        IJobScheduler.Signed[] calldata signatures
    ) internal {
        if (signatures.length != holders.length) {
            revert IJobScheduler.SignaturesMissing(holders.length);
        }
        bytes32 domain = _domain();
        bool isTaken = false;
        for (uint256 i = 0; i < holders.length; ++i) {
            bool mayPass = isTaken || i + 1 != holders.length;
            if (mayPass && !_isIdle(job, holders[i].node)) continue;
            head = _commitSigned(domain, job, head, revision, holders[i], signatures[i]);
            isTaken = true;
        }
        _jobs[job].head = head;
    }

    /// Whether this node has its seat and nothing more.
    function _isIdle(bytes32 job, address node) private view returns (bool) {
        return _slots[job][node].status() == IJobScheduler.BidStatus.Seated;
    }

    function _commitSigned(
        bytes32 domain,
        bytes32 job,
        Head head,
        bytes32 revision,
        IJobScheduler.SeatHolder calldata holder,
        IJobScheduler.Signed calldata signed
    ) private returns (Head) {
        (address node, bytes32 commitment) = (holder.node, holder.commitment);
        _checkSigned(domain, job, revision, node, IJobScheduler.EventKind.Committed, commitment, signed);
        return _commit(job, head, node, commitment);
    }

    /// `kept` is what is stored of the job.
    function _checkRoster(bytes32 job, Head kept, Head head, bytes32 revision, bytes32 roster) internal pure {
        if (kept.isNone()) revert IJobScheduler.NoSuchJob(job);
        if (!kept.isRostered()) revert IJobScheduler.NotRostered(job);
        if (!kept.equals(Heads.sealed_(head, revision, roster, kept.state()))) {
            revert IJobScheduler.WrongRoster(job);
        }
    }

    function _checkSigned(
        bytes32 domain,
        bytes32 job,
        bytes32 revision,
        address node,
        IJobScheduler.EventKind kind,
        bytes32 payload,
        IJobScheduler.Signed calldata signed
    ) internal view {
        bytes32 digest = Signatures.digest(domain, job, revision, signed.sequence, signed.seen, kind, payload);
        Signatures.check(digest, signed.r, signed.vs, node);
    }

    function _rosterHash(IJobScheduler.SeatHolder[] calldata holders, bool haveCommitted)
        internal
        pure
        returns (bytes32 hash)
    {
        assembly ("memory-safe") {
            let start := mload(0x40)
            let size := shl(7, holders.length)
            calldatacopy(start, holders.offset, size)
            if iszero(haveCommitted) {
                for { let at := add(start, 96) } lt(at, add(start, size)) { at := add(at, 128) } {
                    mstore(at, 0)
                }
            }
            hash := keccak256(start, size)
        }
    }
}
