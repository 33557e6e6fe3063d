// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Deals, TermsAt} from "./Deals.sol";
import {Endings} from "./Endings.sol";
import {IJobScheduler} from "./IJobScheduler.sol";
import {Logs} from "./Logs.sol";
import {Openings} from "./Openings.sol";
import {Head, Heads, Purses, Slot, Slots} from "./Packing.sol";
import {Rules} from "./Rules.sol";
import {Settlements} from "./Settlements.sol";
import {Signatures} from "./Signatures.sol";
import {States} from "./States.sol";

/// @title What nodes sign instead of sending, and jobs whose seats are one hash
/// @notice A job submitted with signed bids for every seat is *rostered*: in place of its head a hash of head, revision
/// and roster is kept, and nothing of its nodes but their accounts. `unpack` makes it a job like any other.
///
/// A roster is, for each seat, the four words of a `SeatHolder`; commitments are zero until all have committed.
abstract contract Rosters is Settlements {
    mapping(bytes32 job => mapping(address node => bool)) private _revoked;

    /// @inheritdoc IJobScheduler
    function submitSigned(
        bytes calldata packed,
        bytes calldata spec,
        uint64 nonce,
        SignedBid[] calldata signedBids
    ) external payable returns (bytes32 job) {
        TermsAt terms;
        bytes32 revision;
        Head head;
        (job, terms, revision, head) = _open(packed, packed[:0], spec, nonce);
        _jobs[job].head = _seatSigned(job, revision, head, terms, signedBids);
    }

    /// @inheritdoc IJobScheduler
    function revokeSignedBid(bytes32 job) external {
        if (!_jobs[job].head.isNone()) revert JobExists(job);
        _revoked[job][msg.sender] = true;
        emit SignedBidRevoked(job, msg.sender);
    }

    /// @inheritdoc IJobScheduler
    function commitRostered(
        bytes32 job,
        bytes32 revision,
        uint256 head,
        SeatHolder[] calldata holders,
        Signed[] calldata signatures
    ) external {
        _checkRoster(job, Head.wrap(head), revision, _rosterHash(holders, false));
        if (signatures.length != holders.length) revert SignaturesMissing(holders.length);
        Head next = Rules.allCommitted(Head.wrap(head), block.timestamp);
        bytes32 domain = domainSeparator();
        for (uint256 i = 0; i < holders.length; ++i) {
            (address node, bytes32 commitment) = (holders[i].node, holders[i].commitment);
            _checkSigned(domain, job, revision, node, EventKind.Committed, commitment, signatures[i]);
            emit Committed(job, node, commitment);
        }
        _jobs[job].head = Heads.sealed_(next, revision, _rosterHash(holders, true), JobState.Revealing);
    }

    /// @inheritdoc IJobScheduler
    function postVerdictRostered(
        bytes32 job,
        bytes calldata deal,
        uint256 head,
        SeatOpening[] calldata openings,
        uint32 accepted
    ) external {
        Openings.check(openings);
        (TermsAt terms, address requester, bytes32 revision) = Deals.read(deal);
        if (Deals.jobOf(deal, revision) != job) revert WrongDeal(job);
        bytes32 roster = _rosterHash(job, openings);
        _checkRoster(job, Head.wrap(head), revision, roster);
        // All openings are known: the roster is a hash of what they hash to.
        Head next = Endings.verdictPosted(
            Head.wrap(head), block.timestamp, terms, openings, type(uint256).max, accepted
        );
        // The nodes have no slots yet, which a follow-up will look at.
        _jobs[job].head = Heads.sealed_(next, revision, roster, next.state());
        _payVerdict(Head.wrap(head), terms, requester, openings, accepted);
        Logs.verdictPosted(job, openings, accepted);
    }

    /// @inheritdoc IJobScheduler
    function unpack(bytes32 job, bytes32 revision, uint256 head, SeatHolder[] calldata roster) external {
        bool haveCommitted = Head.wrap(head).committed() != 0;
        _checkRoster(job, Head.wrap(head), revision, _rosterHash(roster, haveCommitted));
        for (uint256 i = 0; i < roster.length; ++i) {
            SeatHolder calldata holder = roster[i];
            _slots[job][holder.node] = haveCommitted
                ? Slots.ofCommitment(holder.commitment, holder.price, i)
                : Slots.make(holder.price, 0, BidStatus.Seated, i);
        }
        _jobs[job].head = Head.wrap(head);
        emit Unpacked(job);
    }

    function _seatSigned(
        bytes32 job,
        bytes32 revision,
        Head head,
        TermsAt terms,
        SignedBid[] calldata signedBids
    ) private returns (Head) {
        uint256[] memory roster = new uint256[](4 * terms.concurrency());
        bytes32 domain = domainSeparator();
        address last = address(0);
        // An enum has no neighbours that an equality could slip past.
        // slither-disable-next-line incorrect-equality
        for (uint256 i = 0; i < signedBids.length && head.state() == JobState.Open; ++i) {
            if (signedBids[i].node <= last) revert NodesOutOfOrder(signedBids[i].node);
            last = signedBids[i].node;
            if (!_revoked[job][last]) {
                head = _seatOne(domain, job, revision, head, terms, signedBids[i], roster);
            }
        }
        // slither-disable-next-line incorrect-equality
        if (head.state() == JobState.Running) {
            return Heads.sealed_(head, revision, _rosterHash(roster), JobState.Running);
        }
        // Too few for all seats: the rest is filled step by step.
        for (uint256 seat = 0; seat < head.filled(); ++seat) {
            address node = address(uint160(roster[4 * seat + 1]));
            _slots[job][node] = Slots.make(roster[4 * seat + 2], 0, BidStatus.Seated, seat);
        }
        return head;
    }

    /// A bid as if it had been sent, and its acceptance.
    function _seatOne(
        bytes32 domain,
        bytes32 job,
        bytes32 revision,
        Head head,
        TermsAt terms,
        SignedBid calldata given,
        uint256[] memory roster
    ) private returns (Head next) {
        address node = given.node;
        _checkSigned(
            domain, job, revision, node, EventKind.BidPlaced, bytes32(uint256(given.price)), given.signed
        );
        States.Act memory act = States.Act({at: block.timestamp, author: node, requester: msg.sender});
        // All zero but for what follows: the revision is the job's own, and a job with a parent takes no signed bids.
        // slither-disable-next-line uninitialized-local
        Rules.Facts memory facts;
        facts.isCurrent = true;
        facts.paidJobs = _accounts[node].count(Purses.PAID);
        // Nobody has bid for a job that does not exist yet.
        // slither-disable-next-line uninitialized-local
        Slot slot;
        // Under `FirstCome` the bid would take its seat here; the acceptance refuses such a deal.
        // slither-disable-next-line unused-return
        (next, slot,) = Rules.bidPlaced(head, slot, act, facts, terms, given.price);
        emit BidPlaced(job, node, given.price);
        act.author = msg.sender;
        uint256 seat;
        (next, slot, seat) = _accept(job, next, act, slot, node, terms);
        // A value that stands for no seat, and not an amount.
        // slither-disable-next-line incorrect-equality
        if (seat == Rules.NO_SEAT) {
            _slots[job][node] = slot;
        } else {
            (roster[4 * seat], roster[4 * seat + 1], roster[4 * seat + 2]) =
            (seat, uint160(node), given.price);
        }
    }

    function _checkRoster(bytes32 job, Head head, bytes32 revision, bytes32 roster) private view {
        Head kept = _jobs[job].head;
        if (kept.isNone()) revert NoSuchJob(job);
        if (!kept.isRostered()) revert NotRostered(job);
        if (!kept.equals(Heads.sealed_(head, revision, roster, kept.state()))) revert WrongRoster(job);
    }

    function _checkSigned(
        bytes32 domain,
        bytes32 job,
        bytes32 revision,
        address node,
        EventKind kind,
        bytes32 payload,
        Signed calldata signed
    ) internal pure {
        bytes32 digest = Signatures.digest(domain, job, revision, signed.sequence, signed.seen, kind, payload);
        Signatures.check(digest, signed.r, signed.vs, node);
    }

    function _rosterHash(SeatHolder[] calldata holders, bool haveCommitted)
        private
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

    function _rosterHash(uint256[] memory words) private pure returns (bytes32 hash) {
        assembly ("memory-safe") {
            hash := keccak256(add(words, 32), shl(5, mload(words)))
        }
    }

    /// Of the holders that openings name and the commitments that they hash to.
    function _rosterHash(bytes32 job, SeatOpening[] calldata openings) private view returns (bytes32 hash) {
        bytes32[] memory commitments = Openings.commitments(block.chainid, address(this), job, openings);
        assembly ("memory-safe") {
            let start := mload(0x40)
            for { let i := 0 } lt(i, openings.length) { i := add(i, 1) } {
                let at := add(start, shl(7, i))
                calldatacopy(at, add(openings.offset, mul(288, i)), 96)
                mstore(add(at, 96), mload(add(add(commitments, 32), shl(5, i))))
            }
            hash := keccak256(start, shl(7, openings.length))
        }
    }
}
