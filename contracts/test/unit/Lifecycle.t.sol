// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IJobScheduler} from "../../src/IJobScheduler.sol";
import {SchedulerBase} from "../harness/SchedulerBase.sol";
import {Terms} from "../harness/Terms.sol";

/// Every way through a job's life, and where the money is at its end.
contract LifecycleTest is SchedulerBase {
    IJobScheduler.SeatHolder[] private nobody;

    function test_accepted_nodes_get_price_and_bond_the_liar_its_bond() public {
        IJobScheduler.Terms memory t = terms();
        bytes32 job = revealing(t);
        assertState(job, IJobScheduler.JobState.Revealing);
        assertEq(free(nodes[0]), MONEY - t.bond);
        postVerdict(job, t, 7, 3);
        assertState(job, IJobScheduler.JobState.Verified);
        assertEq(free(nodes[0]), MONEY + t.price);
        assertEq(free(nodes[1]), MONEY + t.price);
        assertEq(free(nodes[2]), MONEY);
        assertEq(free(keeper), MONEY + t.keeperFee);
        assertEq(free(requester), MONEY + t.price);
        IJobScheduler.Account memory account = scheduler.accounts(nodes[0]);
        assertEq(account.seats, 1);
        assertEq(account.paid, t.price);
        assertEq(scheduler.accounts(nodes[2]).rejected, 1);
        assertEq(scheduler.burnt(), 0);
    }

    function test_a_wrong_output_of_a_deterministic_job_costs_the_bond_and_the_requester_the_price() public {
        IJobScheduler.Terms memory t = terms();
        t.deterministic = true;
        bytes32 job = revealing(t);
        postVerdict(job, t, 7, 3);
        assertEq(free(nodes[2]), MONEY - t.bond);
        assertEq(scheduler.burnt(), t.bond + t.price);
        assertEq(free(requester), MONEY, "two seats are paid, and what was locked for the third is burnt");
    }

    function test_the_scorer_decides_where_no_output_has_a_majority() public {
        IJobScheduler.Terms memory t = terms();
        bytes32 job = running(t);
        IJobScheduler.SeatOpening[] memory list = openings(t, 7);
        for (uint256 i = 0; i < 3; ++i) {
            list[i].opening.resultHash = keccak256(abi.encode("differs", i));
            commit(job, i, list[i].opening);
        }
        bytes memory d = deal_(job, t);
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.VerdictMismatch.selector, 7));
        scheduler.postVerdict(job, d, list, 7);
        scheduler.postVerdict(job, d, list, 3);
        assertState(job, IJobScheduler.JobState.Verified);
    }

    function test_revealed_on_the_chain_is_given_again_with_the_verdict() public {
        IJobScheduler.Terms memory t = terms();
        bytes32 job = revealing(t);
        for (uint256 i = 0; i < 3; ++i) {
            reveal(job, i, t);
        }
        bytes memory d = deal_(job, t);
        IJobScheduler.SeatOpening[] memory two = openings(t, 3);
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.OpeningsMissing.selector, 4));
        scheduler.postVerdict(job, d, two, 3);
        postVerdict(job, t, 7, 3);
        assertState(job, IJobScheduler.JobState.Verified);
    }

    function test_who_does_not_reveal_loses_its_bond_and_cannot_stop_the_verdict() public {
        IJobScheduler.Terms memory t = terms();
        bytes32 job = revealing(t);
        reveal(job, 0, t);
        reveal(job, 1, t);
        vm.warp(block.timestamp + t.reveal + 1);
        postVerdict(job, t, 3, 3);
        assertEq(free(nodes[2]), MONEY - t.bond);
        assertEq(scheduler.burnt(), t.bond);
        assertEq(free(nodes[0]), MONEY + t.price);
    }

    function test_inconclusive_blames_nobody_and_may_be_escalated_once() public {
        IJobScheduler.Terms memory t = terms();
        (t.confidence, t.escalationLimit) = (3, 5);
        bytes32 job = revealing(t);
        postVerdict(job, t, 7, 0);
        assertState(job, IJobScheduler.JobState.Inconclusive);
        for (uint256 i = 0; i < 3; ++i) {
            assertEq(free(nodes[i]), MONEY + t.price / 2);
        }
        assertEq(free(requester), MONEY + 3 * (t.price - t.price / 2));

        IJobScheduler.Terms memory child = terms();
        (child.confidence, child.escalationLimit, child.concurrency, child.parent) = (3, 5, 4, job);
        bytes memory parent = deal_(job, t);
        vm.startPrank(requester);
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.BadParent.selector, job));
        scheduler.submitChild{value: escrow(child)}(Terms.pack(child), parent, SPEC, nonce);
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.BadParent.selector, job));
        scheduler.submit{value: escrow(child)}(Terms.pack(child), SPEC, nonce);
        child.concurrency = 5;
        bytes32 childJob = scheduler.submitChild{value: escrow(child)}(Terms.pack(child), parent, SPEC, nonce);
        nonceOf[childJob] = nonce++;
        assertEq(scheduler.childOf(job), childJob);
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.BadParent.selector, job));
        scheduler.submitChild{value: escrow(child)}(Terms.pack(child), parent, SPEC, nonce);
        vm.stopPrank();

        bytes memory d = deal_(childJob, child);
        vm.prank(nodes[0]);
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.SatInParent.selector, job));
        scheduler.bid(childJob, d, 0);
        bidOf(nodes[4], childJob, child, 0);
    }

    function test_cancel_returns_the_escrow() public {
        IJobScheduler.Terms memory t = terms();
        bytes32 job = submit(t);
        bid(job, t, 2);
        bytes memory d = deal_(job, t);
        vm.prank(requester);
        scheduler.cancel(job, d);
        assertState(job, IJobScheduler.JobState.Cancelled);
        assertEq(free(requester), MONEY + escrow(t));
    }

    function test_an_update_voids_bids_and_moves_the_difference() public {
        IJobScheduler.Terms memory t = terms();
        bytes32 job = submit(t);
        bid(job, t, 2);
        IJobScheduler.Terms memory dearer = terms();
        (dearer.price, dearer.bond) = (0.03 ether, 0.04 ether);
        bytes memory d = deal_(job, t);
        vm.prank(requester);
        scheduler.updateDeal(job, d, Terms.pack(dearer));
        assertEq(free(requester), MONEY - (escrow(dearer) - escrow(t)));
        vm.prank(nodes[2]);
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.WrongRevision.selector, revisionOf(t)));
        scheduler.bid(job, d, 1);
        vm.expectEmit();
        emit IJobScheduler.BidSkipped(job, nodes[0]);
        accept(job, dearer, firstNodes(1));
        bidOf(nodes[1], job, dearer, 0.03 ether);
        accept(job, dearer, toList(nodes[1]));
        assertEq(free(nodes[1]), MONEY - 0.04 ether);
    }

    function test_a_bid_without_the_money_for_its_bond_is_passed_over() public {
        IJobScheduler.Terms memory t = terms();
        bytes32 job = submit(t);
        bid(job, t, 4);
        vm.prank(nodes[1]);
        scheduler.withdraw(MONEY);
        accept(job, t, firstNodes(4));
        assertState(job, IJobScheduler.JobState.Running);
        (IJobScheduler.BidStatus status,) = scheduler.bids(job, nodes[1]);
        assertEq(uint256(status), uint256(IJobScheduler.BidStatus.Skipped));
    }

    function test_first_come_bids_take_seats() public {
        IJobScheduler.Terms memory t = terms();
        t.acceptance = IJobScheduler.Acceptance.FirstCome;
        bytes32 job = submit(t);
        vm.expectEmit();
        emit IJobScheduler.SeatTaken(job, nodes[0], 0);
        bid(job, t, 3);
        assertState(job, IJobScheduler.JobState.Running);
        commitAll(job, t);
        postVerdict(job, t, 7, 3);
        assertEq(free(nodes[0]), MONEY + t.price);
    }

    function test_a_first_come_bid_without_the_money_for_its_bond_is_refused() public {
        IJobScheduler.Terms memory t = terms();
        t.acceptance = IJobScheduler.Acceptance.FirstCome;
        bytes32 job = submit(t);
        vm.prank(nodes[0]);
        scheduler.withdraw(MONEY - t.bond + 1);
        bytes memory d = deal_(job, t);
        vm.prank(nodes[0]);
        vm.expectRevert(
            abi.encodeWithSelector(IJobScheduler.NotFunded.selector, nodes[0], t.bond - 1, t.bond)
        );
        scheduler.bid(job, d, t.price);
        bidOf(nodes[1], job, t, t.price);
        assertEq(free(nodes[1]), MONEY - t.bond);
    }

    function test_a_bid_may_be_withdrawn_or_rejected() public {
        IJobScheduler.Terms memory t = terms();
        bytes32 job = submit(t);
        bid(job, t, 2);
        vm.prank(nodes[0]);
        scheduler.withdrawBid(job);
        bytes memory d = deal_(job, t);
        vm.prank(requester);
        scheduler.rejectBids(job, d, toList(nodes[1]));
        vm.prank(requester);
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.BidNotStanding.selector, nodes[1]));
        scheduler.acceptBids(job, d, toList(nodes[1]));
        for (uint256 i = 0; i < 2; ++i) {
            assertEq(free(nodes[i]), MONEY);
        }
    }

    function test_a_failed_seat_is_given_to_another_and_never_back() public {
        IJobScheduler.Terms memory t = terms();
        t.run = 4000;
        bytes32 job = running(t);
        bidFailure(job, t);
        vm.startPrank(nodes[1]);
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.SeatFailed.selector, nodes[1]));
        scheduler.commit(job, bytes32(uint256(1)));
        vm.stopPrank();
        assertEq(free(nodes[1]), MONEY);
    }

    function bidFailure(bytes32 job, IJobScheduler.Terms memory t) private {
        bytes memory d = deal_(job, t);
        vm.prank(nodes[1]);
        scheduler.reportFailure(job, d, IJobScheduler.FailureKind.Memory);
        assertEq(scheduler.accounts(nodes[1]).failures, 1);
    }

    function test_a_seat_filled_again_is_not_its_former_holders() public {
        IJobScheduler.Terms memory t = terms();
        t.run = 4000;
        bytes32 job = submit(t);
        bid(job, t, 4);
        accept(job, t, firstNodes(3));
        bidFailure(job, t);
        accept(job, t, toList(nodes[3]));
        vm.prank(nodes[1]);
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.NotSeatHolder.selector, nodes[1]));
        scheduler.commit(job, 0);
        vm.prank(nodes[3]);
        scheduler.commit(job, bytes32(uint256(1)));
    }

    function test_stop_pays_every_seat() public {
        IJobScheduler.Terms memory t = terms();
        bytes32 job = running(t);
        commit(job, 0, opening(0, 3));
        bytes memory d = deal_(job, t);
        IJobScheduler.SeatHolder[] memory two = holdersOf(job, t, 3, 1);
        vm.prank(requester);
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.WrongSeats.selector, 7));
        scheduler.stop(job, d, two);
        IJobScheduler.SeatHolder[] memory all = holdersOf(job, t, 7, 1);
        vm.prank(requester);
        scheduler.stop(job, d, all);
        assertState(job, IJobScheduler.JobState.Cancelled);
        for (uint256 i = 0; i < 3; ++i) {
            assertEq(free(nodes[i]), MONEY + t.price);
        }
        assertEq(free(requester), MONEY + t.keeperFee);
    }

    function test_expiry_of_an_open_job_returns_bonds() public {
        IJobScheduler.Terms memory t = terms();
        bytes32 job = submit(t);
        bid(job, t, 2);
        accept(job, t, firstNodes(2));
        IJobScheduler.SeatHolder[] memory two = holdersOf(job, t, 3, 0);
        bytes memory d = deal_(job, t);
        for (uint256 i = 0; i < 2; ++i) {
            vm.warp(1_700_000_119 + i);
            vm.expectRevert(abi.encodeWithSelector(IJobScheduler.DeadlineNotReached.selector, 1_700_000_120));
            scheduler.expire(job, d, two);
        }
        vm.warp(1_700_000_121);
        expire(job, t, two);
        assertState(job, IJobScheduler.JobState.Expired);
        for (uint256 i = 0; i < 2; ++i) {
            assertEq(free(nodes[i]), MONEY);
        }
        assertEq(free(keeper), MONEY + t.keeperFee);
        assertEq(free(requester), MONEY + 3 * t.price);
    }

    function test_expiry_of_a_running_job_burns_the_bonds_of_idlers() public {
        IJobScheduler.Terms memory t = terms();
        bytes32 job = running(t);
        commit(job, 0, opening(0, 3));
        vm.warp(block.timestamp + t.run + 1);
        expire(job, t, holdersOf(job, t, 1, 1));
        assertState(job, IJobScheduler.JobState.Failed);
        assertEq(free(nodes[0]), MONEY);
        assertEq(free(nodes[1]), MONEY - t.bond);
        assertEq(scheduler.burnt(), 2 * t.bond);
    }

    function test_expiry_of_a_revealing_job_burns_what_was_not_revealed() public {
        IJobScheduler.Terms memory t = terms();
        bytes32 job = revealing(t);
        reveal(job, 0, t);
        vm.warp(block.timestamp + t.reveal + 1);
        expire(job, t, holdersOf(job, t, 1, 1));
        assertState(job, IJobScheduler.JobState.Failed);
        assertEq(free(nodes[0]), MONEY);
        assertEq(scheduler.burnt(), 2 * t.bond);
    }

    /// A chain that stands still after the close of commits, or makes no room for reveals, blames nobody.
    function test_where_nobody_reveals_every_commitment_has_its_bond_back() public {
        IJobScheduler.Terms memory t = terms();
        bytes32 job = running(t);
        commit(job, 0, opening(0, 3));
        commit(job, 1, opening(1, 3));
        vm.warp(block.timestamp + t.run + t.reveal + 1);
        bytes memory d = deal_(job, t);
        IJobScheduler.SeatHolder[] memory none;
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.WrongSeats.selector, 3));
        scheduler.expire(job, d, none);
        expire(job, t, holdersOf(job, t, 3, 3));
        assertState(job, IJobScheduler.JobState.Failed);
        assertEq(free(nodes[0]), MONEY);
        assertEq(free(nodes[1]), MONEY);
        assertEq(free(nodes[2]), MONEY - t.bond, "it never committed");
        assertEq(scheduler.burnt(), t.bond);
    }

    function test_acting_is_allowed_until_the_deadline_and_not_after() public {
        IJobScheduler.Terms memory t = terms();
        bytes32 job = running(t);
        uint256 commitBy = block.timestamp + t.run;
        vm.warp(commitBy - 1);
        commit(job, 0, opening(0, 3));
        vm.warp(commitBy);
        commit(job, 1, opening(1, 3));
        vm.warp(commitBy + 1);
        vm.prank(nodes[2]);
        vm.expectRevert(
            abi.encodeWithSelector(IJobScheduler.WrongState.selector, IJobScheduler.JobState.Revealing)
        );
        scheduler.commit(job, 0);
        vm.warp(commitBy + t.reveal);
        reveal(job, 0, t);
        vm.warp(commitBy + t.reveal + 1);
        IJobScheduler.Opening memory late = opening(1, 3);
        vm.prank(nodes[1]);
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.DeadlinePassed.selector, commitBy + t.reveal));
        scheduler.reveal(job, sealedBy(nodes[1], 1, t.price, late));
    }

    function test_a_copied_commitment_opens_for_nobody_else() public {
        IJobScheduler.Terms memory t = terms();
        bytes32 job = running(t);
        bytes32 copied = scheduler.commitmentOf(job, 0, nodes[0], opening(0, 3));
        for (uint256 i = 0; i < 3; ++i) {
            vm.prank(nodes[i]);
            scheduler.commit(job, copied);
        }
        IJobScheduler.Opening memory first = opening(0, 3);
        vm.prank(nodes[1]);
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.BadOpening.selector, 1));
        scheduler.reveal(job, sealedBy(nodes[1], 1, t.price, first));
    }

    function test_a_fingerprint_word_with_high_bits_is_refused() public {
        IJobScheduler.Terms memory t = terms();
        t.concurrency = 1;
        t.confidence = 1;
        bytes32 job = running(t);
        IJobScheduler.Opening memory dirty = opening(0, 1);
        dirty.fingerprint = bytes32(uint256(1) << 255);
        commit(job, 0, dirty);
        vm.prank(nodes[0]);
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.BadFingerprint.selector, 0));
        scheduler.reveal(job, sealedBy(nodes[0], 0, t.price, dirty));
    }

    function test_a_summary_word_with_high_bits_is_refused() public {
        IJobScheduler.Terms memory t = terms();
        bytes32 job = running(t);
        IJobScheduler.SeatOpening[] memory list = openings(t, 7);
        list[1].opening.summary = bytes32(uint256(1) << 250);
        for (uint256 i = 0; i < 3; ++i) {
            commit(job, i, list[i].opening);
        }
        bytes memory d = deal_(job, t);
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.BadSummary.selector, 1));
        scheduler.postVerdict(job, d, list, 3);
        vm.prank(nodes[1]);
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.BadSummary.selector, 1));
        scheduler.reveal(job, sealedBy(nodes[1], 1, t.price, list[1].opening));
        list[1].opening.fingerprint = bytes32(uint256(1) << 255);
        vm.prank(nodes[1]);
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.BadOpening.selector, 1));
        scheduler.reveal(job, sealedBy(nodes[1], 1, t.price, list[1].opening));
    }

    function test_a_job_of_one_seat_teaches_nothing() public {
        IJobScheduler.Terms memory t = terms();
        (t.concurrency, t.confidence) = (1, 1);
        bytes32 job = revealing(t);
        postVerdict(job, t, 1, 1);
        assertEq(scheduler.accounts(nodes[0]).paid, 0);
        assertEq(free(nodes[0]), MONEY + t.price);
    }

    function test_a_remark_changes_nothing_but_the_log() public {
        IJobScheduler.Terms memory t = terms();
        bytes32 job = running(t);
        bytes memory d = deal_(job, t);
        vm.prank(requester);
        vm.expectEmit();
        emit IJobScheduler.Remarked(job, nodes[0], "late");
        scheduler.remark(job, d, nodes[0], "late");
    }
}
