// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IJobScheduler} from "../../src/IJobScheduler.sol";
import {SchedulerBase} from "../harness/SchedulerBase.sol";

/// What a few liars among honest nodes get: nothing, unless they are most of the seats.
contract LiesTest is SchedulerBase {
    function test_a_false_exit_code_beside_a_true_hash_is_not_accepted() public {
        IJobScheduler.Terms memory t = terms();
        t.deterministic = true;
        bytes32 job = running(t);
        IJobScheduler.SeatOpening[] memory list = openings(t, 7);
        list[2].opening = opening(0, 3);
        list[2].opening.salt = keccak256("another");
        list[2].opening.exitCode = -1;
        for (uint256 i = 0; i < 3; ++i) {
            commit(job, i, list[i].opening);
        }
        bytes memory d = deal_(job, t);
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.VerdictMismatch.selector, 7));
        scheduler.postVerdict(job, d, list, 7);
        scheduler.postVerdict(job, d, list, 3);
        assertEq(free(nodes[2]), MONEY - t.bond, "a lie like a wrong output");
    }

    function test_whoever_states_the_exit_code_of_few_leaves_no_verdict_without_most() public {
        IJobScheduler.Terms memory t = terms();
        bytes32 job = running(t);
        IJobScheduler.SeatOpening[] memory list = openings(t, 7);
        for (uint256 i = 0; i < 3; ++i) {
            list[i].opening.exitCode = int32(int256(i));
            commit(job, i, list[i].opening);
        }
        bytes memory d = deal_(job, t);
        scheduler.postVerdict(job, d, list, 0);
        assertState(job, IJobScheduler.JobState.Inconclusive);
    }

    function test_a_run_with_another_exit_code_moves_no_ball() public {
        IJobScheduler.Terms memory t = nearTerms();
        (t.concurrency, t.confidence) = (5, 2);
        bytes32 job = running(t);
        IJobScheduler.SeatOpening[] memory list = openings(t, 31);
        // All are near the first, which lies about its exit code; without it three are near each other.
        uint256[5] memory lanes = [uint256(64), 3, 4, 5, 128];
        for (uint256 i = 0; i < 5; ++i) {
            list[i].opening = opening(0, 5);
            list[i].opening.salt = keccak256(abi.encode(i));
            list[i].opening.summary = bytes32(lanes[i]);
            list[i].opening.exitCode = i == 0 ? int32(1) : int32(0);
            commit(job, i, list[i].opening);
        }
        bytes memory d = deal_(job, t);
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.VerdictMismatch.selector, 30));
        scheduler.postVerdict(job, d, list, 30);
        scheduler.postVerdict(job, d, list, 14);
    }

    /// The last `liars` of five seats bring one made-up result, the others the true one.
    function coalition(uint256 liars, uint256 accepted) private {
        IJobScheduler.Terms memory t = terms();
        (t.concurrency, t.confidence, t.deterministic) = (5, 3, true);
        bytes32 job = running(t);
        IJobScheduler.SeatOpening[] memory list = openings(t, 31);
        for (uint256 i = 0; i < 5; ++i) {
            list[i].opening = opening(0, 5);
            list[i].opening.salt = keccak256(abi.encode(i));
            if (i >= 5 - liars) list[i].opening.resultHash = keccak256("made up");
            commit(job, i, list[i].opening);
        }
        bytes memory d = deal_(job, t);
        scheduler.postVerdict(job, d, list, uint32(accepted));
        for (uint256 i = 0; i < 5; ++i) {
            bool isPaid = accepted >> i & 1 != 0;
            assertEq(free(nodes[i]), isPaid ? MONEY + t.price : MONEY - t.bond);
        }
    }

    function test_a_false_verdict_needs_a_majority_of_the_seats() public {
        coalition(2, 7);
    }

    function test_a_majority_of_the_seats_decides_whatever_it_says() public {
        coalition(3, 28);
    }
}
