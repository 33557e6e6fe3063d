// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IJobScheduler} from "../../src/IJobScheduler.sol";
import {Head, Slot, Slots} from "../../src/Packing.sol";
import {Rules} from "../../src/Rules.sol";
import {States} from "../../src/States.sol";
import {TermsAt} from "../../src/Deals.sol";
import {Endings} from "../../src/Endings.sol";
import {Openings} from "../../src/Openings.sol";
import {Terms} from "./Terms.sol";

/// One job in storage, and `Rules` asked about events on it as `JobScheduler` asks, without changing it.
contract RulesHarness {
    /// An event and its fields, as in `src/domain/event.rs`.
    struct Event {
        IJobScheduler.EventKind kind;
        IJobScheduler.Terms terms;
        uint96 price;
        address node;
        bytes32 commitment;
        IJobScheduler.SeatOpening[] openings;
        uint256 accepted;
        uint256 remarkLength;
    }

    struct Stamp {
        address author;
        uint256 at;
        bool isFunded;
        bool satInParent;
        bool isCurrent;
        uint256 paid;
    }

    /// The job after an event: its head, and the one slot that the event changed.
    struct Next {
        Head head;
        address node;
        Slot slot;
        uint256 seat;
    }

    bytes32 public job;
    address public requester;
    Head public head;
    mapping(address => Slot) public slots;
    address[] public holders;
    bool private isShared;

    /// `isShared_` says whether several seats reported a failure for which nodes are not to blame.
    function load(bytes32 job_, address requester_, Head head_, address[] calldata holders_, bool isShared_)
        external
    {
        (job, requester, head, holders) = (job_, requester_, head_, holders_);
        isShared = isShared_;
    }

    function put(address node, Slot slot) external {
        slots[node] = slot;
    }

    /// `agreed` are the job's terms.
    function step(Event calldata event_, IJobScheduler.Terms calldata agreed, Stamp calldata stamp)
        external
        view
        returns (Next memory next)
    {
        TermsAt deal = Terms.place(agreed);
        IJobScheduler.EventKind kind = event_.kind;
        States.Act memory act = States.Act({at: stamp.at, author: stamp.author, requester: requester});
        next = Next({head: head, node: stamp.author, slot: slots[stamp.author], seat: Rules.NO_SEAT});
        if (kind == IJobScheduler.EventKind.Submitted) {
            revert IJobScheduler.JobExists(job);
        } else if (kind == IJobScheduler.EventKind.DealUpdated) {
            next.head = Rules.dealUpdated(head, act, deal.parent(), Terms.place(event_.terms));
            if (!stamp.isFunded) revert IJobScheduler.NotFunded(stamp.author, 0, 0);
        } else if (kind == IJobScheduler.EventKind.Cancelled) {
            next.head = Rules.cancelled(head, act);
        } else if (kind == IJobScheduler.EventKind.BidPlaced) {
            bidPlaced(next, act, event_.price, deal, stamp);
        } else if (kind == IJobScheduler.EventKind.BidWithdrawn) {
            next.slot = Rules.bidWithdrawn(head, next.slot, stamp.at, stamp.author);
        } else if (kind == IJobScheduler.EventKind.BidAccepted) {
            next.node = event_.node;
            (next.head, next.slot, next.seat) =
                Rules.bidAccepted(head, slots[event_.node], act, event_.node, deal, stamp.isFunded, false);
        } else if (kind == IJobScheduler.EventKind.BidRejected) {
            next.node = event_.node;
            next.slot = Rules.bidRejected(head, slots[event_.node], act, event_.node);
        } else if (kind == IJobScheduler.EventKind.FailureReported) {
            bool isHolder = seatOf(stamp.author) != Rules.NO_SEAT;
            (next.head, next.slot,) = Rules.failureReported(head, next.slot, stamp.at, stamp.author, isHolder);
        } else {
            later(next, event_, deal, act);
        }
    }

    function bidPlaced(
        Next memory next,
        States.Act memory act,
        uint256 price_,
        TermsAt deal,
        Stamp calldata stamp
    ) private view {
        Rules.Facts memory facts = Rules.Facts({
            revision: 0, isCurrent: stamp.isCurrent, paid: stamp.paid, satInParent: stamp.satInParent
        });
        (next.head, next.slot, next.seat) = Rules.bidPlaced(head, next.slot, act, facts, deal, price_);
        if (next.seat != Rules.NO_SEAT && !stamp.isFunded) revert IJobScheduler.NotFunded(act.author, 0, 0);
    }

    function later(Next memory next, Event calldata event_, TermsAt deal, States.Act memory act)
        private
        view
    {
        IJobScheduler.EventKind kind = event_.kind;
        bool isHolder = seatOf(act.author) != Rules.NO_SEAT;
        if (kind == IJobScheduler.EventKind.Committed) {
            (next.head, next.slot) =
                Rules.committed(head, next.slot, act.at, act.author, isHolder, event_.commitment);
        } else if (kind == IJobScheduler.EventKind.SecretPublished) {
            next.head = secretPublished(event_, deal, act);
        } else if (kind == IJobScheduler.EventKind.Stopped) {
            next.head = Rules.stopped(head, act);
        } else if (kind == IJobScheduler.EventKind.Revealed) {
            IJobScheduler.SeatOpening calldata given = event_.openings[0];
            bytes32 commitment =
                Openings.commitment(0, address(0), job, given.seat, given.node, given.opening);
            next.head = Rules.revealed(head, slots[given.node], act.at, given, commitment);
        } else if (kind == IJobScheduler.EventKind.VerdictPosted) {
            next.head = verdictPosted(event_, deal, act.at);
        } else if (kind == IJobScheduler.EventKind.Expired) {
            (next.head,,) = Endings.expired(head, act.at, isShared);
        } else {
            assert(kind == IJobScheduler.EventKind.Remarked);
            Rules.remarked(slots[event_.node], act, event_.node, event_.remarkLength);
        }
    }

    function verdictPosted(Event calldata event_, TermsAt deal, uint256 at) private view returns (Head) {
        IJobScheduler.SeatOpening[] calldata openings = event_.openings;
        bytes32[] memory commitments = Openings.commitments(0, address(0), job, openings);
        uint256 known = 0;
        for (uint256 i = 0; i < openings.length; ++i) {
            Slot expected = Slots.ofCommitment(commitments[i], openings[i].price, openings[i].seat);
            if (slots[openings[i].node].equals(expected)) known |= 1 << i;
        }
        return Endings.verdictPosted(head, at, deal, openings, known, event_.accepted);
    }

    /// The secret is where a commitment would be, and each seat's commitment is the result hash of an opening.
    function secretPublished(Event calldata event_, TermsAt deal, States.Act memory act)
        private
        view
        returns (Head)
    {
        bytes32[] memory commitments = new bytes32[](event_.openings.length);
        for (uint256 i = 0; i < commitments.length; ++i) {
            commitments[i] = event_.openings[i].opening.resultHash;
        }
        return Rules.secretPublished(head, act, deal, event_.commitment, commitments);
    }

    function seatOf(address node) private view returns (uint256) {
        for (uint256 i = 0; i < holders.length; ++i) {
            if (holders[i] == node) return i;
        }
        return Rules.NO_SEAT;
    }
}
