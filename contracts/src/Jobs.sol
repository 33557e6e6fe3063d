// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Accounts} from "./Accounts.sol";
import {Deals, TermsAt} from "./Deals.sol";
import {IJobScheduler} from "./IJobScheduler.sol";
import {Openings} from "./Openings.sol";
import {Head, Slot} from "./Packing.sol";
import {Rules} from "./Rules.sol";
import {Signatures} from "./Signatures.sol";
import {States} from "./States.sol";
import {TermRules} from "./TermRules.sol";

/// @title The stored jobs, how to find them, and what all ways of creating one share
/// @notice A job is one word, its head. Its id is a hash of requester and terms, among others: callers pass those as a
/// deal, and the id tells whether the deal is that of the job. Only changed terms are stored, as a
/// hash. A node is one word in each job.
abstract contract Jobs is Accounts {
    struct Job {
        Head head;
        /// The hash of requester and revision, once the terms were changed.
        bytes32 root;
    }

    mapping(bytes32 job => Job) internal _jobs;
    mapping(bytes32 job => mapping(address node => Slot)) internal _slots;

    /// @inheritdoc IJobScheduler
    mapping(bytes32 parent => bytes32 child) public childOf;

    /// @inheritdoc IJobScheduler
    function jobs(bytes32 job)
        external
        view
        returns (JobState state, uint256 revealBy, uint256 head, bytes32 root)
    {
        Head packed = _jobs[job].head;
        if (packed.isRostered()) state = packed.state();
        else (state, revealBy) = States.stateAt(packed, block.timestamp);
        return (state, revealBy, Head.unwrap(packed), _jobs[job].root);
    }

    /// @inheritdoc IJobScheduler
    function bids(bytes32 job, address node) external view returns (BidStatus status, uint256 slot) {
        return (_slots[job][node].status(), Slot.unwrap(_slots[job][node]));
    }

    /// @inheritdoc IJobScheduler
    function jobId(address requester, uint64 nonce, bytes32 specHash, bytes32 revision)
        external
        view
        returns (bytes32)
    {
        return Deals.jobId(requester, nonce, specHash, revision);
    }

    /// @inheritdoc IJobScheduler
    function commitmentOf(bytes32 job, uint8 seat, address node, Opening calldata opening)
        public
        view
        returns (bytes32)
    {
        return Openings.commitment(block.chainid, address(this), job, seat, node, opening);
    }

    /// @inheritdoc IJobScheduler
    function domainSeparator() public view returns (bytes32) {
        return Signatures.separator(block.chainid, address(this));
    }

    /// A new job of these terms: checks, locks, emits; the head is not stored yet. `parent` is the deal of the job that
    /// the terms name, if any.
    function _open(bytes calldata packed, bytes calldata parent, bytes calldata spec, uint64 nonce)
        internal
        returns (bytes32 job, TermsAt terms, bytes32 revision, Head head)
    {
        terms = Deals.expand(packed);
        TermRules.checkEncoding(terms);
        revision = terms.revision();
        job = Deals.jobId(msg.sender, nonce, sha256(spec), revision);
        if (!_jobs[job].head.isNone()) revert JobExists(job);
        head = TermRules.opened(terms, block.timestamp);
        if (terms.parent() != 0) _checkParent(terms, revision, job, parent);
        if (spec.length == 0 || spec.length > Rules.MAX_SPEC_BYTES) revert InvalidSpec(spec.length);
        _lock(msg.sender, msg.value, terms.escrow());
        emit Submitted(job, msg.sender, nonce, packed, spec);
    }

    function _checkParent(TermsAt terms, bytes32 revision, bytes32 child, bytes calldata deal) private {
        bytes32 parent = terms.parent();
        Head head = _jobs[parent].head;
        if (head.isRostered()) revert Rostered(parent);
        // Hashes and states have no neighbours that an equality could slip past.
        // slither-disable-next-line incorrect-equality
        bool isOpen = childOf[parent] == 0 && head.state() == JobState.Inconclusive;
        // A submission that is no follow-up comes without a deal.
        if (deal.length == 0 || !isOpen) revert BadParent(parent);
        (TermsAt own, address requester, bytes32 ownRevision) = Deals.read(deal);
        bool isOwn = requester == msg.sender && _isOf(parent, head, deal, requester, ownRevision);
        uint256 seats = TermRules.escalatedSeats(own);
        own.escalate(seats, parent);
        if (!isOwn || seats == 0 || own.revision() != revision) revert BadParent(parent);
        childOf[parent] = child;
    }

    /// The head of a job that is not rostered.
    function _headOf(bytes32 job) internal view returns (Head head) {
        head = _jobs[job].head;
        if (head.isNone()) revert NoSuchJob(job);
        if (head.isRostered()) revert Rostered(job);
    }

    /// A job whose deal this is.
    function _find(bytes32 job, bytes calldata deal)
        internal
        view
        returns (Head head, TermsAt terms, address requester, bytes32 revision)
    {
        head = _headOf(job);
        (terms, requester, revision) = Deals.read(deal);
        if (!_isOf(job, head, deal, requester, revision)) revert WrongDeal(job);
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

    function _accept(bytes32 job, Head head, States.Act memory act, Slot bid_, address node, TermsAt terms)
        internal
        returns (Head next, Slot slot, uint256 seat)
    {
        uint256 bond = terms.bond();
        bool isFunded = _accounts[node].free() >= bond;
        (next, slot, seat) = Rules.bidAccepted(head, bid_, act, node, terms.run(), isFunded);
        // slither-disable-next-line incorrect-equality
        if (seat == Rules.NO_SEAT) {
            emit BidSkipped(job, node);
        } else {
            _lockBond(node, bond, _counts(terms, slot.price()));
            emit BidAccepted(job, node, uint8(seat));
        }
    }
}
