// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {TermsAt} from "./Deals.sol";
import {IJobScheduler} from "./IJobScheduler.sol";
import {Openings} from "./Openings.sol";
import {Head, Heads, Slot, Slots} from "./Packing.sol";
import {States} from "./States.sol";
import {TermRules} from "./TermRules.sol";
import {Verdicts} from "./Verdicts.sol";

/// @title What each event needs and does
/// @notice The twin of `src/rules/transition.rs`, function by function and check by check; verdicts and expiries are in
/// `Endings`. The first failure is the answer, so the order is part of the rules: the state, seen at the event's time,
/// allows the event; the author's role; the time; amounts, bids and seats; hashes. A function looks at the head of a job
/// and at the one bid or seat that the event names; the verdict is the exception.
library Rules {
    /// What a bid needs to know beyond the job: whether the revision it names is the job's, and the bidder's record.
    struct Facts {
        bytes32 revision;
        bool isCurrent;
        uint256 paid;
        bool satInParent;
    }

    uint256 internal constant MAX_SPEC_BYTES = 32 * 1024;
    uint256 internal constant MAX_REMARK_BYTES = 256;
    /// The seat number of a bid that took no seat.
    uint256 internal constant NO_SEAT = 255;
    /// In place of a seat: there is nothing to accept, and nothing happened.
    uint256 internal constant PASSED = 256;

    // The requester.

    function dealUpdated(Head head, States.Act memory act, bytes32 parent, TermsAt next)
        internal
        pure
        returns (Head)
    {
        unfilled(head, act);
        TermRules.validate(next);
        if (next.parent() != parent) TermRules.refuse(IJobScheduler.Term.Parent);
        if (head.epoch() == Heads.MAX_EPOCH) TermRules.refuse(IJobScheduler.Term.Epoch);
        unchecked {
            return Heads.make(next, head.changedAt(), head.epoch() + 1);
        }
    }

    function cancelled(Head head, States.Act memory act) internal pure returns (Head) {
        unfilled(head, act);
        return head.withState(IJobScheduler.JobState.Cancelled);
    }

    function unfilled(Head head, States.Act memory act) private pure {
        States.inState(head, act.at, IJobScheduler.JobState.Open);
        States.byRequester(act);
        States.until(head.deadline(), act.at);
        if (head.filled() != 0) revert IJobScheduler.SeatsTaken(head.filled());
    }

    function stopped(Head head, States.Act memory act) internal pure returns (Head) {
        States.inState(head, act.at, IJobScheduler.JobState.Running);
        States.byRequester(act);
        States.until(head.deadline(), act.at);
        return head.withState(IJobScheduler.JobState.Cancelled);
    }

    /// `commitments` are those of all seats that have committed, ascending by seat.
    function secretPublished(
        Head head,
        States.Act memory act,
        TermsAt terms,
        bytes32 secret,
        bytes32[] memory commitments
    ) internal pure returns (Head) {
        (IJobScheduler.JobState state, uint256 drawBy) = States.stateAt(head, act.at);
        if (state != IJobScheduler.JobState.Revealing) revert IJobScheduler.WrongState(state);
        if (head.audit() != IJobScheduler.AuditStage.Undrawn) revert IJobScheduler.NoDrawDue();
        States.byRequester(act);
        States.until(drawBy, act.at);
        uint256 audit = terms.audit();
        if ((uint256(keccak256(abi.encode(secret))) ^ audit) >> 16 != 0) revert IJobScheduler.WrongSecret();
        uint256 draw = uint256(keccak256(abi.encodePacked(secret, commitments)));
        unchecked {
            if (draw % 1000 >= (audit >> 5 & 0x7ff)) return head.spared(act.at);
            return head.drawn(act.at, terms.auditSeats(), act.at + terms.open());
        }
    }

    function remarked(Slot slot, States.Act memory act, address node, uint256 length) internal pure {
        States.byRequester(act);
        if (slot.isNone()) revert IJobScheduler.NoSuchBid(node);
        if (length > MAX_REMARK_BYTES) revert IJobScheduler.RemarkTooLong(length);
    }

    // Bids.

    /// The seat is `NO_SEAT` unless the bid took one itself.
    function bidPlaced(
        Head head,
        Slot slot,
        States.Act memory act,
        Facts memory facts,
        TermsAt terms,
        uint256 price
    ) internal pure returns (Head next, Slot bid, uint256 seat) {
        // slither-disable-next-line unused-return
        (IJobScheduler.JobState state,) = States.stateAt(head, act.at);
        if (state == IJobScheduler.JobState.Open) {
            States.until(head.deadline(), act.at);
        } else if (state != IJobScheduler.JobState.Running || !takesRefills(head, act.at, terms)) {
            revert IJobScheduler.WrongState(state);
        }
        if (!facts.isCurrent) revert IJobScheduler.WrongRevision(facts.revision);
        if (price > terms.price()) revert IJobScheduler.PriceTooHigh(terms.price());
        if (!isAllowed(terms, act.author)) revert IJobScheduler.NotAllowed(act.author);
        if (facts.paid < terms.minPaid()) {
            revert IJobScheduler.TooLittlePaid(facts.paid, terms.minPaid());
        }
        if (facts.satInParent) revert IJobScheduler.SatInParent(terms.parent());
        if (!mayBid(head, slot)) revert IJobScheduler.AlreadyBid(act.author);
        if (!head.isFirstCome()) {
            return (head, Slots.make(price, head.epoch(), IJobScheduler.BidStatus.Standing, 0), NO_SEAT);
        }
        seat = freeSeat(head, act.at, terms);
        next = seatFilled(head, seat, act.at, terms.run());
        bid = Slots.make(price, head.epoch(), IJobScheduler.BidStatus.Seated, seat);
    }

    /// A node without a bid, or with one that is void, withdrawn or skipped.
    function mayBid(Head head, Slot slot) private pure returns (bool) {
        IJobScheduler.BidStatus status = slot.status();
        return slot.isNone() || status == IJobScheduler.BidStatus.Withdrawn
            || status == IJobScheduler.BidStatus.Skipped
            || (slot.epoch() != head.epoch() && status != IJobScheduler.BidStatus.Committed);
    }

    /// A binary search: the list ascends, and whoever bids pays for its length in calldata alone.
    function isAllowed(TermsAt terms, address node) private pure returns (bool) {
        unchecked {
            uint256 low = 0;
            uint256 high = terms.allowed();
            if (high == 0) return true;
            while (low < high) {
                uint256 middle = (low + high) / 2;
                uint256 found = terms.allowedNode(middle);
                if (found == uint160(node)) return true;
                if (found < uint160(node)) low = middle + 1;
                else high = middle;
            }
            return false;
        }
    }

    function bidWithdrawn(Head head, Slot slot, uint256 at, address node) internal pure returns (Slot) {
        States.inState(head, at, IJobScheduler.JobState.Open);
        States.until(head.deadline(), at);
        standing(head, slot, node);
        return slot.withStatus(IJobScheduler.BidStatus.Withdrawn);
    }

    function standing(Head head, Slot slot, address node) private pure {
        if (slot.isNone()) revert IJobScheduler.NoSuchBid(node);
        if (!isStanding(head, slot)) revert IJobScheduler.BidNotStanding(node);
    }

    function acceptanceTime(Head head, States.Act memory act) private pure {
        // slither-disable-next-line unused-return
        (IJobScheduler.JobState state,) = States.stateAt(head, act.at);
        bool isOpen = state == IJobScheduler.JobState.Open;
        if (!isOpen && state != IJobScheduler.JobState.Running) revert IJobScheduler.WrongState(state);
        States.byRequester(act);
        States.until(isOpen ? head.deadline() : States.refillBy(head), act.at);
    }

    /// Whether this bid stands.
    function isStanding(Head head, Slot slot) internal pure returns (bool) {
        return slot.status() == IJobScheduler.BidStatus.Standing && slot.epoch() == head.epoch();
    }

    /// The seat is `NO_SEAT` when the bid was skipped, and `PASSED`, if that will do, when no seat is free or the bid does not
    /// exist, was accepted, skipped or rejected before.
    function bidAccepted(
        Head head,
        Slot slot,
        States.Act memory act,
        address node,
        TermsAt terms,
        bool isFunded,
        bool mayPass
    ) internal pure returns (Head next, Slot bid, uint256 seat) {
        acceptanceTime(head, act);
        if (head.isFirstCome()) revert IJobScheduler.FirstComeDeal();
        seat = seatToFill(head, act.at, terms);
        bool isOver = slot.status() > IJobScheduler.BidStatus.Withdrawn;
        // A value that stands for no seat, and not an amount.
        // slither-disable-next-line incorrect-equality
        if (seat == NO_SEAT || isOver || slot.isNone()) {
            if (mayPass) return (head, slot, PASSED);
            // slither-disable-next-line incorrect-equality
            if (seat == NO_SEAT) revert IJobScheduler.NoSeatFree();
            if (isOver) revert IJobScheduler.BidNotStanding(node);
            revert IJobScheduler.NoSuchBid(node);
        }
        if (!isStanding(head, slot) || !isFunded) {
            return (head, slot.withStatus(IJobScheduler.BidStatus.Skipped), NO_SEAT);
        }
        next = seatFilled(head, seat, act.at, terms.run());
        bid = Slots.make(slot.price(), slot.epoch(), IJobScheduler.BidStatus.Seated, seat);
    }

    function bidRejected(Head head, Slot slot, States.Act memory act, address node)
        internal
        pure
        returns (Slot)
    {
        acceptanceTime(head, act);
        standing(head, slot, node);
        return slot.withStatus(IJobScheduler.BidStatus.Rejected);
    }

    /// Whether a running job takes bids. A failed seat takes new ones: few jobs begin with more bids than seats.
    function takesRefills(Head head, uint256 at, TermsAt terms) private pure returns (bool) {
        return head.isFirstCome() || seatToFill(head, at, terms) != NO_SEAT;
    }

    function freeSeat(Head head, uint256 at, TermsAt terms) private pure returns (uint256 seat) {
        seat = seatToFill(head, at, terms);
        if (seat == NO_SEAT) revert IJobScheduler.NoSeatFree();
    }

    /// The next seat to fill, if there is one: a new one while the job is open, the lowest failed one while it runs and
    /// there is time left for a whole run.
    function seatToFill(Head head, uint256 at, TermsAt terms) private pure returns (uint256) {
        unchecked {
            uint256 next = head.filled();
            if (next < head.asked()) return next;
            uint256 failed = head.failed();
            // Seats of the first wave stay as they are once there is a second.
            if (head.audit() == IJobScheduler.AuditStage.Drawn) {
                failed = failed >> terms.concurrency() << terms.concurrency();
            }
            if (failed == 0 || at > States.refillBy(head)) return NO_SEAT;
            return Verdicts.popcount((failed & (~failed + 1)) - 1);
        }
    }

    function seatFilled(Head head, uint256 seat, uint256 at, uint256 run) internal pure returns (Head next) {
        unchecked {
            bool isNew = seat == head.filled();
            next = (isNew ? head.withOneMoreFilled() : head.withoutFailed(seat)).withChangedAt(at);
            if (isNew && seat + 1 == head.asked()) {
                next = next.withState(IJobScheduler.JobState.Running).withDeadline(at + run);
            }
        }
    }

    // Seats.

    /// The author's seat, if it has neither committed nor failed and may still do either. `isHolder` says whether
    /// nobody else holds the seat that the author reported a failure for.
    function seatToCommit(Head head, Slot slot, uint256 at, address node, bool isHolder)
        internal
        pure
        returns (uint256)
    {
        States.inState(head, at, IJobScheduler.JobState.Running);
        IJobScheduler.BidStatus status = slot.status();
        bool hasFailed = status == IJobScheduler.BidStatus.Failed;
        if (!slot.wasSeated() || (hasFailed && !isHolder)) revert IJobScheduler.NotSeatHolder(node);
        States.until(head.deadline(), at);
        if (hasFailed) revert IJobScheduler.SeatFailed(node);
        if (status == IJobScheduler.BidStatus.Committed) revert IJobScheduler.AlreadyCommitted(node);
        return slot.seat();
    }

    function failureReported(Head head, Slot slot, uint256 at, address node, bool isHolder)
        internal
        pure
        returns (Head next, Slot failed, uint256 seat)
    {
        seat = seatToCommit(head, slot, at, node, isHolder);
        next = head.withFailed(seat).withChangedAt(at);
        failed = slot.withStatus(IJobScheduler.BidStatus.Failed);
    }

    function committed(Head head, Slot slot, uint256 at, address node, bool isHolder, bytes32 commitment)
        internal
        pure
        returns (Head next, Slot sealed_)
    {
        uint256 seat = seatToCommit(head, slot, at, node, isHolder);
        next = head.withCommitted(1 << seat).withChangedAt(at);
        sealed_ = Slots.ofCommitment(commitment, slot.price(), seat);
    }

    /// Every seat at once, none having committed or failed before.
    function allCommitted(Head head, uint256 at) internal pure returns (Head) {
        States.inState(head, at, IJobScheduler.JobState.Running);
        States.until(head.deadline(), at);
        return head.withCommitted(head.all()).withChangedAt(at);
    }

    /// By anyone: the salt of an opening tells that its node gave it away. `slot` is that of the node that is said to hold
    /// the seat, and tells whether it does, and whether the price is right.
    function revealed(
        Head head,
        Slot slot,
        uint256 at,
        IJobScheduler.SeatOpening calldata given,
        bytes32 commitment
    ) internal pure returns (Head) {
        (IJobScheduler.JobState state, uint256 revealBy) = States.stateAt(head, at);
        if (state != IJobScheduler.JobState.Revealing) revert IJobScheduler.WrongState(state);
        States.drawn(head);
        States.until(revealBy, at);
        uint256 seat = given.seat;
        IJobScheduler.Opening calldata opening = given.opening;
        if (head.revealed() >> seat & 1 != 0) revert IJobScheduler.AlreadyRevealed(seat);
        bool isTrue = slot.equals(Slots.ofCommitment(commitment, given.price, seat));
        Openings.checkOpening(head, seat, isTrue, uint256(opening.fingerprint), uint256(opening.summary));
        return head.withRevealed(1 << seat);
    }

    /// Checks that this is the holder of the seat, its price, and its commitment if it has committed.
    function checkHolder(Head head, Slot slot, IJobScheduler.SeatHolder calldata holder) internal pure {
        uint256 seat = holder.seat;
        bool hasCommitted = head.committed() >> seat & 1 != 0;
        Slot expected = hasCommitted
            ? Slots.ofCommitment(holder.commitment, holder.price, seat)
            : Slots.make(holder.price, head.epoch(), IJobScheduler.BidStatus.Seated, seat);
        if (!slot.equals(expected)) revert IJobScheduler.WrongHolder(seat);
    }
}
