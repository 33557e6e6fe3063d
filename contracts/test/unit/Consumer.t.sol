// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {AssayConsumer} from "../../src/consumer/AssayConsumer.sol";
import {IJobScheduler} from "../../src/IJobScheduler.sol";
import {ConsumerBase} from "../harness/ConsumerBase.sol";
import {NumberBuyer} from "../harness/Consumers.sol";
import {Terms} from "../harness/Terms.sol";

/// A contract asks, three nodes run, one of them lies, anybody delivers.
contract ConsumerTest is ConsumerBase {
    bytes private constant SAID = "42\n";

    function expectRefusal(
        bytes memory why,
        bytes32 job,
        IJobScheduler.SeatOpening[] memory list,
        bytes memory said
    ) private {
        vm.expectRevert(why);
        vm.prank(deliverer);
        buyer.fulfil(job, list, 0, said);
    }

    function test_whoever_delivers_the_accepted_output_is_paid_and_the_contract_has_its_number() public {
        bytes32 job = ask(FEE);
        verified(job, SAID);
        vm.expectEmit(address(buyer));
        emit AssayConsumer.Delivered(job, deliverer);
        deliver(job, given(job, SAID, 2), SAID);
        assertEq(buyer.said(), keccak256(SAID));
        assertEq(buyer.calls(), 1);
        assertEq(free(deliverer), FEE);
        assertEq(address(buyer).balance, 1 ether - escrow(asked()) - FEE);
    }

    function test_a_second_deliverer_gets_nothing() public {
        bytes32 job = ask(FEE);
        verified(job, SAID);
        deliver(job, given(job, SAID, 2), SAID);
        expectRefusal(
            abi.encodeWithSelector(AssayConsumer.NotPending.selector, job), job, given(job, SAID, 2), SAID
        );
        vm.expectRevert(abi.encodeWithSelector(AssayConsumer.NotPending.selector, job));
        buyer.giveUp(job);
        assertEq(free(deliverer), FEE);
    }

    function test_bytes_that_no_majority_committed_to_are_refused() public {
        bytes32 job = ask(FEE);
        verified(job, SAID);
        // Other bytes, the liar's bytes with the liar's opening, another exit code, too few, twice the same.
        bytes4 other = AssayConsumer.OtherResult.selector;
        expectRefusal(abi.encodeWithSelector(other, 0), job, given(job, SAID, 2), "42");
        expectRefusal(abi.encodeWithSelector(other, 2), job, given(job, SAID, 3), SAID);
        IJobScheduler.SeatOpening[] memory list = given(job, SAID, 2);
        vm.expectRevert(abi.encodeWithSelector(other, 0));
        buyer.fulfil(job, list, 1, SAID);
        bytes memory few = abi.encodeWithSelector(AssayConsumer.TooFewOpenings.selector, 1, 2);
        expectRefusal(few, job, given(job, SAID, 1), SAID);
        list[1] = list[0];
        expectRefusal(abi.encodeWithSelector(AssayConsumer.OpeningsOutOfOrder.selector), job, list, SAID);
    }

    function test_an_opening_that_its_node_did_not_commit_to_is_refused() public {
        bytes32 job = ask(FEE);
        verified(job, SAID);
        bytes4 why = AssayConsumer.NotCommitted.selector;
        for (uint256 part = 0; part < 4; ++part) {
            IJobScheduler.SeatOpening[] memory list = given(job, SAID, 2);
            if (part == 0) list[1].opening.salt = 0;
            if (part == 1) list[1].price -= 1;
            if (part == 2) list[1].node = nodes[3];
            if (part == 3) list[1].seat = 2;
            expectRefusal(abi.encodeWithSelector(why, list[1].seat), job, list, SAID);
        }
        // The liar's bytes, with openings that nobody committed to.
        expectRefusal(abi.encodeWithSelector(why, 0), job, given(job, "43\n", 2), "43\n");
    }

    function test_a_job_of_somebody_else_or_one_that_goes_on_is_not_delivered() public {
        bytes32 job = ask(0);
        bytes memory early =
            abi.encodeWithSelector(AssayConsumer.NotVerified.selector, IJobScheduler.JobState.Open);
        expectRefusal(early, job, given(job, SAID, 2), SAID);
        vm.expectRevert(abi.encodeWithSelector(AssayConsumer.NotOver.selector, job));
        buyer.giveUp(job);
        bytes32 other = submit(terms());
        bytes memory unknown = abi.encodeWithSelector(AssayConsumer.NotPending.selector, other);
        expectRefusal(unknown, other, given(other, SAID, 2), SAID);
        vm.expectRevert(unknown);
        buyer.giveUp(other);
    }

    function test_a_job_without_a_verdict_is_told_once_and_its_money_comes_back() public {
        bytes32 job = ask(FEE);
        vm.warp(block.timestamp + 121);
        bytes memory deal = dealOfFirst();
        vm.prank(keeper);
        scheduler.expire(job, deal, new IJobScheduler.SeatHolder[](0));
        buyer.giveUp(job);
        assertEq(uint256(buyer.endedAs()), uint256(IJobScheduler.JobState.Expired));
        assertEq(buyer.calls(), 1);
        uint256 refund = free(address(buyer));
        assertGt(refund, 0);
        buyer.takeBack(refund);
        assertEq(address(buyer).balance, 1 ether - escrow(asked()) + refund);
        vm.expectRevert(abi.encodeWithSelector(AssayConsumer.NotPending.selector, job));
        buyer.giveUp(job);
    }

    function test_a_result_that_nobody_delivers_is_given_up_after_its_time_and_not_before() public {
        bytes32 job = ask(FEE);
        verified(job, SAID);
        uint64 last = buyer.requests(job).deliverBy;
        vm.warp(last);
        vm.expectRevert(abi.encodeWithSelector(AssayConsumer.NotOver.selector, job));
        buyer.giveUp(job);
        vm.warp(last + 1);
        uint256 snapshot = vm.snapshotState();
        deliver(job, given(job, SAID, 2), SAID);
        vm.revertToState(snapshot);
        buyer.giveUp(job);
        assertEq(uint256(buyer.endedAs()), uint256(IJobScheduler.JobState.Verified));
    }

    function test_a_callback_that_reverts_undoes_the_delivery_alone() public {
        bytes32 job = ask(FEE);
        verified(job, SAID);
        buyer.refuse(true);
        expectRefusal(abi.encodeWithSignature("Error(string)", "refused"), job, given(job, SAID, 2), SAID);
        assertEq(free(deliverer), 0);
        // What the verdict returned is there, whatever the callback does.
        uint256 refund = free(address(buyer));
        assertGt(refund, 0);
        buyer.takeBack(refund);
        buyer.refuse(false);
        deliver(job, given(job, SAID, 2), SAID);
        assertEq(free(deliverer), FEE);
    }

    function test_a_job_is_submitted_under_the_terms_given() public {
        IJobScheduler.Terms memory t = asked();
        (t.minPaid, t.audit) = (5, Terms.audit("secret", 100, 2));
        t.allowList = firstNodes(3);
        bytes32 job = buyer.ask(t, SPEC, escrow(t), 0);
        assertEq(job, scheduler.jobId(address(buyer), 0, sha256(SPEC), revisionOf(t)));
    }

    function test_as_many_openings_are_needed_as_must_agree() public {
        IJobScheduler.Terms memory t = asked();
        t.confidence = 3;
        bytes32 job = buyer.ask(t, SPEC, escrow(t), FEE);
        bytes memory deal = Terms.deal(address(buyer), 0, sha256(SPEC), t);
        // All three print the same.
        IJobScheduler.SeatOpening[] memory all = given(job, LIE, 3);
        for (uint256 seat = 0; seat < 3; ++seat) {
            vm.prank(nodes[seat]);
            scheduler.bid(job, deal, t.price);
        }
        for (uint256 seat = 0; seat < 3; ++seat) {
            commit(job, seat, all[seat].opening);
        }
        vm.prank(keeper);
        scheduler.postVerdict(job, deal, all, 7);
        bytes memory few = abi.encodeWithSelector(AssayConsumer.TooFewOpenings.selector, 2, 3);
        expectRefusal(few, job, given(job, LIE, 2), LIE);
        deliver(job, all, LIE);
        assertEq(free(deliverer), FEE);
    }

    function test_only_the_scheduler_sends_ether() public {
        vm.deal(address(this), 1);
        vm.expectRevert(AssayConsumer.OnlyScheduler.selector);
        payable(address(buyer)).transfer(1);
    }

    function testFuzz_any_output_is_delivered(bytes calldata stdout) public {
        vm.assume(keccak256(stdout) != keccak256(LIE));
        bytes32 job = ask(FEE);
        verified(job, stdout);
        deliver(job, given(job, stdout, 2), stdout);
        assertEq(buyer.said(), keccak256(stdout));
    }
}
