// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {AssayConsumer} from "../../src/consumer/AssayConsumer.sol";
import {IJobScheduler} from "../../src/IJobScheduler.sol";
import {ConsumerBase} from "../harness/ConsumerBase.sol";

/// A contract that asks with signed bids, so that the job takes three transactions and its seats are one hash.
contract ConsumerRosteredTest is ConsumerBase {
    bytes private constant SAID = "42\n";

    bytes32 private job;
    uint256 private head;

    function setUp() public override {
        super.setUp();
        (job, head) = verifiedRostered(SAID);
    }

    function fulfil(
        bytes32 revision,
        uint256 head_,
        IJobScheduler.SeatOpening[] memory all,
        bytes memory said
    ) private {
        vm.prank(deliverer);
        buyer.fulfilRostered(job, revision, head_, all, 0, said);
    }

    function refuses(
        bytes memory why,
        bytes32 revision,
        uint256 head_,
        IJobScheduler.SeatOpening[] memory all,
        bytes memory said
    ) private {
        vm.expectRevert(why);
        fulfil(revision, head_, all, said);
    }

    function test_a_request_of_three_transactions_is_delivered_once() public {
        IJobScheduler.SeatOpening[] memory all = given(job, SAID, 3);
        bytes32 revision = revisionOf(terms());
        fulfil(revision, head, all, SAID);
        assertEq(buyer.said(), keccak256(SAID));
        assertEq(free(deliverer), FEE);
        bytes memory again = abi.encodeWithSelector(AssayConsumer.NotPending.selector, job);
        refuses(again, revision, head, all, SAID);
        assertEq(buyer.calls(), 1);
    }

    function test_only_the_bytes_of_a_majority_of_its_seats_are_taken() public {
        IJobScheduler.SeatOpening[] memory all = given(job, SAID, 3);
        bytes32 revision = revisionOf(terms());
        bytes4 few = AssayConsumer.TooFewOpenings.selector;
        // The liar's bytes, which one seat committed to; and bytes of nobody.
        refuses(abi.encodeWithSelector(few, 1, 2), revision, head, all, LIE);
        refuses(abi.encodeWithSelector(few, 0, 2), revision, head, all, "44\n");
        vm.expectRevert(abi.encodeWithSelector(few, 0, 2));
        buyer.fulfilRostered(job, revision, head, all, 1, SAID);
    }

    function test_what_is_not_the_jobs_roster_is_refused() public {
        bytes memory wrong = abi.encodeWithSelector(AssayConsumer.WrongRoster.selector, job);
        bytes32 revision = revisionOf(terms());
        for (uint256 part = 0; part < 5; ++part) {
            IJobScheduler.SeatOpening[] memory all = given(job, SAID, 3);
            if (part == 0) all[2].opening.resultHash = all[0].opening.resultHash;
            if (part == 1) all[1].price -= 1;
            if (part == 2) all[2].node = nodes[3];
            if (part == 3) (all[0].seat, all[1].seat) = (1, 0);
            if (part == 4) all[2] = all[1];
            refuses(wrong, revision, head, all, SAID);
        }
        refuses(wrong, revision, head, given(job, SAID, 2), SAID);
        refuses(wrong, revision, head, new IJobScheduler.SeatOpening[](0), SAID);
        // A head that asks for fewer seats, or another revision.
        refuses(wrong, revision, head - 1, given(job, SAID, 3), SAID);
        refuses(wrong, bytes32(0), head, given(job, SAID, 3), SAID);
    }

    function test_each_form_of_a_job_has_its_own_delivery() public {
        IJobScheduler.SeatOpening[] memory two = given(job, SAID, 2);
        vm.expectRevert(abi.encodeWithSelector(AssayConsumer.Rostered.selector, job));
        buyer.fulfil(job, two, 0, SAID);
        IJobScheduler.Terms memory t = asked();
        bytes32 plain = buyer.ask(t, SPEC, escrow(t), FEE);
        IJobScheduler.SeatOpening[] memory all = given(plain, SAID, 3);
        vm.expectRevert(
            abi.encodeWithSelector(AssayConsumer.NotVerified.selector, IJobScheduler.JobState.Open)
        );
        buyer.fulfilRostered(plain, revisionOf(t), head, all, 0, SAID);
        verifiedUnder(plain, dealOf(1), SAID);
        vm.expectRevert(abi.encodeWithSelector(AssayConsumer.WrongRoster.selector, plain));
        buyer.fulfilRostered(plain, revisionOf(t), head, all, 0, SAID);
        // Unpacked, the first one is a plain job too.
        scheduler.unpack(job, revisionOf(terms()), head, rosterOf(job, SAID));
        deliver(job, two, SAID);
        assertEq(buyer.said(), keccak256(SAID));
    }
}
