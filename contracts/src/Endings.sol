// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {TermsAt} from "./Deals.sol";
import {IJobScheduler} from "./IJobScheduler.sol";
import {Openings} from "./Openings.sol";
import {Head} from "./Packing.sol";
import {States} from "./States.sol";
import {Verdicts} from "./Verdicts.sol";

/// @title What a verdict and an expiry need and do
/// @notice The twin of the end of `src/rules/transition.rs`, as `Rules` is of the rest.
library Endings {
    using Openings for IJobScheduler.SeatOpening;

    /// The job after a verdict with these openings, and their seats. `known` has a bit for each opening that is
    /// what the seat's holder committed to.
    ///
    /// Callers pass openings again that were revealed before: the chain stores that a seat revealed, not what.
    function verdictPosted(
        Head head,
        uint256 at,
        TermsAt terms,
        IJobScheduler.SeatOpening[] calldata openings,
        uint256 known,
        uint256 accepted
    ) internal pure returns (Head next) {
        bool isLate = verdictBegins(head, at, openings);
        uint256 given = openingsGiven(head, isLate, openings, known);
        enoughGiven(head, isLate, given);
        if (judged(head, terms, openings) != accepted) revert IJobScheduler.VerdictMismatch(accepted);
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
            (IJobScheduler.JobState state, uint256 revealBy) = States.stateAt(head, at);
            if (state != IJobScheduler.JobState.Revealing) revert IJobScheduler.WrongState(state);
            States.drawn(head);
            for (uint256 i = 1; i < openings.length; ++i) {
                if (openings[i - 1].seatOf() >= openings[i].seatOf()) {
                    revert IJobScheduler.OpeningsOutOfOrder(openings[i].seatOf());
                }
            }
            return at > revealBy;
        }
    }

    function openingsGiven(
        Head head,
        bool isLate,
        IJobScheduler.SeatOpening[] calldata openings,
        uint256 known
    ) private pure returns (uint256 given) {
        unchecked {
            uint256 tooLate = isLate ? head.committed() & ~head.revealed() : 0;
            for (uint256 i = 0; i < openings.length; ++i) {
                IJobScheduler.SeatOpening calldata opening = openings[i];
                uint256 seat = opening.seatOf();
                if (tooLate >> seat & 1 != 0) revert IJobScheduler.OpeningTooLate(seat);
                Openings.checkOpening(
                    head, seat, known >> i & 1 != 0, opening.fingerprintOf(), opening.summaryOf()
                );
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
        if (size < States.quorum(head)) revert IJobScheduler.QuorumNotRevealed(size, States.quorum(head));
        if (given != all) revert IJobScheduler.OpeningsMissing(all & ~given);
    }

    /// The seats that the rules accept over these openings; none when the job is inconclusive.
    ///
    /// The last tie of balls goes to the least keccak256(R, node), R being the keccak256 of all salts in seat order,
    /// which nobody knows before the last reveal.
    function judged(Head head, TermsAt terms, IJobScheduler.SeatOpening[] calldata openings)
        private
        pure
        returns (uint256 seats)
    {
        unchecked {
            Verdicts.Question memory question = Verdicts.Question({
                asked: head.asked(),
                confidence: terms.confidence(),
                toleranceKib: terms.toleranceKib(),
                relativePermille: terms.relativePermille(),
                method: IJobScheduler.Method(terms.method()),
                deterministic: terms.deterministic() != 0,
                cpuPermille: terms.cpuPermille(),
                requireWork: terms.requireWork() != 0
            });
            // Nothing where all state the same.
            uint256 kept = 0;
            if (!Openings.haveOneExitCode(openings)) {
                kept = Verdicts.ofOneExitCode(question.asked, Openings.column(openings, 5));
                if (kept == 0) return 0;
            }
            uint256[] memory outputs = Openings.column(openings, 3);
            if (kept != 0) Verdicts.keep(outputs, kept);
            (bool isDecided, uint256 runs) = Verdicts.gate(question, outputs);
            if (!isDecided) {
                Verdicts.Runs memory brought = Verdicts.Runs({
                    outputs: outputs,
                    words: Openings.column(openings, 6),
                    summaries: Openings.column(openings, 7),
                    keys: orderKeys(openings)
                });
                if (kept != 0) {
                    Verdicts.keep(brought.words, kept);
                    Verdicts.keep(brought.summaries, kept);
                    Verdicts.keep(brought.keys, kept);
                }
                runs = Verdicts.score(question, brought);
            }
            if (kept != 0) runs = Verdicts.named(runs, kept);
            for (uint256 i = 0; i < openings.length; ++i) {
                if (runs >> i & 1 != 0) seats |= 1 << openings[i].seatOf();
            }
        }
    }

    function orderKeys(IJobScheduler.SeatOpening[] calldata openings)
        private
        pure
        returns (uint256[] memory keys)
    {
        unchecked {
            uint256[] memory salts = Openings.column(openings, 8);
            keys = Openings.column(openings, 1);
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

    /// The job after an expiry; the seats that get their bond back: those that went as far as there was time for; and those
    /// of them that get their price: the first wave, if its requester withheld the secret or filled no second wave. `isShared`
    /// says whether several seats reported a failure for which nodes are not to blame: then more nodes would only fail alike.
    function expired(Head head, uint256 at, bool isShared)
        internal
        pure
        returns (Head next, uint256 due, uint256 earned)
    {
        (IJobScheduler.JobState state, uint256 revealBy) = States.stateAt(head, at);
        if (States.isTerminal(state)) revert IJobScheduler.WrongState(state);
        if (state == IJobScheduler.JobState.Open) {
            if (at <= head.deadline()) revert IJobScheduler.DeadlineNotReached(head.deadline());
            due = States.liveSeats(head);
            // Without a second wave nobody can have committed to an open job.
            if (head.audit() != IJobScheduler.AuditStage.Drawn) {
                return (head.withState(IJobScheduler.JobState.Expired), due, 0);
            }
            return (head.withState(IJobScheduler.JobState.Failed), due, head.committed());
        }
        next = head.withState(IJobScheduler.JobState.Failed);
        if (state == IJobScheduler.JobState.Revealing) {
            if (at <= revealBy) revert IJobScheduler.DeadlineNotReached(revealBy);
            if (head.audit() == IJobScheduler.AuditStage.Undrawn) {
                return (next, head.committed(), head.committed());
            }
            if (Verdicts.popcount(head.revealed()) >= States.quorum(head)) revert IJobScheduler.VerdictDue();
            // Where nobody at all revealed, the chain stood still, and those who had committed are not to blame.
            return (next, head.revealed() == 0 ? head.committed() : head.revealed(), 0);
        }
        bool failsByItself = isShared && unfailed(head) < States.quorum(head);
        if (ableToCommit(head, at) >= States.quorum(head) && !failsByItself) {
            revert IJobScheduler.DeadlineNotReached(head.deadline());
        }
        due = at > head.deadline() ? head.committed() : States.liveSeats(head);
    }

    /// How many seats of a running job have committed, or still can.
    function ableToCommit(Head head, uint256 at) private pure returns (uint256) {
        unchecked {
            if (at > head.deadline()) return Verdicts.popcount(head.committed());
            return at > States.refillBy(head) ? unfailed(head) : head.asked();
        }
    }

    function unfailed(Head head) private pure returns (uint256) {
        unchecked {
            return head.asked() - Verdicts.popcount(head.failed());
        }
    }
}
