// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IJobScheduler} from "../../src/IJobScheduler.sol";
import {SchedulerBase} from "../harness/SchedulerBase.sol";

/// What a change of one operator would break and nothing else would tell.
contract EdgesTest is SchedulerBase {
    function refusesExpiry(bytes32 job, bytes memory d, IJobScheduler.SeatHolder[] memory given, uint256 due)
        private
    {
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.WrongSeats.selector, due));
        scheduler.expire(job, d, given);
    }

    /// The last holder named twice, alone, or out of order.
    function test_a_holder_named_twice_is_paid_once_or_not_at_all() public {
        IJobScheduler.Terms memory t = terms();
        bytes32 job = submit(t);
        bid(job, t, 2);
        accept(job, t, firstNodes(2));
        vm.warp(block.timestamp + t.open + 1);
        bytes memory d = deal_(job, t);
        IJobScheduler.SeatHolder[] memory two = holdersOf(job, t, 3, 0);
        IJobScheduler.SeatHolder[] memory given = new IJobScheduler.SeatHolder[](3);
        (given[0], given[1], given[2]) = (two[0], two[1], two[1]);
        refusesExpiry(job, d, given, 3);
        (given[0], given[1], given[2]) = (two[0], two[0], two[1]);
        refusesExpiry(job, d, given, 3);
        (two[0], two[1]) = (two[1], two[0]);
        refusesExpiry(job, d, two, 3);
        expire(job, t, holdersOf(job, t, 3, 0));
        assertEq(free(nodes[0]) + free(nodes[1]), 2 * MONEY);
    }

    function test_a_holder_named_twice_is_not_paid_twice_by_a_stop() public {
        IJobScheduler.Terms memory t = terms();
        (t.concurrency, t.confidence) = (1, 1);
        bytes32 job = running(t);
        bytes memory d = deal_(job, t);
        IJobScheduler.SeatHolder[] memory one = holdersOf(job, t, 1, 0);
        IJobScheduler.SeatHolder[] memory given = new IJobScheduler.SeatHolder[](2);
        (given[0], given[1]) = (one[0], one[0]);
        vm.prank(requester);
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.WrongSeats.selector, 1));
        scheduler.stop(job, d, given);
    }

    function test_a_committed_first_come_node_takes_no_second_seat() public {
        IJobScheduler.Terms memory t = terms();
        (t.acceptance, t.run) = (IJobScheduler.Acceptance.FirstCome, 4000);
        bytes32 job = submit(t);
        bid(job, t, 3);
        commit(job, 0, opening(0, 3));
        bytes memory d = deal_(job, t);
        vm.prank(nodes[1]);
        scheduler.reportFailure(job, d, IJobScheduler.FailureKind.Engine);
        // A seat is free again: not for who committed, has a seat, or failed.
        for (uint256 i = 0; i < 3; ++i) {
            vm.prank(nodes[i]);
            vm.expectRevert(abi.encodeWithSelector(IJobScheduler.AlreadyBid.selector, nodes[i]));
            scheduler.bid(job, d, t.price);
        }
        bidOf(nodes[3], job, t, t.price);
        assertEq(free(nodes[3]), MONEY - t.bond);
    }

    /// Until the deadline of commitments a seat may still commit, and its bond returns; a second later it is an idler's.
    function test_an_expiry_at_the_deadline_blames_no_seat_that_may_still_commit() public {
        IJobScheduler.Terms memory t = terms();
        for (uint256 late = 0; late < 2; ++late) {
            bytes32 job = running(t);
            uint256 commitBy = block.timestamp + t.run;
            bytes memory d = deal_(job, t);
            for (uint256 i = 0; i < 2; ++i) {
                vm.prank(nodes[i]);
                scheduler.reportFailure(job, d, IJobScheduler.FailureKind.Engine);
            }
            vm.warp(commitBy + late);
            refusesExpiry(job, d, holdersOf(job, t, late == 0 ? 0 : 4, 0), late == 0 ? 4 : 0);
            expire(job, t, holdersOf(job, t, late == 0 ? 4 : 0, 0));
            assertEq(scheduler.burnt(), late * t.bond);
        }
    }
}
