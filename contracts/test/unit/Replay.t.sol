// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Vm} from "forge-std/Vm.sol";
import {IJobScheduler} from "../../src/IJobScheduler.sol";
import {Replica} from "../harness/Replica.sol";
import {AuditsBase} from "../harness/AuditsBase.sol";
import {Terms} from "../harness/Terms.sol";

/// Jobs, bids and accounts rebuilt from the events alone, compared with what the chain says after every step of jobs that
/// end in each way. `invariant_17_events_rebuild_storage` does the same with random steps.
contract ReplayTest is AuditsBase {
    Replica private replica;

    function setUp() public override {
        replica = new Replica();
        vm.recordLogs();
        super.setUp();
        compare();
    }

    /// Hands on what the last transaction emitted.
    function compare() private {
        replica.take(vm.getRecordedLogs(), block.timestamp);
        replica.compare(scheduler, block.timestamp);
    }

    /// Submission, bids and acceptance, a transaction each.
    function started(IJobScheduler.Terms memory t) private returns (bytes32 job) {
        job = submit(t);
        compare();
        bid(job, t, t.concurrency);
        compare();
        if (t.acceptance == IJobScheduler.Acceptance.FirstCome) return job;
        accept(job, t, firstNodes(t.concurrency));
        compare();
    }

    function committed(IJobScheduler.Terms memory t) private returns (bytes32 job) {
        job = started(t);
        commitAll(job, t);
        compare();
    }

    function test_what_brings_no_money_is_no_deposit() public {
        IJobScheduler.Terms memory t = terms();
        vm.recordLogs();
        vm.prank(requester);
        scheduler.submit(Terms.pack(t), SPEC, nonce);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        assertEq(logs.length, 1);
        assertEq(logs[0].topics[0], IJobScheduler.Submitted.selector);
    }

    function test_a_verified_job() public {
        IJobScheduler.Terms memory t = terms();
        bytes32 job = committed(t);
        reveal(job, 1, t);
        compare();
        postVerdict(job, t, 7, 3);
        compare();
    }

    function test_a_wrong_output_of_a_first_come_job() public {
        IJobScheduler.Terms memory t = terms();
        t.acceptance = IJobScheduler.Acceptance.FirstCome;
        t.deterministic = true;
        bytes32 job = committed(t);
        postVerdict(job, t, 7, 3);
        compare();
    }

    function test_a_job_whose_reveals_are_missing() public {
        IJobScheduler.Terms memory t = terms();
        bytes32 job = committed(t);
        reveal(job, 0, t);
        compare();
        vm.warp(block.timestamp + t.reveal + 1);
        expire(job, t, holdersOf(job, t, 1, 1));
        compare();
    }

    function test_a_stopped_job() public {
        IJobScheduler.Terms memory t = terms();
        bytes32 job = started(t);
        IJobScheduler.SeatHolder[] memory live = holdersOf(job, t, 7, 0);
        bytes memory d = deal_(job, t);
        vm.prank(requester);
        scheduler.stop(job, d, live);
        compare();
    }

    function test_an_expired_job() public {
        IJobScheduler.Terms memory t = terms();
        bytes32 job = submit(t);
        compare();
        bid(job, t, 2);
        accept(job, t, firstNodes(1));
        compare();
        vm.warp(block.timestamp + t.open + 1);
        expire(job, t, holdersOf(job, t, 1, 0));
        compare();
    }

    function test_an_updated_and_cancelled_job() public {
        IJobScheduler.Terms memory t = terms();
        bytes32 job = submit(t);
        compare();
        bid(job, t, 2);
        compare();
        IJobScheduler.Terms memory next = terms();
        next.price = 0.015 ether;
        bytes memory d = deal_(job, t);
        vm.prank(requester);
        scheduler.updateDeal(job, d, Terms.pack(next));
        compare();
        d = deal_(job, next);
        vm.prank(requester);
        scheduler.cancel(job, d);
        compare();
    }

    function test_a_signed_job_and_its_unpacking() public {
        IJobScheduler.Terms memory t = terms();
        IJobScheduler.SignedBid[] memory list = signedBids(nextJob(t), t, 3);
        bytes32 job = submitSigned(t, list);
        compare();
        IJobScheduler.SeatHolder[] memory holders = holdersOf(job, t, 7, 7);
        IJobScheduler.Signed[] memory by = signatures(job, t, holders);
        scheduler.commitRostered(job, revisionOf(t), rosteredHead(t, block.timestamp, 0), holders, by);
        compare();
        scheduler.unpack(job, revisionOf(t), rosteredHead(t, block.timestamp, block.timestamp), holders);
        compare();
        postVerdict(job, t, 7, 3);
        compare();
        vm.prank(requester);
        scheduler.withdraw(7);
        compare();
    }

    /// The first wave has committed, and the draw is made.
    function drawn(IJobScheduler.Terms memory t) private returns (bytes32 job) {
        job = committed(t);
        draw(job, t, (1 << t.concurrency) - 1);
        compare();
    }

    function test_a_spared_job() public {
        IJobScheduler.Terms memory t = audited(3, SPARES);
        bytes32 job = drawn(t);
        reveal(job, 0, t);
        compare();
        postVerdict(job, t, 7, 3);
        compare();
    }

    function test_a_drawn_job() public {
        IJobScheduler.Terms memory t = audited(3, DRAWS);
        bytes32 job = drawn(t);
        seat(job, t, 3, 5);
        compare();
        commitSeats(job, t, 3, 5);
        compare();
        postVerdict(job, t, 31, 27);
        compare();
    }

    function test_jobs_kept_from_their_verdict() public {
        IJobScheduler.Terms memory t = audited(1, DRAWS);
        bytes32 job = committed(t);
        vm.warp(block.timestamp + t.reveal + 1);
        expire(job, t, holdersOf(job, t, 1, 1));
        compare();
        job = drawn(t);
        seat(job, t, 1, 2);
        compare();
        vm.warp(block.timestamp + t.open + 1);
        expire(job, t, holdersOf(job, t, 3, 1));
        compare();
    }
}
