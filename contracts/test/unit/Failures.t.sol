// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {FailureCounts} from "../../src/Failures.sol";
import {IJobScheduler} from "../../src/IJobScheduler.sol";
import {SchedulerBase} from "../harness/SchedulerBase.sol";

/// What failures cost, and whom.
contract FailuresTest is SchedulerBase {
    function fail(bytes32 job, IJobScheduler.Terms memory t, uint256 seat, IJobScheduler.FailureKind kind)
        private
    {
        bytes memory d = deal_(job, t);
        vm.prank(nodes[seat]);
        scheduler.reportFailure(job, d, kind);
    }

    /// A running job, the last second in which a failed seat can go to another node, and one more.
    function runningLate(IJobScheduler.Terms memory t) private returns (bytes32 job, uint256 refillBy) {
        t.run = 3000;
        job = running(t);
        refillBy = block.timestamp + t.run - t.timeout - 60;
    }

    function test_a_failure_costs_nothing_up_to_the_last_second_for_another_node() public {
        IJobScheduler.Terms memory t = terms();
        (bytes32 job, uint256 refillBy) = runningLate(t);
        vm.warp(refillBy);
        fail(job, t, 0, IJobScheduler.FailureKind.Engine);
        assertEq(free(nodes[0]), MONEY);
        vm.warp(refillBy + 1);
        fail(job, t, 1, IJobScheduler.FailureKind.Engine);
        assertEq(free(nodes[1]), MONEY - t.bond / 4, "a quarter stays until the end");
        assertEq(scheduler.burnt(), 0);
        expire(job, t, holdersOf(job, t, 4, 0));
        assertEq(scheduler.burnt(), t.bond / 4);
        assertEq(free(nodes[1]), MONEY - t.bond / 4);
        assertEq(free(nodes[2]), MONEY);
    }

    function test_a_late_failure_that_several_seats_report_costs_nothing_in_the_end() public {
        IJobScheduler.Terms memory t = terms();
        (bytes32 job, uint256 refillBy) = runningLate(t);
        vm.warp(refillBy + 1);
        fail(job, t, 0, IJobScheduler.FailureKind.Memory);
        fail(job, t, 1, IJobScheduler.FailureKind.Memory);
        assertEq(free(nodes[0]) + free(nodes[1]), 2 * (MONEY - t.bond / 4));
        expire(job, t, holdersOf(job, t, 4, 0));
        assertEq(free(nodes[0]) + free(nodes[1]), 2 * MONEY);
        assertEq(scheduler.burnt(), 0);
    }

    function test_a_verdict_settles_late_failures_too() public {
        IJobScheduler.Terms memory t = terms();
        (bytes32 job, uint256 refillBy) = runningLate(t);
        commit(job, 0, opening(0, 3));
        commit(job, 1, opening(1, 3));
        vm.warp(refillBy + 1);
        fail(job, t, 2, IJobScheduler.FailureKind.Memory);
        postVerdict(job, t, 3, 3);
        assertEq(free(nodes[2]), MONEY - t.bond / 4);
        assertEq(scheduler.burnt(), t.bond / 4);
    }

    /// Two seats in one hand, where the others show that the job was not to blame.
    function test_late_failures_alike_cost_a_quarter_where_others_brought_the_result() public {
        IJobScheduler.Terms memory t = terms();
        (t.concurrency, t.confidence) = (5, 3);
        (bytes32 job, uint256 refillBy) = runningLate(t);
        for (uint256 i = 0; i < 3; ++i) {
            commit(job, i, opening(i, 5));
        }
        vm.warp(refillBy + 1);
        fail(job, t, 3, IJobScheduler.FailureKind.Memory);
        fail(job, t, 4, IJobScheduler.FailureKind.Memory);
        postVerdict(job, t, 7, 7);
        assertEq(free(nodes[3]) + free(nodes[4]), 2 * (MONEY - t.bond / 4));
        assertEq(scheduler.burnt(), 2 * (t.bond / 4));
    }

    function test_a_stop_settles_late_failures_too() public {
        IJobScheduler.Terms memory t = terms();
        (bytes32 job, uint256 refillBy) = runningLate(t);
        vm.warp(refillBy + 1);
        fail(job, t, 2, IJobScheduler.FailureKind.Engine);
        bytes memory d = deal_(job, t);
        IJobScheduler.SeatHolder[] memory holders = holdersOf(job, t, 3, 0);
        vm.prank(requester);
        scheduler.stop(job, d, holders);
        assertEq(scheduler.burnt(), t.bond / 4);
        assertEq(free(requester), MONEY + t.price + t.keeperFee, "two seats are paid");
    }

    /// M = N: one seat that fails late ends the job, and used to be paid for it.
    function test_a_seat_that_failed_has_nothing_to_reveal() public {
        IJobScheduler.Terms memory t = terms();
        t.concurrency = 4;
        t.confidence = 2;
        t.run = 3000;
        bytes32 job = running(t);
        uint256 commitBy = block.timestamp + t.run;
        commit(job, 0, opening(0, 4));
        commit(job, 1, opening(1, 4));
        commit(job, 3, opening(3, 4));
        vm.warp(commitBy - t.timeout - 59);
        fail(job, t, 2, IJobScheduler.FailureKind.Engine);
        IJobScheduler.Opening memory said = opening(2, 4);
        vm.prank(nodes[2]);
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.NotCommitted.selector, 2));
        scheduler.reveal(job, sealedBy(nodes[2], 2, t.price, said));
    }

    function test_a_seat_that_never_committed_has_nothing_to_reveal() public {
        IJobScheduler.Terms memory t = terms();
        bytes32 job = running(t);
        commit(job, 0, opening(0, 3));
        commit(job, 1, opening(1, 3));
        vm.warp(block.timestamp + t.run + 1);
        IJobScheduler.Opening memory said = opening(2, 3);
        vm.prank(nodes[2]);
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.NotCommitted.selector, 2));
        scheduler.reveal(job, sealedBy(nodes[2], 2, t.price, said));
    }

    function test_who_failed_earns_nothing_by_ending_the_job() public {
        IJobScheduler.Terms memory t = terms();
        t.confidence = 3;
        (bytes32 job, uint256 refillBy) = runningLate(t);
        commit(job, 0, opening(0, 3));
        commit(job, 1, opening(1, 3));
        vm.warp(refillBy + 1);
        fail(job, t, 2, IJobScheduler.FailureKind.Interrupted);
        bytes memory d = deal_(job, t);
        IJobScheduler.SeatHolder[] memory holders = holdersOf(job, t, 3, 3);
        vm.prank(nodes[2]);
        scheduler.expire(job, d, holders);
        assertEq(free(nodes[2]), MONEY - t.bond / 4);
        assertEq(free(requester), MONEY + escrow(t), "the fee is the requester's");
    }

    function test_who_failed_earns_nothing_by_a_verdict_even_if_another_node_took_its_seat() public {
        IJobScheduler.Terms memory t = terms();
        t.run = 3000;
        bytes32 job = submit(t);
        bid(job, t, 4);
        accept(job, t, firstNodes(3));
        commit(job, 0, opening(0, 3));
        commit(job, 1, opening(1, 3));
        fail(job, t, 2, IJobScheduler.FailureKind.Disk);
        address former = nodes[2];
        nodes[2] = nodes[3];
        address[] memory one = new address[](1);
        one[0] = nodes[2];
        accept(job, t, one);
        commit(job, 2, opening(2, 3));
        keeper = former;
        postVerdict(job, t, 7, 3);
        assertEq(free(former), MONEY);
        assertEq(free(requester), MONEY + t.price + t.keeperFee);
    }

    function test_seats_that_fail_alike_end_a_job_that_is_to_blame_at_once() public {
        IJobScheduler.Terms memory t = terms();
        bytes32 job = running(t);
        fail(job, t, 0, IJobScheduler.FailureKind.Memory);
        bytes memory d = deal_(job, t);
        IJobScheduler.SeatHolder[] memory two = holdersOf(job, t, 6, 0);
        vm.expectPartialRevert(IJobScheduler.DeadlineNotReached.selector);
        scheduler.expire(job, d, two);
        fail(job, t, 1, IJobScheduler.FailureKind.Memory);
        expire(job, t, holdersOf(job, t, 4, 0));
        assertState(job, IJobScheduler.JobState.Failed);
        assertEq(free(nodes[2]), MONEY, "nobody is to blame");
    }

    function test_seats_that_fail_each_in_its_way_leave_time_for_others() public {
        for (uint256 i = 0; i < 2; ++i) {
            IJobScheduler.Terms memory t = terms();
            bytes32 job = running(t);
            fail(job, t, 0, IJobScheduler.FailureKind.Engine);
            fail(job, t, 1, i == 0 ? IJobScheduler.FailureKind.Engine : IJobScheduler.FailureKind.Disk);
            bytes memory d = deal_(job, t);
            IJobScheduler.SeatHolder[] memory one = holdersOf(job, t, 4, 0);
            vm.expectPartialRevert(IJobScheduler.DeadlineNotReached.selector);
            scheduler.expire(job, d, one);
        }
    }

    /// Two seats of many in one hand must not end what the others can finish.
    function test_seats_that_fail_alike_do_not_end_a_job_whose_quorum_is_left() public {
        IJobScheduler.Terms memory t = terms();
        (t.concurrency, t.confidence) = (5, 3);
        bytes32 job = running(t);
        fail(job, t, 0, IJobScheduler.FailureKind.Memory);
        fail(job, t, 1, IJobScheduler.FailureKind.Memory);
        bytes memory d = deal_(job, t);
        IJobScheduler.SeatHolder[] memory rest = holdersOf(job, t, 28, 0);
        vm.expectPartialRevert(IJobScheduler.DeadlineNotReached.selector);
        scheduler.expire(job, d, rest);
        fail(job, t, 2, IJobScheduler.FailureKind.Image);
        expire(job, t, holdersOf(job, t, 24, 0));
        assertState(job, IJobScheduler.JobState.Failed);
    }

    function test_nodes_are_to_blame_for_their_engine_and_for_stopping_alone() public pure {
        for (uint256 kind = 0; kind <= uint256(type(IJobScheduler.FailureKind).max); ++kind) {
            FailureCounts counts;
            bool isOfNode = kind == uint256(IJobScheduler.FailureKind.Engine)
                || kind == uint256(IJobScheduler.FailureKind.Interrupted);
            for (uint256 i = 0; i < 300; ++i) {
                assertEq(counts.isShared(kind), i > 1 && !isOfNode);
                assertEq(counts.anyShared(), i > 1 && !isOfNode, "counts stop at their largest");
                counts = counts.withOneMore(IJobScheduler.FailureKind(kind));
            }
        }
    }

    function test_a_failed_seat_takes_new_bids_while_a_whole_run_fits() public {
        IJobScheduler.Terms memory t = terms();
        t.run = 4000;
        bytes32 job = running(t);
        uint256 refillBy = block.timestamp + t.run - t.timeout - 60;
        bytes memory closed =
            abi.encodeWithSelector(IJobScheduler.WrongState.selector, IJobScheduler.JobState.Running);
        bidRefused(job, t, nodes[3], closed);
        fail(job, t, 1, IJobScheduler.FailureKind.Memory);
        vm.warp(refillBy);
        bidOf(nodes[3], job, t, t.price);
        bidRefused(job, t, nodes[1], abi.encodeWithSelector(IJobScheduler.AlreadyBid.selector, nodes[1]));
        vm.warp(refillBy + 1);
        bidRefused(job, t, nodes[4], closed);
        vm.warp(refillBy);
        address[] memory other = new address[](1);
        other[0] = nodes[3];
        accept(job, t, other);
        vm.prank(nodes[3]);
        scheduler.commit(job, bytes32(uint256(1)));
    }

    function bidRefused(bytes32 job, IJobScheduler.Terms memory t, address node, bytes memory why) private {
        bytes memory d = deal_(job, t);
        vm.prank(node);
        vm.expectRevert(why);
        scheduler.bid(job, d, t.price);
    }
}
