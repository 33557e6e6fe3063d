// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Accounts} from "./Accounts.sol";
import {Deals, TermsAt} from "./Deals.sol";
import {IJobScheduler} from "./IJobScheduler.sol";
import {Head, Purse, Slot} from "./Packing.sol";
import {Rules} from "./Rules.sol";
import {Signatures} from "./Signatures.sol";
import {States} from "./States.sol";
import {TermRules} from "./TermRules.sol";

/// @title The stored jobs, how to find them, and what all ways of creating one share
/// @notice A job is one word, its head. Its id is a hash of requester and terms, among others: callers pass those as a
/// deal, and the id tells whether the deal is that of the job. Only changed terms are stored, as a
/// hash. A node is one word in each job.
abstract contract Jobs is Accounts {
    /// A new job of these terms, which are checked; nothing is stored yet. `_open` follows.
    function _draft(bytes calldata packed, bytes calldata spec, uint64 nonce)
        internal
        view
        returns (bytes32 job, TermsAt terms, bytes32 revision, Head head)
    {
        terms = Deals.expand(packed);
        TermRules.checkEncoding(terms);
        revision = terms.revision();
        job = Deals.jobId(msg.sender, nonce, sha256(spec), revision);
        if (!_jobs[job].head.isNone()) revert IJobScheduler.JobExists(job);
        head = TermRules.opened(terms, block.timestamp);
    }

    /// Locks the escrow of a new job, and tells of it.
    function _open(bytes32 job, TermsAt terms, bytes calldata packed, bytes calldata spec, uint64 nonce)
        internal
    {
        if (spec.length == 0 || spec.length > Rules.MAX_SPEC_BYTES) {
            revert IJobScheduler.InvalidSpec(spec.length);
        }
        _lock(msg.sender, msg.value, terms.escrow());
        emit IJobScheduler.Submitted(job, msg.sender, nonce, packed, spec);
    }

    /// The head of a job that is not rostered.
    function _headOf(bytes32 job) internal view returns (Head head) {
        head = _jobs[job].head;
        if (head.isNone()) revert IJobScheduler.NoSuchJob(job);
        if (head.isRostered()) revert IJobScheduler.Rostered(job);
    }

    /// A job whose deal this is.
    function _find(bytes32 job, bytes calldata deal)
        internal
        view
        returns (Head head, TermsAt terms, address requester, bytes32 revision)
    {
        head = _headOf(job);
        (terms, requester, revision) = Deals.read(deal);
        if (!_isOf(job, head, deal, requester, revision)) revert IJobScheduler.WrongDeal(job);
    }

    /// Whether a deal, of this requester and revision, is the job's.
    function _isOf(bytes32 job, Head head, bytes calldata deal, address requester, bytes32 revision)
        internal
        view
        returns (bool)
    {
        // slither-disable-next-line incorrect-equality
        if (head.epoch() == 0) return Deals.jobOf(deal, revision) == job;
        // slither-disable-next-line incorrect-equality
        return _jobs[job].root == _rootOf(requester, revision);
    }

    /// Whether the seat that `node` reported a failure for is still its own.
    function _isHolder(bytes32 job, Head head, Slot slot, address node) internal view returns (bool) {
        if (slot.status() != IJobScheduler.BidStatus.Failed) return true;
        return head.failed() >> slot.seat() & 1 != 0 && _failures[job][slot.seat()].node() == node;
    }

    /// The domain of the signatures that count here.
    function _domain() internal view returns (bytes32) {
        return Signatures.separator(block.chainid, address(this));
    }

    /// What the contract stores of changed terms.
    function _rootOf(address requester, bytes32 revision) internal pure returns (bytes32 root) {
        assembly ("memory-safe") {
            mstore(0, requester)
            mstore(32, revision)
            root := keccak256(0, 64)
        }
    }

    function _act(address requester) internal view returns (States.Act memory) {
        return States.Act({at: block.timestamp, author: msg.sender, requester: requester});
    }

    /// The seat is `Rules.PASSED` where nothing happens, which only a caller that allows it gets.
    function _accept(
        bytes32 job,
        Head head,
        States.Act memory act,
        Slot bid_,
        address node,
        TermsAt terms,
        bool mayPass
    ) internal returns (Head next, Slot slot, uint256 seat) {
        uint256 bond = terms.bond();
        Purse account = _accounts[node];
        bool isFunded = account.free() >= bond;
        (next, slot, seat) = Rules.bidAccepted(head, bid_, act, node, terms, isFunded, mayPass);
        // slither-disable-next-line incorrect-equality
        if (seat == Rules.PASSED) return (next, slot, seat);
        // slither-disable-next-line incorrect-equality
        if (seat == Rules.NO_SEAT) {
            emit IJobScheduler.BidSkipped(job, node);
        } else {
            _lockBond(node, account, bond, _counts(next, slot.price()));
            emit IJobScheduler.BidAccepted(job, node, uint8(seat));
        }
    }
}
