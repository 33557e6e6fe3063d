// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Fingerprints} from "./Fingerprints.sol";
import {IJobScheduler} from "./IJobScheduler.sol";
import {Head, Heads, Slot, Slots} from "./Packing.sol";
import {Verdicts} from "./Verdicts.sol";

/// @title What each event needs and does
/// @notice The twin of `src/rules/transition.rs`, function by function and check by check. The first failure is the
/// answer, so the order is part of the rules: the state, seen at the event's time, allows the event; the author's
/// role; the time; amounts, bids and seats; hashes. A function looks at the head of the job and at the one bid or seat
/// that the event names; the verdict is the exception.
///
/// Acting is allowed while t <= deadline, expiring when t > deadline.
library Rules {
    /// Who acts and when, and whose job it is.
    struct Act {
        uint256 at;
        address author;
        address requester;
    }

    /// What a bid needs to know beyond the job: whether the revision it names is the job's, and the bidder's record.
    struct Facts {
        bytes32 revision;
        bool isCurrent;
        uint256 paidJobs;
        bool satInParent;
    }

    /// What a run may take beyond its timeout before commits close.
    uint256 internal constant RUN_MARGIN = 60;
    uint256 internal constant MIN_REVEAL = 60;
    uint256 internal constant MAX_DURATION = 30 days;
    uint256 internal constant MAX_SEATS = 31;
    uint256 internal constant MAX_ALLOWED = 64;
    uint256 internal constant MAX_BOND_FACTOR = 10;
    uint256 internal constant MAX_BIDS = 1024;
    uint256 internal constant MAX_SPEC_BYTES = 32 * 1024;
    uint256 internal constant MAX_REMARK_BYTES = 256;
    /// What stands for a seat where a bid took none.
    uint256 internal constant NO_SEAT = 255;

    // The terms.

    /// Checks every term, in the order of the fields, but for those that their types bound.
    function validate(IJobScheduler.Terms calldata terms) internal pure {
        unchecked {
            uint256 n = terms.concurrency;
            uint256 price = terms.price;
            uint256 timeout = terms.timeout;
            uint256 limit = terms.escalationLimit;
            within(n, 1, MAX_SEATS, IJobScheduler.Term.Concurrency);
            within(terms.confidence, 1, n, IJobScheduler.Term.Confidence);
            within(terms.relativePermille, 0, 1000, IJobScheduler.Term.RelativePermille);
            within(terms.bond, price, MAX_BOND_FACTOR * price, IJobScheduler.Term.Bond);
            within(escrow(terms), 0, type(uint96).max, IJobScheduler.Term.Price);
            within(terms.open, 1, MAX_DURATION, IJobScheduler.Term.Open);
            within(timeout, 1, MAX_DURATION, IJobScheduler.Term.Timeout);
            within(terms.run, timeout + RUN_MARGIN, MAX_DURATION, IJobScheduler.Term.Run);
            within(terms.reveal, MIN_REVEAL, MAX_DURATION, IJobScheduler.Term.Reveal);
            validateAllowList(terms.allowList);
            if (limit != 0) within(limit, n, MAX_SEATS, IJobScheduler.Term.EscalationLimit);
        }
    }

    function within(uint256 value, uint256 least, uint256 most, IJobScheduler.Term term) private pure {
        if (value < least || value > most) revert IJobScheduler.InvalidTerms(term);
    }

    /// The head of a job of these terms, which are checked first.
    function opened(IJobScheduler.Terms calldata terms, uint256 at) internal pure returns (Head) {
        validate(terms);
        // No deadline is later than submission + open + run.
        if (at > type(uint32).max - 2 * MAX_DURATION) refuseTerm(IJobScheduler.Term.Open);
        return Heads.make(terms, at, 0, 0);
    }

    /// The hash of the terms, which every bid names: keccak256(abi.encode(terms)), read as it lies in calldata. The
    /// offset of the allow-list is part of what is hashed, so that terms laid out in another way have another
    /// hash; `checkEncoding` tells them.
    function revisionOf(IJobScheduler.Terms calldata terms) internal pure returns (bytes32 revision) {
        uint256 size = encodedSize(terms);
        assembly ("memory-safe") {
            let start := mload(0x40)
            mstore(start, 0x20)
            calldatacopy(add(start, 32), terms, size)
            revision := keccak256(start, add(size, 32))
        }
    }

    /// The bytes that terms take: 19 words, the length of the allow-list, the list.
    function encodedSize(IJobScheduler.Terms calldata terms) internal pure returns (uint256) {
        unchecked {
            return 640 + 32 * terms.allowList.length;
        }
    }

    /// Checks that terms are laid out, and their words filled, as `abi.encode` would. Reading a field checks it too;
    /// here are those that no rule reads at a submission.
    function checkEncoding(IJobScheduler.Terms calldata terms) internal pure {
        bool isCanonical;
        assembly ("memory-safe") {
            let tooWide := or(shr(32, calldataload(add(terms, 64))), gt(calldataload(add(terms, 128)), 2))
            tooWide := or(tooWide, shr(1, or(calldataload(add(terms, 160)), calldataload(add(terms, 448)))))
            tooWide := or(tooWide, shr(32, calldataload(add(terms, 512))))
            isCanonical := and(iszero(tooWide), eq(calldataload(add(terms, 480)), 608))
        }
        if (!isCanonical) refuseTerm(IJobScheduler.Term.Encoding);
    }

    /// What a node commits to.
    function commitmentOf(
        uint256 chainId,
        address scheduler,
        bytes32 job,
        uint256 seat,
        address node,
        IJobScheduler.Opening calldata opening
    ) internal pure returns (bytes32) {
        return keccak256(
            abi.encode(
                chainId,
                scheduler,
                job,
                seat,
                node,
                opening.resultHash,
                opening.outputRoot,
                opening.exitCode,
                opening.fingerprint,
                opening.salt
            )
        );
    }

    function refuseTerm(IJobScheduler.Term term) private pure {
        revert IJobScheduler.InvalidTerms(term);
    }

    function validateAllowList(address[] calldata allowList) private pure {
        unchecked {
            uint256 length = allowList.length;
            if (length > MAX_ALLOWED) refuseTerm(IJobScheduler.Term.AllowList);
            uint256 last = 0;
            for (uint256 i = 0; i < length; ++i) {
                uint256 node = uint160(allowList[i]);
                if (node <= last && i != 0) refuseTerm(IJobScheduler.Term.AllowList);
                last = node;
            }
        }
    }

    /// What a requester locks: N x price + keeper fee.
    function escrow(IJobScheduler.Terms calldata terms) internal pure returns (uint256) {
        unchecked {
            return uint256(terms.concurrency) * terms.price + terms.keeperFee;
        }
    }

    /// The seats of the follow-up of an inconclusive job, or none when its deal allows no larger one.
    function escalatedSeats(IJobScheduler.Terms calldata terms) internal pure returns (uint256) {
        unchecked {
            uint256 seats = 2 * uint256(terms.concurrency) + 1;
            if (seats > terms.escalationLimit) seats = terms.escalationLimit;
            return seats > terms.concurrency ? seats : 0;
        }
    }

    /// The revision of a parent's terms with other seats, as those of its follow-up.
    function escalatedRevision(IJobScheduler.Terms calldata terms, uint256 seats, bytes32 parent)
        internal
        pure
        returns (bytes32 revision)
    {
        uint256 size = encodedSize(terms);
        assembly ("memory-safe") {
            let start := mload(0x40)
            mstore(start, 0x20)
            calldatacopy(add(start, 32), terms, size)
            mstore(add(start, 32), seats)
            mstore(add(start, 608), parent)
            revision := keccak256(start, add(size, 32))
        }
    }

    // The state.

    /// How many seats must agree, or reveal, for a verdict: max(M, floor(N / 2) + 1).
    function quorum(Head head) internal pure returns (uint256) {
        unchecked {
            uint256 half = head.concurrency() / 2 + 1;
            uint256 confidence = head.confidence();
            return confidence > half ? confidence : half;
        }
    }

    /// Until when a failed seat of a running job can be given to another node: what is left must hold a whole run.
    function refillBy(Head head) internal pure returns (uint256) {
        unchecked {
            return head.deadline() - head.timeout() - RUN_MARGIN;
        }
    }

    /// When commits of a running job closed, seen at `t`; zero while some seat can still commit.
    function commitsClosedAt(Head head, uint256 t) internal pure returns (uint256) {
        bool isDone = head.committed() | head.failed() == head.all();
        if (isDone && (head.failed() == 0 || head.changedAt() > refillBy(head))) return head.changedAt();
        uint256 deadline = isDone ? refillBy(head) : head.deadline();
        return t > deadline ? deadline : 0;
    }

    /// The state at `t`, and the deadline of reveals: a running job reveals once commits have closed with a quorum.
    function stateAt(Head head, uint256 t)
        internal
        pure
        returns (IJobScheduler.JobState state, uint256 revealBy)
    {
        unchecked {
            state = head.state();
            if (state == IJobScheduler.JobState.Running) {
                uint256 closedAt = commitsClosedAt(head, t);
                if (closedAt != 0 && Verdicts.popcount(head.committed()) >= quorum(head)) {
                    return (IJobScheduler.JobState.Revealing, closedAt + head.reveal());
                }
            }
        }
    }

    function isTerminal(IJobScheduler.JobState state) internal pure returns (bool) {
        return state > IJobScheduler.JobState.Revealing;
    }

    /// Seats that have not failed.
    function liveSeats(Head head) internal pure returns (uint256) {
        unchecked {
            return ((1 << head.filled()) - 1) & ~head.failed();
        }
    }

    function inState(Head head, uint256 at, IJobScheduler.JobState wanted) private pure {
        (IJobScheduler.JobState state,) = stateAt(head, at);
        if (state != wanted) revert IJobScheduler.WrongState(state);
    }

    function byRequester(Act memory act) private pure {
        if (act.author != act.requester) revert IJobScheduler.NotRequester(act.requester);
    }

    function until(uint256 deadline, uint256 at) private pure {
        if (at > deadline) revert IJobScheduler.DeadlinePassed(deadline);
    }

    // The requester.

    function dealUpdated(Head head, Act memory act, bytes32 parent, IJobScheduler.Terms calldata next)
        internal
        pure
        returns (Head)
    {
        unfilled(head, act);
        validate(next);
        if (next.parent != parent) refuseTerm(IJobScheduler.Term.Parent);
        if (head.epoch() == Heads.MAX_EPOCH) refuseTerm(IJobScheduler.Term.Epoch);
        unchecked {
            return Heads.make(next, head.changedAt(), head.bids(), head.epoch() + 1);
        }
    }

    function cancelled(Head head, Act memory act) internal pure returns (Head) {
        unfilled(head, act);
        return head.withState(IJobScheduler.JobState.Cancelled);
    }

    function unfilled(Head head, Act memory act) private pure {
        inState(head, act.at, IJobScheduler.JobState.Open);
        byRequester(act);
        until(head.deadline(), act.at);
        if (head.filled() != 0) revert IJobScheduler.SeatsTaken(head.filled());
    }

    function stopped(Head head, Act memory act) internal pure returns (Head) {
        inState(head, act.at, IJobScheduler.JobState.Running);
        byRequester(act);
        until(head.deadline(), act.at);
        return head.withState(IJobScheduler.JobState.Cancelled);
    }

    function remarked(Slot slot, Act memory act, address node, uint256 length) internal pure {
        byRequester(act);
        if (slot.isNone()) revert IJobScheduler.NoSuchBid(node);
        if (length > MAX_REMARK_BYTES) revert IJobScheduler.RemarkTooLong(length);
    }

    // Bids.

    /// The seat is `NO_SEAT` unless the bid took one itself.
    function bidPlaced(
        Head head,
        Slot slot,
        Act memory act,
        Facts memory facts,
        IJobScheduler.Terms calldata terms,
        uint256 price
    ) internal pure returns (Head next, Slot bid, uint256 seat) {
        (IJobScheduler.JobState state,) = stateAt(head, act.at);
        if (!head.isFirstCome() || state != IJobScheduler.JobState.Running) {
            if (state != IJobScheduler.JobState.Open) revert IJobScheduler.WrongState(state);
            until(head.deadline(), act.at);
        }
        if (!facts.isCurrent) revert IJobScheduler.WrongRevision(facts.revision);
        if (price > terms.price) revert IJobScheduler.PriceTooHigh(terms.price);
        if (!isAllowed(terms.allowList, act.author)) revert IJobScheduler.NotAllowed(act.author);
        if (facts.paidJobs < terms.minPaidJobs) {
            revert IJobScheduler.TooFewPaidJobs(facts.paidJobs, terms.minPaidJobs);
        }
        if (facts.satInParent) revert IJobScheduler.SatInParent(terms.parent);
        next = head;
        if (slot.isNone()) {
            if (head.bids() >= MAX_BIDS) revert IJobScheduler.TooManyBids(MAX_BIDS);
            next = next.withOneMoreBid();
        } else if (slot.status() == IJobScheduler.BidStatus.Committed || slot.epoch() == head.epoch()) {
            revert IJobScheduler.AlreadyBid(act.author);
        }
        if (!head.isFirstCome()) {
            return (next, Slots.make(price, head.epoch(), IJobScheduler.BidStatus.Standing, 0), NO_SEAT);
        }
        seat = freeSeat(head, act.at);
        next = seatFilled(next, seat, act.at, terms.run);
        bid = Slots.make(price, head.epoch(), IJobScheduler.BidStatus.Seated, seat);
    }

    /// A binary search: the list ascends, and whoever bids pays for its length in calldata alone.
    function isAllowed(address[] calldata allowList, address node) private pure returns (bool) {
        unchecked {
            uint256 low = 0;
            uint256 high = allowList.length;
            if (high == 0) return true;
            while (low < high) {
                uint256 middle = (low + high) / 2;
                address found = allowList[middle];
                if (found == node) return true;
                if (found < node) low = middle + 1;
                else high = middle;
            }
            return false;
        }
    }

    function bidWithdrawn(Head head, Slot slot, uint256 at, address node) internal pure returns (Slot) {
        inState(head, at, IJobScheduler.JobState.Open);
        until(head.deadline(), at);
        standing(head, slot, node);
        return slot.withStatus(IJobScheduler.BidStatus.Withdrawn);
    }

    function standing(Head head, Slot slot, address node) private pure {
        if (slot.isNone()) revert IJobScheduler.NoSuchBid(node);
        if (slot.status() != IJobScheduler.BidStatus.Standing || slot.epoch() != head.epoch()) {
            revert IJobScheduler.BidNotStanding(node);
        }
    }

    function acceptanceTime(Head head, Act memory act) private pure {
        (IJobScheduler.JobState state,) = stateAt(head, act.at);
        bool isOpen = state == IJobScheduler.JobState.Open;
        if (!isOpen && state != IJobScheduler.JobState.Running) revert IJobScheduler.WrongState(state);
        byRequester(act);
        until(isOpen ? head.deadline() : refillBy(head), act.at);
    }

    /// The seat is `NO_SEAT` when the bid was passed over.
    function bidAccepted(Head head, Slot slot, Act memory act, address node, uint256 run, bool isFunded)
        internal
        pure
        returns (Head next, Slot bid, uint256 seat)
    {
        acceptanceTime(head, act);
        if (head.isFirstCome()) revert IJobScheduler.FirstComeDeal();
        seat = freeSeat(head, act.at);
        if (slot.isNone()) revert IJobScheduler.NoSuchBid(node);
        IJobScheduler.BidStatus status = slot.status();
        if (status > IJobScheduler.BidStatus.Withdrawn) revert IJobScheduler.BidNotStanding(node);
        bool stands = status == IJobScheduler.BidStatus.Standing && slot.epoch() == head.epoch();
        if (!stands || !isFunded) return (head, slot.withStatus(IJobScheduler.BidStatus.Skipped), NO_SEAT);
        next = seatFilled(head, seat, act.at, run);
        bid = Slots.make(slot.price(), slot.epoch(), IJobScheduler.BidStatus.Seated, seat);
    }

    function bidRejected(Head head, Slot slot, Act memory act, address node) internal pure returns (Slot) {
        acceptanceTime(head, act);
        standing(head, slot, node);
        return slot.withStatus(IJobScheduler.BidStatus.Rejected);
    }

    /// The next seat to fill: a new one while the job is open, the lowest failed one while it runs and there is
    /// time left for a whole run.
    function freeSeat(Head head, uint256 at) private pure returns (uint256) {
        unchecked {
            uint256 next = head.filled();
            if (next < head.concurrency()) return next;
            uint256 failed = head.failed();
            if (failed == 0 || at > refillBy(head)) revert IJobScheduler.NoSeatFree();
            return Verdicts.popcount((failed & (~failed + 1)) - 1);
        }
    }

    function seatFilled(Head head, uint256 seat, uint256 at, uint256 run) internal pure returns (Head next) {
        unchecked {
            bool isNew = seat == head.filled();
            next = (isNew ? head.withOneMoreFilled() : head.withoutFailed(seat)).withChangedAt(at);
            if (isNew && seat + 1 == head.concurrency()) {
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
        inState(head, at, IJobScheduler.JobState.Running);
        IJobScheduler.BidStatus status = slot.status();
        bool hasFailed = status == IJobScheduler.BidStatus.Failed;
        if (!slot.wasSeated() || (hasFailed && !isHolder)) revert IJobScheduler.NotSeatHolder(node);
        until(head.deadline(), at);
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
        inState(head, at, IJobScheduler.JobState.Running);
        until(head.deadline(), at);
        return head.withCommitted(head.all()).withChangedAt(at);
    }

    /// `seat` and `price` are what the author says; its slot tells whether they are right.
    function revealed(
        Head head,
        Slot slot,
        Act memory act,
        bool isHolder,
        uint256 seat,
        uint256 price,
        bytes32 commitment,
        bytes32 fingerprint
    ) internal pure returns (Head) {
        (IJobScheduler.JobState state, uint256 revealBy) = stateAt(head, act.at);
        if (state != IJobScheduler.JobState.Revealing) revert IJobScheduler.WrongState(state);
        bool hasFailed = slot.status() == IJobScheduler.BidStatus.Failed;
        if (!slot.wasSeated() || (hasFailed && !isHolder)) revert IJobScheduler.NotSeatHolder(act.author);
        until(revealBy, act.at);
        if (slot.status() != IJobScheduler.BidStatus.Committed) revert IJobScheduler.NotCommitted(seat);
        if (head.revealed() >> seat & 1 != 0) revert IJobScheduler.AlreadyRevealed(seat);
        checkOpening(head, slot, seat, price, commitment, fingerprint);
        return head.withRevealed(1 << seat);
    }

    /// Checks that `commitment`, which an opening hashes to, is that of the seat.
    function checkOpening(
        Head head,
        Slot slot,
        uint256 seat,
        uint256 price,
        bytes32 commitment,
        bytes32 fingerprint
    ) internal pure {
        if (head.committed() >> seat & 1 == 0) revert IJobScheduler.NotCommitted(seat);
        if (!slot.equals(Slots.ofCommitment(commitment, price, seat))) revert IJobScheduler.BadOpening(seat);
        if (!Fingerprints.isWellFormed(uint256(fingerprint))) revert IJobScheduler.BadFingerprint(seat);
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

    // The end.

    /// The job after a verdict with these openings, and the seats they are of. `slots` are the slots of the nodes
    /// named, `commitments` what the openings hash to.
    ///
    /// Openings revealed before are to be given again: the chain keeps that they were, not what they said.
    function verdictPosted(
        Head head,
        uint256 at,
        IJobScheduler.Terms calldata terms,
        IJobScheduler.SeatOpening[] calldata openings,
        Slot[] memory slots,
        bytes32[] memory commitments,
        uint256 accepted
    ) internal pure returns (Head next) {
        bool isLate = verdictBegins(head, at, openings);
        uint256 given = openingsGiven(head, isLate, openings, slots, commitments);
        enoughGiven(head, isLate, given);
        if (judged(terms, openings) != accepted) revert IJobScheduler.VerdictMismatch(accepted);
        return head.withRevealed(given)
            .withState(accepted == 0 ? IJobScheduler.JobState.Inconclusive : IJobScheduler.JobState.Verified);
    }

    /// Whether the deadline of reveals has passed.
    function verdictBegins(Head head, uint256 at, IJobScheduler.SeatOpening[] calldata openings)
        private
        pure
        returns (bool)
    {
        unchecked {
            (IJobScheduler.JobState state, uint256 revealBy) = stateAt(head, at);
            if (state != IJobScheduler.JobState.Revealing) revert IJobScheduler.WrongState(state);
            for (uint256 i = 1; i < openings.length; ++i) {
                if (openings[i - 1].seat >= openings[i].seat) {
                    revert IJobScheduler.OpeningsOutOfOrder(openings[i].seat);
                }
            }
            return at > revealBy;
        }
    }

    function openingsGiven(
        Head head,
        bool isLate,
        IJobScheduler.SeatOpening[] calldata openings,
        Slot[] memory slots,
        bytes32[] memory commitments
    ) private pure returns (uint256 given) {
        unchecked {
            uint256 tooLate = isLate ? head.committed() & ~head.revealed() : 0;
            for (uint256 i = 0; i < openings.length; ++i) {
                IJobScheduler.SeatOpening calldata opening = openings[i];
                uint256 seat = opening.seat;
                if (tooLate >> seat & 1 != 0) revert IJobScheduler.OpeningTooLate(seat);
                checkOpening(head, slots[i], seat, opening.price, commitments[i], opening.opening.fingerprint);
                given |= 1 << seat;
            }
        }
    }

    function enoughGiven(Head head, bool isLate, uint256 given) private pure {
        uint256 all = given | head.revealed();
        if (!isLate && all != head.committed()) {
            revert IJobScheduler.OpeningsMissing(head.committed() & ~all);
        }
        uint256 size = Verdicts.popcount(all);
        if (size < quorum(head)) revert IJobScheduler.QuorumNotRevealed(size, quorum(head));
        if (given != all) revert IJobScheduler.OpeningsMissing(all & ~given);
    }

    /// The seats that the rules accept over these openings; none when the job is inconclusive.
    ///
    /// The last tie of `ball` goes to the least keccak256(R, node), R being the keccak256 of all salts in seat order,
    /// which nobody knows before the last reveal.
    function judged(IJobScheduler.Terms calldata terms, IJobScheduler.SeatOpening[] calldata openings)
        private
        pure
        returns (uint256 seats)
    {
        unchecked {
            Verdicts.Question memory question = Verdicts.Question({
                asked: terms.concurrency,
                confidence: terms.confidence,
                toleranceKib: terms.toleranceKib,
                relativePermille: terms.relativePermille,
                method: terms.method,
                deterministic: terms.deterministic
            });
            (bool isDecided, uint256 runs) = Verdicts.gate(question, column(openings, 3));
            if (!isDecided) runs = Verdicts.score(question, column(openings, 6), orderKeys(openings));
            for (uint256 i = 0; i < openings.length; ++i) {
                if (runs >> i & 1 != 0) seats |= 1 << openings[i].seat;
            }
        }
    }

    function orderKeys(IJobScheduler.SeatOpening[] calldata openings)
        private
        pure
        returns (uint256[] memory keys)
    {
        unchecked {
            uint256[] memory salts = column(openings, 7);
            keys = column(openings, 1);
            assembly ("memory-safe") {
                mstore(0, keccak256(add(salts, 32), mul(mload(salts), 32)))
            }
            for (uint256 i = 0; i < keys.length; ++i) {
                uint256 node = keys[i];
                uint256 key;
                assembly ("memory-safe") {
                    mstore(32, shl(96, node))
                    key := keccak256(0, 52)
                }
                keys[i] = key;
            }
        }
    }

    /// One of the eight words of every opening: seat, node, price, result hash, output root, exit code, fingerprint,
    /// salt.
    function column(IJobScheduler.SeatOpening[] calldata openings, uint256 index)
        private
        pure
        returns (uint256[] memory words)
    {
        words = new uint256[](openings.length);
        assembly ("memory-safe") {
            let from := add(openings.offset, mul(index, 32))
            for { let i := 0 } lt(i, openings.length) { i := add(i, 1) } {
                mstore(add(add(words, 32), mul(i, 32)), calldataload(add(from, mul(i, 256))))
            }
        }
    }

    /// The job after an expiry, and the seats that get their bond back: those that went as far as there was time
    /// for.
    function expired(Head head, uint256 at) internal pure returns (Head next, uint256 due) {
        (IJobScheduler.JobState state, uint256 revealBy) = stateAt(head, at);
        if (isTerminal(state)) revert IJobScheduler.WrongState(state);
        if (state == IJobScheduler.JobState.Open) {
            if (at <= head.deadline()) revert IJobScheduler.DeadlineNotReached(head.deadline());
            return (head.withState(IJobScheduler.JobState.Expired), liveSeats(head));
        }
        next = head.withState(IJobScheduler.JobState.Failed);
        if (state == IJobScheduler.JobState.Revealing) {
            if (at <= revealBy) revert IJobScheduler.DeadlineNotReached(revealBy);
            if (Verdicts.popcount(head.revealed()) >= quorum(head)) revert IJobScheduler.VerdictDue();
            return (next, head.revealed());
        }
        if (ableToCommit(head, at) >= quorum(head)) revert IJobScheduler.DeadlineNotReached(head.deadline());
        due = at > head.deadline() ? head.committed() : liveSeats(head);
    }

    /// How many seats of a running job have committed, or still can.
    function ableToCommit(Head head, uint256 at) private pure returns (uint256) {
        unchecked {
            if (at > head.deadline()) return Verdicts.popcount(head.committed());
            uint256 dead = at > refillBy(head) ? Verdicts.popcount(head.failed()) : 0;
            return head.concurrency() - dead;
        }
    }
}
