// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IJobScheduler} from "../../src/IJobScheduler.sol";
import {SchedulerBase} from "../harness/SchedulerBase.sol";

/// What runs must agree in besides equal outputs: near numbers, and work where it is required.
contract AgreementTest is SchedulerBase {
    /// A job whose three nodes bring outputs and summaries of their own; that of the last is `apart` from the others'.
    function nearJob(IJobScheduler.Terms memory t, uint256 apart)
        private
        returns (bytes32 job, IJobScheduler.SeatOpening[] memory list)
    {
        job = running(t);
        list = openings(t, 7);
        for (uint256 i = 0; i < 3; ++i) {
            list[i].opening.resultHash = keccak256(abi.encode("differs", i));
            list[i].opening.summary = bytes32(i < 2 ? i : apart);
            commit(job, i, list[i].opening);
        }
    }

    function judgedAs(
        bytes32 job,
        IJobScheduler.Terms memory t,
        IJobScheduler.SeatOpening[] memory list,
        uint32 accepted
    ) private {
        bytes memory d = deal_(job, t);
        uint32 other = accepted == 3 ? 7 : 3;
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.VerdictMismatch.selector, other));
        scheduler.postVerdict(job, d, list, other);
        scheduler.postVerdict(job, d, list, accepted);
    }

    function test_near_outputs_agree_whatever_memory_they_took() public {
        IJobScheduler.Terms memory t = nearTerms();
        (bytes32 job, IJobScheduler.SeatOpening[] memory list) = nearJob(t, 64);
        // The last used other memory.
        judgedAs(job, t, list, 7);
        assertEq(free(nodes[2]), MONEY + t.price);
    }

    function test_outputs_that_are_not_near_do_not_agree() public {
        IJobScheduler.Terms memory t = nearTerms();
        (bytes32 job, IJobScheduler.SeatOpening[] memory list) = nearJob(t, 66);
        judgedAs(job, t, list, 3);
        assertEq(scheduler.accounts(nodes[2]).rejected, 1);
    }

    function test_of_near_outputs_only_those_that_took_like_work_agree() public {
        IJobScheduler.Terms memory t = nearTerms();
        t.requireWork = true;
        (bytes32 job, IJobScheduler.SeatOpening[] memory list) = nearJob(t, 64);
        judgedAs(job, t, list, 3);
    }

    function test_summaries_of_a_deterministic_job_are_not_looked_at() public {
        IJobScheduler.Terms memory t = nearTerms();
        t.deterministic = true;
        (bytes32 job, IJobScheduler.SeatOpening[] memory list) = nearJob(t, 0);
        judgedAs(job, t, list, 0);
        assertState(job, IJobScheduler.JobState.Inconclusive);
    }

    /// Three equal outputs, the last of which was copied: it took no work.
    function test_an_equal_output_without_the_work_is_not_accepted() public {
        IJobScheduler.Terms memory t = terms();
        (t.method, t.requireWork) = (IJobScheduler.Method.Hash, true);
        bytes32 job = running(t);
        IJobScheduler.SeatOpening[] memory list = openings(t, 7);
        list[2].opening.resultHash = list[0].opening.resultHash;
        for (uint256 i = 0; i < 3; ++i) {
            commit(job, i, list[i].opening);
        }
        judgedAs(job, t, list, 3);
        assertEq(free(nodes[2]), MONEY);
    }

    function test_runs_without_a_trace_take_no_part_where_work_is_required() public {
        IJobScheduler.Terms memory t = terms();
        (t.method, t.requireWork) = (IJobScheduler.Method.Hash, true);
        bytes32 job = running(t);
        IJobScheduler.SeatOpening[] memory list = openings(t, 7);
        for (uint256 i = 0; i < 3; ++i) {
            if (i > 0) list[i].opening.fingerprint = bytes32(type(uint256).max);
            commit(job, i, list[i].opening);
        }
        judgedAs(job, t, list, 0);
    }

    /// How far CPU times may differ is a term: a half here, and no third.
    function test_the_terms_say_how_far_cpu_times_may_differ() public {
        IJobScheduler.Terms memory t = terms();
        t.cpuPermille = 500;
        bytes32 job = running(t);
        IJobScheduler.SeatOpening[] memory list = openings(t, 7);
        uint256[3] memory cpu = [uint256(1000), 2000, 2001];
        for (uint256 i = 0; i < 3; ++i) {
            list[i].opening.resultHash = keccak256(abi.encode("differs", i));
            list[i].opening.fingerprint = bytes32(word(1600, cpu[i]));
            commit(job, i, list[i].opening);
        }
        // Round the second all three agree.
        judgedAs(job, t, list, 7);
    }
}
