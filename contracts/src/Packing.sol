// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IJobScheduler} from "./IJobScheduler.sol";
import {TermsAt} from "./Deals.sol";

/// What a job's rules look at, in one word; zero when there is no such job. From the lowest bit: seats asked for 5,
/// confidence 5, acceptance 1, rostered 1, state 3, filled 5, failed 31, committed 31, revealed 31, timeout 22,
/// reveal 22, whether any seat ever failed 1, audit 2, unused 8, epoch 24, deadline 32, changedAt 32. Times are Unix seconds
/// until 2106; durations are at most
/// 30 days.
///
/// Of a rostered job it is `Heads.sealed_`: the rostered bit, the state, and the other bits of a hash.
type Head is uint256;

/// What became of a node in a job, in one word; zero when it never bid. Before its commitment: price 96, epoch 24,
/// status 3, seat 5. After it: the top bit, and 255 bits of the hash of commitment, price and seat, which whoever
/// needs them gives again.
type Slot is uint256;

/// A party's money and record, in one word: free 96; how much it was paid 96; then counters of 21 bits: seats, rejected,
/// failures; then whether it ever took back a signed bid 1. All but what is free stop at their largest.
type Purse is uint256;

using Heads for Head global;
using Slots for Slot global;
using Purses for Purse global;

/// @title The fields of a `Head`
library Heads {
    uint256 internal constant MAX_EPOCH = (1 << 24) - 1;
    uint256 private constant SEATS = (1 << 31) - 1;

    function isNone(Head head) internal pure returns (bool) {
        return Head.unwrap(head) == 0;
    }

    function equals(Head head, Head other) internal pure returns (bool) {
        return Head.unwrap(head) == Head.unwrap(other);
    }

    /// How many seats are asked for: those of the first wave, and of the second once it was drawn.
    function asked(Head head) internal pure returns (uint256) {
        return Head.unwrap(head) & 31;
    }

    function confidence(Head head) internal pure returns (uint256) {
        return Head.unwrap(head) >> 5 & 31;
    }

    function isFirstCome(Head head) internal pure returns (bool) {
        return Head.unwrap(head) >> 10 & 1 != 0;
    }

    function isRostered(Head head) internal pure returns (bool) {
        return Head.unwrap(head) >> 11 & 1 != 0;
    }

    /// As stored: never `Revealing`.
    function state(Head head) internal pure returns (IJobScheduler.JobState) {
        return IJobScheduler.JobState(Head.unwrap(head) >> 12 & 7);
    }

    function filled(Head head) internal pure returns (uint256) {
        return Head.unwrap(head) >> 15 & 31;
    }

    function failed(Head head) internal pure returns (uint256) {
        return Head.unwrap(head) >> 20 & SEATS;
    }

    function committed(Head head) internal pure returns (uint256) {
        return Head.unwrap(head) >> 51 & SEATS;
    }

    function revealed(Head head) internal pure returns (uint256) {
        return Head.unwrap(head) >> 82 & SEATS;
    }

    function timeout(Head head) internal pure returns (uint256) {
        return Head.unwrap(head) >> 113 & (1 << 22) - 1;
    }

    function reveal(Head head) internal pure returns (uint256) {
        return Head.unwrap(head) >> 135 & (1 << 22) - 1;
    }

    function audit(Head head) internal pure returns (IJobScheduler.AuditStage) {
        return IJobScheduler.AuditStage(Head.unwrap(head) >> 158 & 3);
    }

    function epoch(Head head) internal pure returns (uint256) {
        return Head.unwrap(head) >> 168 & MAX_EPOCH;
    }

    /// Of bids while the job is open, then of commitments.
    function deadline(Head head) internal pure returns (uint256) {
        return Head.unwrap(head) >> 192 & type(uint32).max;
    }

    /// When the newest seat was filled, failed or committed, or the audit was drawn; the submission, before any was.
    function changedAt(Head head) internal pure returns (uint256) {
        return Head.unwrap(head) >> 224;
    }

    /// Every seat asked for.
    function all(Head head) internal pure returns (uint256) {
        unchecked {
            return (1 << asked(head)) - 1;
        }
    }

    /// The head of an open job of these terms, none of whose seats is filled.
    function make(TermsAt terms, uint256 submittedAt, uint256 epoch_) internal pure returns (Head) {
        unchecked {
            IJobScheduler.AuditStage stage =
                terms.audit() == 0 ? IJobScheduler.AuditStage.None : IJobScheduler.AuditStage.Undrawn;
            return Head.wrap(
                terms.concurrency() | terms.confidence() << 5 | terms.acceptance() << 10 | terms.timeout()
                    << 113 | terms.reveal() << 135 | uint256(stage) << 158 | epoch_ << 168
                    | (submittedAt + terms.open()) << 192 | submittedAt << 224
            );
        }
    }

    /// What is kept of a rostered job in place of its head: a hash of head, revision and roster, in which the
    /// rostered bit is set and the state is that of the job, which may be `Revealing` here.
    function sealed_(Head head, bytes32 revision, bytes32 roster, IJobScheduler.JobState state_)
        internal
        pure
        returns (Head result)
    {
        assembly ("memory-safe") {
            let start := mload(0x40)
            mstore(start, head)
            mstore(add(start, 32), revision)
            mstore(add(start, 64), roster)
            result := or(and(keccak256(start, 96), not(0x7800)), or(0x800, shl(12, state_)))
        }
    }

    function withState(Head head, IJobScheduler.JobState value) internal pure returns (Head) {
        return Head.wrap(Head.unwrap(head) & ~(uint256(7) << 12) | uint256(value) << 12);
    }

    /// The draw spared the job: reveals begin.
    function spared(Head head, uint256 at) internal pure returns (Head) {
        return withChangedAt(withAudit(head, IJobScheduler.AuditStage.Spared), at);
    }

    /// The draw opened a second wave of `seats` more, whose bids are taken until `openBy`.
    function drawn(Head head, uint256 at, uint256 seats, uint256 openBy) internal pure returns (Head) {
        unchecked {
            Head open =
                withState(withAudit(head, IJobScheduler.AuditStage.Drawn), IJobScheduler.JobState.Open);
            return withChangedAt(withDeadline(Head.wrap(Head.unwrap(open) + seats), openBy), at);
        }
    }

    function withAudit(Head head, IJobScheduler.AuditStage stage) private pure returns (Head) {
        return Head.wrap(Head.unwrap(head) & ~(uint256(3) << 158) | uint256(stage) << 158);
    }

    function withOneMoreFilled(Head head) internal pure returns (Head) {
        unchecked {
            return Head.wrap(Head.unwrap(head) + (1 << 15));
        }
    }

    /// Whether some seat ever failed, also one that another node holds since.
    function hasFailures(Head head) internal pure returns (bool) {
        return Head.unwrap(head) >> 157 & 1 != 0;
    }

    function withFailed(Head head, uint256 seat) internal pure returns (Head) {
        return Head.wrap(Head.unwrap(head) | 1 << 157 | 1 << (20 + seat));
    }

    function withoutFailed(Head head, uint256 seat) internal pure returns (Head) {
        return Head.wrap(Head.unwrap(head) & ~(1 << (20 + seat)));
    }

    function withCommitted(Head head, uint256 seats) internal pure returns (Head) {
        return Head.wrap(Head.unwrap(head) | seats << 51);
    }

    function withRevealed(Head head, uint256 seats) internal pure returns (Head) {
        return Head.wrap(Head.unwrap(head) | seats << 82);
    }

    function withDeadline(Head head, uint256 at) internal pure returns (Head) {
        return Head.wrap(Head.unwrap(head) & ~(uint256(type(uint32).max) << 192) | at << 192);
    }

    function withChangedAt(Head head, uint256 at) internal pure returns (Head) {
        return Head.wrap(Head.unwrap(head) & type(uint224).max | at << 224);
    }
}

/// @title The fields of a `Slot`
library Slots {
    uint256 private constant COMMITTED = 1 << 255;

    function isNone(Slot slot) internal pure returns (bool) {
        return Slot.unwrap(slot) == 0;
    }

    function equals(Slot slot, Slot other) internal pure returns (bool) {
        return Slot.unwrap(slot) == Slot.unwrap(other);
    }

    function status(Slot slot) internal pure returns (IJobScheduler.BidStatus) {
        if (Slot.unwrap(slot) & COMMITTED != 0) return IJobScheduler.BidStatus.Committed;
        return IJobScheduler.BidStatus(Slot.unwrap(slot) >> 120 & 7);
    }

    function price(Slot slot) internal pure returns (uint256) {
        return Slot.unwrap(slot) & type(uint96).max;
    }

    function epoch(Slot slot) internal pure returns (uint256) {
        return Slot.unwrap(slot) >> 96 & Heads.MAX_EPOCH;
    }

    function seat(Slot slot) internal pure returns (uint256) {
        return Slot.unwrap(slot) >> 123 & 31;
    }

    function make(uint256 price_, uint256 epoch_, IJobScheduler.BidStatus status_, uint256 seat_)
        internal
        pure
        returns (Slot)
    {
        return Slot.wrap(price_ | epoch_ << 96 | uint256(status_) << 120 | seat_ << 123);
    }

    function withStatus(Slot slot, IJobScheduler.BidStatus value) internal pure returns (Slot) {
        return Slot.wrap(Slot.unwrap(slot) & ~(uint256(7) << 120) | uint256(value) << 120);
    }

    function ofCommitment(bytes32 commitment, uint256 price_, uint256 seat_)
        internal
        pure
        returns (Slot slot)
    {
        assembly ("memory-safe") {
            mstore(0, commitment)
            mstore(32, or(price_, shl(96, seat_)))
            slot := or(keccak256(0, 64), shl(255, 1))
        }
    }

    /// Whether the node has, or had, a seat.
    function wasSeated(Slot slot) internal pure returns (bool) {
        return status(slot) >= IJobScheduler.BidStatus.Seated;
    }
}

/// @title The fields of a `Purse`
library Purses {
    uint256 internal constant SEATS = 192;
    uint256 internal constant REJECTED = 213;
    uint256 internal constant FAILURES = 234;
    uint256 internal constant MAX_COUNT = (1 << 21) - 1;
    uint256 private constant PAID = 96;
    uint256 private constant HAS_REVOKED = 255;

    function free(Purse account) internal pure returns (uint256) {
        return Purse.unwrap(account) & type(uint96).max;
    }

    /// One of the counters, named by its first bit.
    function count(Purse account, uint256 counter) internal pure returns (uint256) {
        return Purse.unwrap(account) >> counter & MAX_COUNT;
    }

    function withOneMore(Purse account, uint256 counter) internal pure returns (Purse) {
        unchecked {
            bool isFull = count(account, counter) == MAX_COUNT;
            return isFull ? account : Purse.wrap(Purse.unwrap(account) + (1 << counter));
        }
    }

    /// Whether the party ever took back a signed bid: as a rule nobody did, and no other word need be read.
    function hasRevoked(Purse account) internal pure returns (bool) {
        return Purse.unwrap(account) >> HAS_REVOKED != 0;
    }

    function withRevoked(Purse account) internal pure returns (Purse) {
        return Purse.wrap(Purse.unwrap(account) | 1 << HAS_REVOKED);
    }

    /// The sum of the prices that verdicts paid.
    function paid(Purse account) internal pure returns (uint256) {
        return Purse.unwrap(account) >> PAID & type(uint96).max;
    }

    function withPaid(Purse account, uint256 price) internal pure returns (Purse) {
        unchecked {
            uint256 room = type(uint96).max - paid(account);
            return Purse.wrap(Purse.unwrap(account) + ((price < room ? price : room) << PAID));
        }
    }

    /// Adds to what is free. The caller knows that the sum fits 96 bits: all money held does.
    function plus(Purse account, uint256 amount) internal pure returns (Purse) {
        unchecked {
            return Purse.wrap(Purse.unwrap(account) + amount);
        }
    }

    /// Takes from what is free. The caller knows that there is as much.
    function minus(Purse account, uint256 amount) internal pure returns (Purse) {
        unchecked {
            return Purse.wrap(Purse.unwrap(account) - amount);
        }
    }
}
