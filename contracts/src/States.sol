// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IJobScheduler} from "./IJobScheduler.sol";
import {Head} from "./Packing.sol";
import {Verdicts} from "./Verdicts.sol";

/// @title What state a job is in at a time, and what most events need: a state, a role, a deadline
/// @notice The twin of the methods of `Job` in `src/domain/job.rs`, and of the checks that `src/rules/transition.rs` begins
/// with. Acting is allowed while t <= deadline, expiring when t > deadline.
library States {
    /// Who acts and when, and whose job it is.
    struct Act {
        uint256 at;
        address author;
        address requester;
    }

    /// What a run may take beyond its timeout before commits close.
    uint256 internal constant RUN_MARGIN = 60;

    /// How many seats must agree, or reveal, for a verdict: max(M, floor(N / 2) + 1).
    function quorum(Head head) internal pure returns (uint256) {
        unchecked {
            uint256 half = head.asked() / 2 + 1;
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

    /// When commits of a running job closed, seen at `t`; zero while some seat can still commit. A draw that spares the
    /// job closes them anew: reveals begin then.
    function commitsClosedAt(Head head, uint256 t) internal pure returns (uint256) {
        // slither-disable-next-line incorrect-equality
        if (head.audit() == IJobScheduler.AuditStage.Spared) return head.changedAt();
        bool isDone = head.committed() | head.failed() == head.all();
        if (isDone && (head.failed() == 0 || head.changedAt() > refillBy(head))) return head.changedAt();
        uint256 deadline = isDone ? refillBy(head) : head.deadline();
        return t > deadline ? deadline : 0;
    }

    /// The state at `t`, and the deadline of reveals: a running job reveals once commits have closed with a quorum. While a
    /// draw is awaited, it is the deadline of the draw.
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

    function inState(Head head, uint256 at, IJobScheduler.JobState wanted) internal pure {
        (IJobScheduler.JobState state,) = stateAt(head, at);
        if (state != wanted) revert IJobScheduler.WrongState(state);
    }

    /// Reveals and the verdict come after the draw: an opening before it would tell the second wave what to say.
    function drawn(Head head) internal pure {
        if (head.audit() == IJobScheduler.AuditStage.Undrawn) revert IJobScheduler.AwaitsSecret();
    }

    function byRequester(Act memory act) internal pure {
        if (act.author != act.requester) revert IJobScheduler.NotRequester(act.requester);
    }

    function until(uint256 deadline, uint256 at) internal pure {
        if (at > deadline) revert IJobScheduler.DeadlinePassed(deadline);
    }
}
