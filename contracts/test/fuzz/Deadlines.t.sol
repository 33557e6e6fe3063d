// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IJobScheduler} from "../../src/IJobScheduler.sol";
import {AuditsBase} from "../harness/AuditsBase.sol";
import {Terms} from "../harness/Terms.sol";

/// The second before every deadline, the deadline, and the second after it: whoever may act may act until the deadline, and
/// only then may anybody expire.
contract DeadlinesTest is AuditsBase {
    IJobScheduler.SeatHolder[] private nobody;

    /// Whether `sender` may make a call now; the chain is left as it is.
    function may(address sender, bytes memory call) private returns (bool done) {
        uint256 snapshot = vm.snapshotState();
        vm.prank(sender);
        (done,) = address(scheduler).call(call);
        vm.revertToState(snapshot);
    }

    /// To one of the three seconds; whether it is still before the end of the deadline.
    function near(uint256 deadline, uint8 side) private returns (bool isIn) {
        vm.warp(deadline - 1 + side % 3);
        return side % 3 < 2;
    }

    function testFuzz_open_jobs_close_after_their_deadline(uint32 open, uint8 side) public {
        IJobScheduler.Terms memory t = terms();
        t.open = uint32(bound(open, 1, 30 days));
        bytes32 job = submit(t);
        bid(job, t, 2);
        bytes memory d = deal_(job, t);
        bool isIn = near(block.timestamp + t.open, side);
        assertEq(may(nodes[2], abi.encodeCall(IJobScheduler.bid, (job, d, t.price))), isIn, "bid");
        assertEq(may(nodes[0], abi.encodeCall(IJobScheduler.withdrawBid, (job))), isIn, "withdraw");
        bytes memory call = abi.encodeCall(IJobScheduler.acceptBids, (job, d, firstNodes(1)));
        assertEq(may(requester, call), isIn, "accept");
        call = abi.encodeCall(IJobScheduler.rejectBids, (job, d, firstNodes(1)));
        assertEq(may(requester, call), isIn, "reject");
        assertEq(
            may(requester, abi.encodeCall(IJobScheduler.updateDeal, (job, d, Terms.pack(t)))), isIn, "update"
        );
        assertEq(may(requester, abi.encodeCall(IJobScheduler.cancel, (job, d))), isIn, "cancel");
        assertEq(may(keeper, abi.encodeCall(IJobScheduler.expire, (job, d, nobody))), !isIn, "expire");
    }

    function testFuzz_commits_close_after_their_deadline(uint32 run, uint8 side) public {
        IJobScheduler.Terms memory t = terms();
        t.run = uint32(bound(run, t.timeout + 60, 30 days));
        bytes32 job = running(t);
        bytes32 roster = signedJob(t);
        uint256 head = rosteredHead(t, block.timestamp, 0);
        bool isIn = near(block.timestamp + t.run, side);
        bytes memory d = deal_(job, t);
        assertEq(may(nodes[0], abi.encodeCall(IJobScheduler.commit, (job, keccak256("x")))), isIn, "commit");
        bytes memory call =
            abi.encodeCall(IJobScheduler.reportFailure, (job, d, IJobScheduler.FailureKind.Engine));
        assertEq(may(nodes[0], call), isIn, "failure");
        IJobScheduler.SeatHolder[] memory live = holdersOf(job, t, 7, 0);
        assertEq(may(requester, abi.encodeCall(IJobScheduler.stop, (job, d, live))), isIn, "stop");
        assertEq(may(keeper, abi.encodeCall(IJobScheduler.expire, (job, d, nobody))), !isIn, "expire");
        IJobScheduler.SeatHolder[] memory holders = holdersOf(roster, t, 7, 7);
        IJobScheduler.Signed[] memory by = signatures(roster, t, holders);
        call = abi.encodeCall(IJobScheduler.commitRostered, (roster, revisionOf(t), head, holders, by));
        assertEq(may(keeper, call), isIn, "commit of a roster");
        call = abi.encodeCall(IJobScheduler.unpack, (roster, revisionOf(t), head, holdersOf(roster, t, 7, 0)));
        assertTrue(may(keeper, call), "unpacking is always possible");
    }

    function signedJob(IJobScheduler.Terms memory t) private returns (bytes32) {
        IJobScheduler.SignedBid[] memory list = signedBids(nextJob(t), t, 3);
        return submitSigned(t, list);
    }

    /// A failed seat is filled again as long as a whole run fits before the close of commits.
    function testFuzz_seats_are_refilled_until_a_run_no_longer_fits(uint32 spare, uint8 side) public {
        IJobScheduler.Terms memory t = terms();
        t.run = t.timeout + 60 + uint32(bound(spare, 2, 1 days));
        bytes32 job = submit(t);
        bid(job, t, 4);
        accept(job, t, firstNodes(3));
        uint256 refillBy = block.timestamp + t.run - t.timeout - 60;
        bytes memory d = deal_(job, t);
        vm.prank(nodes[0]);
        scheduler.reportFailure(job, d, IJobScheduler.FailureKind.Engine);
        vm.prank(nodes[1]);
        scheduler.reportFailure(job, d, IJobScheduler.FailureKind.Engine);
        bool isIn = near(refillBy, side);
        address[] memory fourth = new address[](1);
        fourth[0] = nodes[3];
        assertEq(may(requester, abi.encodeCall(IJobScheduler.acceptBids, (job, d, fourth))), isIn, "refill");
        // Then two of three seats are dead, and no quorum can come any more.
        IJobScheduler.SeatHolder[] memory third = holdersOf(job, t, 4, 0);
        assertEq(may(keeper, abi.encodeCall(IJobScheduler.expire, (job, d, third))), !isIn, "expire");
    }

    function testFuzz_reveals_end_with_their_deadline(uint32 reveal_, uint8 side, bool isQuorum) public {
        IJobScheduler.Terms memory t = terms();
        t.reveal = uint32(bound(reveal_, 60, 30 days));
        bytes32 job = revealing(t);
        bool isIn = near(block.timestamp + t.reveal, side);
        vm.warp(block.timestamp - side % 3);
        if (isQuorum) reveal(job, 1, t);
        reveal(job, 0, t);
        vm.warp(block.timestamp + side % 3);
        bytes memory d = deal_(job, t);
        bytes memory call =
            abi.encodeCall(IJobScheduler.reveal, (job, sealedBy(nodes[2], 2, t.price, opening(2, 3))));
        assertEq(may(nodes[2], call), isIn, "reveal");
        call = abi.encodeCall(IJobScheduler.postVerdict, (job, d, openings(t, 7), 3));
        assertEq(may(keeper, call), isIn, "verdict over all");
        call = abi.encodeCall(IJobScheduler.postVerdict, (job, d, openings(t, 3), 3));
        assertEq(may(keeper, call), !isIn && isQuorum, "verdict over those revealed");
        call = abi.encodeCall(IJobScheduler.expire, (job, d, holdersOf(job, t, 1, 1)));
        assertEq(may(keeper, call), !isIn && !isQuorum, "expire");
    }

    function testFuzz_the_draw_is_due_until_the_deadline_of_reveals(uint32 reveal_, uint8 side) public {
        IJobScheduler.Terms memory t = audited(3, DRAWS);
        t.reveal = uint32(bound(reveal_, 60, 30 days));
        bytes32 job = awaiting(t);
        bool isIn = near(block.timestamp + t.reveal, side);
        bytes memory d = deal_(job, t);
        IJobScheduler.SeatHolder[] memory all = holdersOf(job, t, 7, 7);
        assertEq(
            may(requester, abi.encodeCall(IJobScheduler.publishSecret, (job, d, SECRET, all))), isIn, "draw"
        );
        assertEq(may(keeper, abi.encodeCall(IJobScheduler.expire, (job, d, all))), !isIn, "expire");
        bytes memory call =
            abi.encodeCall(IJobScheduler.reveal, (job, sealedBy(nodes[0], 0, t.price, opening(0, 3))));
        assertFalse(may(nodes[0], call), "reveal");
    }

    /// The second wave has the same times as the first, from the draw on.
    function testFuzz_the_second_wave_has_the_times_of_the_first(uint32 open, uint32 run, uint8 side) public {
        IJobScheduler.Terms memory t = audited(1, DRAWS);
        t.open = uint32(bound(open, 1, 30 days));
        t.run = uint32(bound(run, t.timeout + 60, 30 days));
        bytes32 job = awaiting(t);
        vm.warp(block.timestamp + t.reveal);
        draw(job, t, 1);
        uint256 drawnAt = block.timestamp;
        bidOf(nodes[1], job, t, t.price);
        bool isIn = near(drawnAt + t.open, side);
        bytes memory d = deal_(job, t);
        assertEq(may(nodes[2], abi.encodeCall(IJobScheduler.bid, (job, d, t.price))), isIn, "bid");
        bytes memory call = abi.encodeCall(IJobScheduler.acceptBids, (job, d, toList(nodes[1])));
        assertEq(may(requester, call), isIn, "accept");
        call = abi.encodeCall(IJobScheduler.expire, (job, d, holdersOf(job, t, 1, 1)));
        assertEq(may(keeper, call), !isIn, "expire while open");

        vm.warp(drawnAt);
        accept(job, t, toList(nodes[1]));
        seat(job, t, 2, 3);
        commitSeats(job, t, 1, 2);
        isIn = near(drawnAt + t.run, side);
        assertEq(may(nodes[2], abi.encodeCall(IJobScheduler.commit, (job, keccak256("x")))), isIn, "commit");
        // Two of three have committed: their reveals begin without the third.
        call = abi.encodeCall(IJobScheduler.reveal, (job, sealedBy(nodes[1], 1, t.price, opening(1, 1))));
        assertEq(may(nodes[1], call), !isIn, "reveal");
    }
}
