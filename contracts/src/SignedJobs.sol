// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Deals, TermsAt} from "./Deals.sol";
import {Endings} from "./Endings.sol";
import {IJobScheduler} from "./IJobScheduler.sol";
import {Logs} from "./Logs.sol";
import {Openings} from "./Openings.sol";
import {Head, Heads, Purses, Slot, Slots} from "./Packing.sol";
import {Rosters} from "./Rosters.sol";
import {Rules} from "./Rules.sol";
import {States} from "./States.sol";

/// @title The signed path: a job of three transactions
// `JobScheduler` pays out what is sent.
// slither-disable-next-line locked-ether
abstract contract SignedJobs is Rosters {
    function submitSigned(
        bytes calldata terms,
        bytes calldata spec,
        uint64 nonce,
        IJobScheduler.SignedBid[] calldata bids
    ) external payable returns (bytes32 job) {
        TermsAt drafted;
        bytes32 revision;
        Head head;
        (job, drafted, revision, head) = _draft(terms, spec, nonce);
        // A follow-up takes no signed bids: nobody would look whether they sat in the parent.
        if (drafted.parent() != 0) revert IJobScheduler.BadParent(drafted.parent());
        _open(job, drafted, terms, spec, nonce);
        _jobs[job].head = _seatSigned(job, revision, head, drafted, bids);
    }

    function commitRostered(
        bytes32 job,
        bytes32 revision,
        uint256 head,
        IJobScheduler.SeatHolder[] calldata holders,
        IJobScheduler.Signed[] calldata signatures
    ) external {
        // Anyone may have unpacked it before.
        Head kept = _jobs[job].head;
        if (!kept.isRostered()) return _commitEach(job, _headOf(job), revision, holders, signatures);
        _checkRoster(job, kept, Head.wrap(head), revision, _rosterHash(holders, false));
        if (signatures.length != holders.length) revert IJobScheduler.SignaturesMissing(holders.length);
        Head next = Rules.allCommitted(Head.wrap(head), block.timestamp);
        bytes32 domain = _domain();
        for (uint256 i = 0; i < holders.length; ++i) {
            (address node, bytes32 commitment) = (holders[i].node, holders[i].commitment);
            _checkSigned(
                domain, job, revision, node, IJobScheduler.EventKind.Committed, commitment, signatures[i]
            );
            emit IJobScheduler.Committed(job, node, commitment);
        }
        _jobs[job].head =
            Heads.sealed_(next, revision, _rosterHash(holders, true), IJobScheduler.JobState.Revealing);
    }

    function postVerdictRostered(
        bytes32 job,
        bytes calldata deal,
        uint256 head,
        IJobScheduler.SeatOpening[] calldata openings,
        uint32 accepted
    ) external {
        Head kept = _jobs[job].head;
        if (!kept.isRostered()) return postVerdict(job, deal, openings, accepted);
        Openings.check(openings);
        (TermsAt terms, address requester, bytes32 revision) = Deals.read(deal);
        if (Deals.jobOf(deal, revision) != job) revert IJobScheduler.WrongDeal(job);
        bytes32 roster = _rosterHash(job, openings);
        _checkRoster(job, kept, Head.wrap(head), revision, roster);
        // All openings are known: the roster is a hash of what they hash to.
        Head next = Endings.verdictPosted(
            Head.wrap(head), block.timestamp, terms, openings, type(uint256).max, accepted
        );
        // The nodes have no slots yet, which a follow-up will look at.
        _jobs[job].head = Heads.sealed_(next, revision, roster, next.state());
        _payVerdict(job, Head.wrap(head), terms, requester, openings, accepted);
        Logs.verdictPosted(job, openings, accepted);
    }

    /// As `IJobScheduler` says.
    function postVerdict(
        bytes32 job,
        bytes calldata deal,
        IJobScheduler.SeatOpening[] calldata openings,
        uint32 accepted
    ) public virtual;

    function _seatSigned(
        bytes32 job,
        bytes32 revision,
        Head head,
        TermsAt terms,
        IJobScheduler.SignedBid[] calldata signedBids
    ) private returns (Head) {
        uint256[] memory roster = new uint256[](4 * terms.concurrency());
        bytes32 domain = _domain();
        address last = address(0);
        // An enum has no neighbours that an equality could slip past.
        // slither-disable-next-line incorrect-equality
        for (uint256 i = 0; i < signedBids.length && head.state() == IJobScheduler.JobState.Open;) {
            IJobScheduler.SignedBid calldata given = signedBids[i];
            if (given.node <= last) revert IJobScheduler.NodesOutOfOrder(given.node);
            last = given.node;
            if (block.timestamp <= uint256(given.signed.seen) && !_hasRevoked(job, last)) {
                head = _seatOne(domain, job, revision, head, terms, given, roster);
            }
            unchecked {
                ++i;
            }
        }
        // slither-disable-next-line incorrect-equality
        if (head.state() == IJobScheduler.JobState.Running) {
            return Heads.sealed_(head, revision, _rosterHash(roster), IJobScheduler.JobState.Running);
        }
        // Too few for all seats: the rest is filled step by step.
        for (uint256 seat = 0; seat < head.filled(); ++seat) {
            address node = address(uint160(roster[4 * seat + 1]));
            _slots[job][node] = Slots.make(roster[4 * seat + 2], 0, IJobScheduler.BidStatus.Seated, seat);
        }
        return head;
    }

    /// Whether a node took back its bid for this job.
    function _hasRevoked(bytes32 job, address node) private view returns (bool) {
        return _accounts[node].hasRevoked() && _revoked[job][node];
    }

    /// A bid as if it had been sent, and its acceptance.
    function _seatOne(
        bytes32 domain,
        bytes32 job,
        bytes32 revision,
        Head head,
        TermsAt terms,
        IJobScheduler.SignedBid calldata given,
        uint256[] memory roster
    ) private returns (Head next) {
        address node = given.node;
        _checkSigned(
            domain,
            job,
            revision,
            node,
            IJobScheduler.EventKind.BidPlaced,
            bytes32(uint256(given.price)),
            given.signed
        );
        States.Act memory act = States.Act({at: block.timestamp, author: node, requester: msg.sender});
        // All zero but for what follows: the revision is the job's own, and a job with a parent takes no signed bids.
        // slither-disable-next-line uninitialized-local
        Rules.Facts memory facts;
        facts.isCurrent = true;
        if (terms.minPaid() != 0) facts.paid = _accounts[node].paid();
        // Nobody has bid for a job that does not exist yet.
        // slither-disable-next-line uninitialized-local
        Slot slot;
        // Under `FirstCome` the bid would take its seat here; the acceptance refuses such a deal.
        // slither-disable-next-line unused-return
        (next, slot,) = Rules.bidPlaced(head, slot, act, facts, terms, given.price);
        emit IJobScheduler.BidPlaced(job, node, given.price);
        act.author = msg.sender;
        uint256 seat;
        (next, slot, seat) = _accept(job, next, act, slot, node, terms, false);
        // A value that stands for no seat, and not an amount.
        // slither-disable-next-line incorrect-equality
        if (seat == Rules.NO_SEAT) {
            _slots[job][node] = slot;
        } else {
            // A seat is below 31.
            unchecked {
                (roster[4 * seat], roster[4 * seat + 1], roster[4 * seat + 2]) =
                (seat, uint160(node), given.price);
            }
        }
    }

    function _rosterHash(uint256[] memory words) private pure returns (bytes32 hash) {
        assembly ("memory-safe") {
            hash := keccak256(add(words, 32), shl(5, mload(words)))
        }
    }

    /// Of the holders that openings name and the commitments that they hash to.
    function _rosterHash(bytes32 job, IJobScheduler.SeatOpening[] calldata openings)
        private
        view
        returns (bytes32 hash)
    {
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
