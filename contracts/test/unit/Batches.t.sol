// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IJobScheduler} from "../../src/IJobScheduler.sol";
import {SchedulerBase} from "../harness/SchedulerBase.sol";

/// What others do first, or in one's stead: a batch passes over what is there already, and an opening is anyone's to bring.
/// Batches of signatures are in `Signed.t.sol`.
contract BatchesTest is SchedulerBase {
    function test_an_acceptance_takes_alternates_and_stops_when_full() public {
        IJobScheduler.Terms memory t = terms();
        bytes32 job = submit(t);
        bid(job, t, 4);
        accept(job, t, toList(nodes[0]));
        vm.prank(nodes[1]);
        scheduler.withdraw(MONEY);
        address[] memory batch = new address[](6);
        (batch[0], batch[1], batch[2]) = (nodes[0], nodes[1], makeAddr("never bid"));
        (batch[3], batch[4], batch[5]) = (nodes[2], nodes[3], nodes[0]);
        accept(job, t, batch);
        assertState(job, IJobScheduler.JobState.Running);
        assertEq(free(nodes[0]), MONEY - t.bond, "seated once");
        assertEq(free(nodes[2]), MONEY - t.bond);
        assertEq(free(nodes[3]), MONEY - t.bond);
        bytes memory d = deal_(job, t);
        vm.prank(requester);
        vm.expectRevert(IJobScheduler.NoSeatFree.selector);
        scheduler.acceptBids(job, d, batch);
    }

    function test_a_rejection_passes_over_bids_that_no_longer_stand() public {
        IJobScheduler.Terms memory t = terms();
        bytes32 job = submit(t);
        bid(job, t, 3);
        vm.prank(nodes[0]);
        scheduler.withdrawBid(job);
        bytes memory d = deal_(job, t);
        vm.startPrank(requester);
        scheduler.rejectBids(job, d, firstNodes(3));
        (IJobScheduler.BidStatus status,) = scheduler.bids(job, nodes[2]);
        assertEq(uint256(status), uint256(IJobScheduler.BidStatus.Rejected));
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.BidNotStanding.selector, nodes[2]));
        scheduler.rejectBids(job, d, firstNodes(3));
        vm.stopPrank();
    }

    function test_whoever_has_an_opening_may_reveal_it_and_gains_nothing() public {
        IJobScheduler.Terms memory t = terms();
        bytes32 job = running(t);
        commit(job, 0, opening(0, 3));
        commit(job, 1, opening(1, 3));
        IJobScheduler.SeatOpening memory first = sealedBy(nodes[0], 0, t.price, opening(0, 3));
        vm.expectRevert(wrongState(IJobScheduler.JobState.Running));
        scheduler.reveal(job, first);
        commit(job, 2, opening(2, 3));
        vm.startPrank(keeper);
        IJobScheduler.SeatOpening memory other = sealedBy(nodes[1], 0, t.price, opening(0, 3));
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.BadOpening.selector, 0));
        scheduler.reveal(job, other);
        other = sealedBy(nodes[0], 31, t.price, opening(0, 3));
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.NotCommitted.selector, 31));
        scheduler.reveal(job, other);
        vm.expectEmit(true, true, false, true);
        emit IJobScheduler.Revealed(job, keeper, 0, first.opening);
        scheduler.reveal(job, first);
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.AlreadyRevealed.selector, 0));
        scheduler.reveal(job, first);
        vm.stopPrank();
        reveal(job, 1, t);
        vm.warp(block.timestamp + t.reveal + 1);
        postVerdict(job, t, 3, 3);
        assertEq(free(nodes[0]), MONEY + t.price, "the seat is paid, whoever revealed it");
        assertEq(free(keeper), MONEY + t.keeperFee, "and nobody else, but for the verdict");
    }
}
