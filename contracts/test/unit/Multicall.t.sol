// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IJobScheduler} from "../../src/IJobScheduler.sol";
import {SchedulerBase} from "../harness/SchedulerBase.sol";
import {Terms} from "../harness/Terms.sol";
import {Burner} from "../harness/Wallets.sol";

/// Steps of several jobs in one transaction.
contract MulticallTest is SchedulerBase {
    uint256 private constant START = 1_700_000_000;
    uint256 private constant ENOUGH = 1_000_000;

    function step(bytes memory data) private pure returns (IJobScheduler.Step memory) {
        return IJobScheduler.Step(ENOUGH, data);
    }

    /// The submission of the requester's next job.
    function submission(IJobScheduler.Terms memory t)
        private
        returns (bytes32 job, IJobScheduler.Step memory)
    {
        job = nextJob(t);
        nonceOf[job] = nonce++;
        IJobScheduler.SignedBid[] memory list = signedBids(job, t, t.concurrency);
        return (job, step(abi.encodeCall(scheduler.submitSigned, (Terms.pack(t), SPEC, nonceOf[job], list))));
    }

    function commitments(bytes32 job, IJobScheduler.Terms memory t)
        private
        view
        returns (IJobScheduler.Step memory)
    {
        IJobScheduler.SeatHolder[] memory holders = holdersOf(job, t, 7, 7);
        IJobScheduler.Signed[] memory list = signatures(job, t, holders);
        uint256 head = rosteredHead(t, START, 0);
        return step(abi.encodeCall(scheduler.commitRostered, (job, revisionOf(t), head, holders, list)));
    }

    function verdict(bytes32 job, IJobScheduler.Terms memory t, uint32 accepted)
        private
        view
        returns (IJobScheduler.Step memory)
    {
        bytes memory d = deal_(job, t);
        uint256 head = rosteredHead(t, START, START);
        return step(abi.encodeCall(scheduler.postVerdictRostered, (job, d, head, openings(t, 7), accepted)));
    }

    function send(IJobScheduler.Step[] memory steps) private returns (bool[] memory taken) {
        vm.prank(requester);
        return scheduler.multicall(steps);
    }

    /// Jobs of the requester that run, submitted by one transaction.
    function running(IJobScheduler.Terms memory t, uint256 count) private returns (bytes32[] memory jobs) {
        jobs = new bytes32[](count);
        IJobScheduler.Step[] memory steps = new IJobScheduler.Step[](count);
        for (uint256 i = 0; i < count; ++i) {
            (jobs[i], steps[i]) = submission(t);
        }
        send(steps);
    }

    function test_jobs_that_share_three_transactions_end_as_if_each_had_its_own() public {
        IJobScheduler.Terms memory t = terms();
        bytes32[] memory jobs = running(t, 3);
        IJobScheduler.Step[] memory steps = new IJobScheduler.Step[](3);
        for (uint256 i = 0; i < 3; ++i) {
            assertState(jobs[i], IJobScheduler.JobState.Running);
            steps[i] = commitments(jobs[i], t);
        }
        assertEq(free(requester), MONEY - 3 * escrow(t), "each has its own escrow");
        send(steps);
        for (uint256 i = 0; i < 3; ++i) {
            assertState(jobs[i], IJobScheduler.JobState.Revealing);
            steps[i] = verdict(jobs[i], t, 3);
        }
        send(steps);
        for (uint256 i = 0; i < 3; ++i) {
            assertState(jobs[i], IJobScheduler.JobState.Verified);
        }
        assertEq(free(nodes[0]), MONEY + 3 * t.price);
        assertEq(free(nodes[1]), MONEY + 3 * t.price);
        assertEq(free(nodes[2]), MONEY);
        assertEq(free(requester), MONEY - 6 * t.price);
    }

    function test_steps_of_different_kinds_share_a_transaction() public {
        IJobScheduler.Terms memory t = terms();
        bytes32[] memory jobs = running(t, 2);
        IJobScheduler.Step[] memory one = new IJobScheduler.Step[](1);
        one[0] = commitments(jobs[0], t);
        send(one);
        IJobScheduler.Step[] memory steps = new IJobScheduler.Step[](3);
        steps[0] = verdict(jobs[0], t, 3);
        steps[1] = commitments(jobs[1], t);
        bytes32 third;
        (third, steps[2]) = submission(t);
        send(steps);
        assertState(jobs[0], IJobScheduler.JobState.Verified);
        assertState(jobs[1], IJobScheduler.JobState.Revealing);
        assertState(third, IJobScheduler.JobState.Running);
    }

    function test_a_step_that_fails_is_passed_over_and_leaves_nothing() public {
        IJobScheduler.Terms memory t = terms();
        bytes32[] memory jobs = running(t, 2);
        IJobScheduler.Step[] memory steps = new IJobScheduler.Step[](4);
        (, steps[0]) = submission(t);
        // The same again, as another party may have sent it before.
        steps[1] = steps[0];
        (bytes32 poor, IJobScheduler.Step memory dear) = submission(dearer());
        steps[2] = dear;
        steps[3] = commitments(jobs[1], t);
        bool[] memory taken = send(steps);
        assertEq(abi.encode(taken), abi.encode(toFlags(true, false, false, true)));
        assertNone(poor);
        assertState(jobs[1], IJobScheduler.JobState.Revealing);
        assertState(jobs[0], IJobScheduler.JobState.Running);
        assertEq(free(requester), MONEY - 3 * escrow(t), "nothing is kept of the one without money");
    }

    function assertNone(bytes32 job) private view {
        (,, uint256 head,) = scheduler.jobs(job);
        assertEq(head, 0, "there is no such job");
    }

    /// More than the requester has.
    function dearer() private pure returns (IJobScheduler.Terms memory t) {
        t = terms();
        t.price = uint96(MONEY);
    }

    function toFlags(bool a, bool b, bool c, bool d) private pure returns (bool[] memory list) {
        list = new bool[](4);
        (list[0], list[1], list[2], list[3]) = (a, b, c, d);
    }

    function test_where_no_step_can_be_taken_the_last_one_says_why() public {
        IJobScheduler.Terms memory t = terms();
        bytes32[] memory jobs = running(t, 2);
        IJobScheduler.Step[] memory steps = new IJobScheduler.Step[](2);
        steps[0] = verdict(jobs[0], t, 3);
        steps[1] = verdict(jobs[1], t, 3);
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.WrongRoster.selector, jobs[1]));
        send(steps);
    }

    function test_no_step_is_nothing() public {
        assertEq(send(new IJobScheduler.Step[](0)).length, 0);
    }

    function test_only_steps_of_the_signed_path_share_a_transaction() public {
        IJobScheduler.Step[] memory steps = new IJobScheduler.Step[](2);
        (, steps[0]) = submission(terms());
        bytes[5] memory others = [
            abi.encodeCall(scheduler.withdraw, (1)),
            abi.encodeCall(scheduler.deposit, ()),
            abi.encodeCall(scheduler.multicall, (new IJobScheduler.Step[](0))),
            abi.encodeCall(scheduler.announce, ("")),
            bytes("")
        ];
        for (uint256 i = 0; i < others.length; ++i) {
            steps[1] = step(others[i]);
            vm.expectRevert(abi.encodeWithSelector(IJobScheduler.NotShareable.selector, 1));
            send(steps);
        }
    }

    function test_ether_is_refused_since_each_step_would_count_it() public {
        IJobScheduler.Step[] memory steps = new IJobScheduler.Step[](1);
        (, steps[0]) = submission(terms());
        vm.prank(requester);
        (bool isDone,) = address(scheduler).call{value: 1}(abi.encodeCall(scheduler.multicall, (steps)));
        assertFalse(isDone);
    }

    function test_a_node_that_burns_gas_stops_its_own_job_alone() public {
        IJobScheduler.Terms memory t = terms();
        IJobScheduler.Step[] memory steps = new IJobScheduler.Step[](2);
        bytes32 good;
        (, steps[0]) = submission(t);
        t.price += 1;
        (good, steps[1]) = submission(t);
        // Its key signed the second bid; of the first one it has to be asked.
        IJobScheduler.SignedBid[] memory list = signedBids(nextJob(terms()), terms(), 3);
        list[0].signed.r = bytes32(uint256(1));
        bytes32 bad = nextJob(terms());
        steps[0] = step(abi.encodeCall(scheduler.submitSigned, (Terms.pack(terms()), SPEC, nonce, list)));
        vm.etch(nodes[0], type(Burner).runtimeCode);
        vm.prank(requester);
        bool[] memory taken = scheduler.multicall{gas: 2 * ENOUGH + 200_000}(steps);
        assertFalse(taken[0]);
        assertTrue(taken[1], "it has the gas that it was given");
        assertNone(bad);
        assertState(good, IJobScheduler.JobState.Running);
    }

    function test_too_little_gas_for_a_step_is_an_error_of_the_whole() public {
        IJobScheduler.Step[] memory steps = new IJobScheduler.Step[](2);
        (, steps[0]) = submission(terms());
        (, steps[1]) = submission(terms());
        vm.prank(requester);
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.TooLittleGas.selector, 1));
        scheduler.multicall{gas: ENOUGH + 100_000}(steps);
        assertEq(free(requester), MONEY);
    }
}
