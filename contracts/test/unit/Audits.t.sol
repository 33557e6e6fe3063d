// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IJobScheduler} from "../../src/IJobScheduler.sol";
import {AuditsBase} from "../harness/AuditsBase.sol";

/// Second waves from the draw to the end, and where the money is then.
contract AuditsTest is AuditsBase {
    function test_a_spared_first_wave_decides_alone_and_the_second_is_not_paid_for() public {
        IJobScheduler.Terms memory t = audited(1, SPARES);
        bytes32 job = awaiting(t);
        assertEq(address(scheduler).balance, HELD + 3 * t.price + t.keeperFee, "the price of both waves");
        vm.warp(block.timestamp + 7);
        draw(job, t, 1);
        assertStage(job, IJobScheduler.AuditStage.Spared);
        assertState(job, IJobScheduler.JobState.Revealing);
        (, uint256 revealBy,,) = scheduler.jobs(job);
        assertEq(revealBy, block.timestamp + t.reveal, "reveals begin with the draw");
        postVerdict(job, t, 1, 1);
        assertState(job, IJobScheduler.JobState.Verified);
        assertEq(free(nodes[0]), MONEY + t.price);
        assertEq(free(requester), MONEY + 2 * t.price);
        assertEq(free(keeper), MONEY + t.keeperFee);
        assertEq(scheduler.burnt(), 0);
        IJobScheduler.Account memory record = scheduler.accounts(nodes[0]);
        assertEq(record.seats + record.paid, 0, "it was compared with nothing");
    }

    function test_a_lone_seat_counts_once_others_are_compared_with_it() public {
        IJobScheduler.Terms memory t = audited(1, DRAWS);
        bytes32 job = awaiting(t);
        assertEq(scheduler.accounts(nodes[0]).seats, 0, "nobody knows of a second wave yet");
        draw(job, t, 1);
        assertEq(scheduler.accounts(nodes[0]).seats, 1);
        seat(job, t, 1, 3);
        commitSeats(job, t, 1, 3);
        postVerdict(job, t, 7, 7);
        for (uint256 i = 0; i < 3; ++i) {
            IJobScheduler.Account memory record = scheduler.accounts(nodes[i]);
            assertEq(record.seats, 1);
            assertEq(record.paid, t.price);
        }
    }

    function test_a_lone_lie_that_a_second_wave_outvotes_is_on_record() public {
        IJobScheduler.Terms memory t = audited(1, DRAWS);
        (bytes32 job, IJobScheduler.SeatOpening[] memory list) = lied(t);
        scheduler.postVerdict(job, deal_(job, t), list, 6);
        IJobScheduler.Account memory record = scheduler.accounts(nodes[0]);
        assertEq(record.seats, 1);
        assertEq(record.rejected, 1);
        assertEq(record.paid, 0);
    }

    function test_first_waves_of_several_seats_and_seats_without_a_price_count_as_ever() public {
        IJobScheduler.Terms memory t = audited(3, DRAWS);
        draw(awaiting(t), t, 7);
        assertEq(scheduler.accounts(nodes[0]).seats, 1, "at its acceptance, and not again");
        t = audited(1, DRAWS);
        (t.price, t.bond, t.keeperFee) = (0, 0, 0);
        draw(awaiting(t), t, 1);
        assertEq(scheduler.accounts(nodes[0]).seats, 1);
    }

    /// A job whose one node of the first wave lied, and whose second wave does not.
    function lied(IJobScheduler.Terms memory t)
        private
        returns (bytes32 job, IJobScheduler.SeatOpening[] memory list)
    {
        list = openings(t, 7);
        list[0].opening.resultHash = keccak256("lie");
        job = submit(t);
        seat(job, t, 0, 1);
        commit(job, 0, list[0].opening);
        IJobScheduler.SeatHolder[] memory first = holdersOf(job, t, 1, 0);
        first[0].commitment = scheduler.commitmentOf(job, 0, nodes[0], list[0].opening);
        publishSecret(job, t, SECRET, first);
        seat(job, t, 1, 3);
        commitSeats(job, t, 1, 3);
    }

    function test_a_lie_of_the_first_wave_is_outvoted_by_the_second() public {
        for (uint256 i = 0; i < 2; ++i) {
            IJobScheduler.Terms memory t = audited(1, DRAWS);
            t.deterministic = i == 1;
            (bytes32 job, IJobScheduler.SeatOpening[] memory list) = lied(t);
            bytes memory d = deal_(job, t);
            vm.expectRevert(abi.encodeWithSelector(IJobScheduler.VerdictMismatch.selector, 1));
            scheduler.postVerdict(job, d, list, 1);
            vm.prank(keeper);
            scheduler.postVerdict(job, d, list, 6);
            assertState(job, IJobScheduler.JobState.Verified);
        }
        IJobScheduler.Terms memory terms_ = audited(1, DRAWS);
        // Where outputs alone decide the lie costs the bond, elsewhere the pay.
        assertEq(free(nodes[0]), MONEY - terms_.bond);
        assertEq(scheduler.burnt(), terms_.bond + terms_.price);
        assertEq(free(nodes[1]), MONEY + 2 * terms_.price);
        assertEq(free(nodes[2]), MONEY + 2 * terms_.price);
        assertEq(free(requester), MONEY + terms_.price);
        assertEq(free(keeper), MONEY + 2 * terms_.keeperFee);
    }

    function test_a_withheld_secret_pays_the_first_wave_and_gives_no_verdict() public {
        IJobScheduler.Terms memory t = audited(3, DRAWS);
        bytes32 job = submit(t);
        seat(job, t, 0, 3);
        commitSeats(job, t, 0, 2);
        vm.warp(block.timestamp + t.run + 1);
        (, uint256 drawBy,,) = scheduler.jobs(job);
        IJobScheduler.SeatHolder[] memory two = holdersOf(job, t, 3, 3);
        bytes memory d = deal_(job, t);
        vm.warp(drawBy);
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.DeadlineNotReached.selector, drawBy));
        scheduler.expire(job, d, two);
        vm.warp(drawBy + 1);
        bytes memory late = abi.encodeWithSelector(IJobScheduler.DeadlinePassed.selector, drawBy);
        refusesDraw(job, t, SECRET, two, late);
        refusesVerdict(job, t, 3, 3, abi.encodeWithSelector(IJobScheduler.AwaitsSecret.selector));
        expire(job, t, two);
        assertState(job, IJobScheduler.JobState.Failed);
        assertEq(free(nodes[0]), MONEY + t.price);
        assertEq(free(nodes[1]), MONEY + t.price);
        assertEq(free(nodes[2]), MONEY - t.bond, "it did not commit");
        assertEq(scheduler.burnt(), t.bond);
        assertEq(free(requester), MONEY + 3 * t.price);
        assertEq(free(keeper), MONEY + t.keeperFee);
    }

    function test_a_second_wave_that_the_requester_does_not_fill_pays_the_first() public {
        IJobScheduler.Terms memory t = audited(1, DRAWS);
        bytes32 job = awaiting(t);
        draw(job, t, 1);
        seat(job, t, 1, 2);
        uint256 openBy = block.timestamp + t.open;
        vm.warp(openBy);
        IJobScheduler.SeatHolder[] memory one = holdersOf(job, t, 1, 1);
        IJobScheduler.SeatHolder[] memory two = holdersOf(job, t, 3, 1);
        bytes memory d = deal_(job, t);
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.DeadlineNotReached.selector, openBy));
        scheduler.expire(job, d, two);
        vm.warp(openBy + 1);
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.WrongSeats.selector, 3));
        scheduler.expire(job, d, one);
        vm.prank(keeper);
        vm.expectEmit();
        emit IJobScheduler.Expired(job, keeper, IJobScheduler.JobState.Failed);
        scheduler.expire(job, d, two);
        assertState(job, IJobScheduler.JobState.Failed);
        assertEq(free(nodes[0]), MONEY + t.price);
        assertEq(free(nodes[1]), MONEY, "it only waited");
        assertEq(free(requester), MONEY + 2 * t.price);
        assertEq(free(keeper), MONEY + t.keeperFee);
        assertEq(scheduler.burnt(), 0);
    }

    function test_a_second_wave_without_a_quorum_of_both_fails_as_any_job() public {
        IJobScheduler.Terms memory t = audited(1, DRAWS);
        bytes32 job = awaiting(t);
        draw(job, t, 1);
        seat(job, t, 1, 3);
        bytes memory d = deal_(job, t);
        for (uint256 i = 1; i < 3; ++i) {
            vm.prank(nodes[i]);
            scheduler.reportFailure(job, d, IJobScheduler.FailureKind.Engine);
        }
        vm.warp(block.timestamp + t.run + 1);
        expire(job, t, holdersOf(job, t, 1, 1));
        assertState(job, IJobScheduler.JobState.Failed);
        for (uint256 i = 0; i < 3; ++i) {
            assertEq(free(nodes[i]), MONEY);
        }
        assertEq(free(requester), MONEY + 3 * t.price);
        assertEq(free(keeper), MONEY + t.keeperFee);
        assertEq(scheduler.burnt(), 0);
    }

    /// Reported in the first wave, given to another in the second.
    function test_a_failed_seat_of_the_first_wave_is_not_filled_again_in_the_second() public {
        IJobScheduler.Terms memory t = audited(3, DRAWS);
        (t.confidence, t.run, t.open) = (1, 4000, 20_000);
        t.audit = audit(DRAWS, 1);
        bytes32 job = submit(t);
        seat(job, t, 0, 3);
        commitSeats(job, t, 0, 2);
        bytes memory d = deal_(job, t);
        vm.prank(nodes[2]);
        scheduler.reportFailure(job, d, IJobScheduler.FailureKind.Engine);
        vm.warp(block.timestamp + t.run - t.timeout - 59);
        draw(job, t, 3);
        bidOf(nodes[4], job, t, t.price);
        seat(job, t, 3, 4);
        assertState(job, IJobScheduler.JobState.Running);
        address[] memory fifth = new address[](1);
        fifth[0] = nodes[4];
        vm.prank(requester);
        vm.expectRevert(IJobScheduler.NoSeatFree.selector);
        scheduler.acceptBids(job, d, fifth);
        // One of the second wave is.
        vm.prank(nodes[3]);
        scheduler.reportFailure(job, d, IJobScheduler.FailureKind.Engine);
        vm.prank(requester);
        vm.expectEmit();
        emit IJobScheduler.BidAccepted(job, nodes[4], 3);
        scheduler.acceptBids(job, d, fifth);
    }

    /// A seat of the first wave that did not commit in time: another chance if the draw opens a second wave.
    function test_a_seat_that_commits_in_neither_wave_loses_its_bond() public {
        IJobScheduler.Terms memory t = audited(3, SPARES);
        bytes32 job = lateIn(t);
        draw(job, t, 3);
        vm.prank(nodes[2]);
        vm.expectRevert(wrongState(IJobScheduler.JobState.Revealing));
        scheduler.commit(job, 0);
        postVerdict(job, t, 3, 3);
        assertEq(free(nodes[2]), MONEY - t.bond);
        assertEq(free(requester), MONEY + 3 * t.price);

        t = audited(3, DRAWS);
        job = lateIn(t);
        draw(job, t, 3);
        seat(job, t, 3, 5);
        commitSeats(job, t, 3, 5);
        vm.warp(block.timestamp + t.run + 1);
        postVerdictLate(job, t, 27);
        assertEq(free(nodes[2]), MONEY - 2 * t.bond);
        assertEq(scheduler.burnt(), 2 * t.bond);
        assertEq(free(requester), MONEY + 4 * t.price);
        assertEq(free(nodes[0]), MONEY + 2 * t.price);
        assertEq(free(nodes[4]), MONEY + t.price);
    }

    function test_a_late_seat_of_the_first_wave_may_commit_with_the_second() public {
        IJobScheduler.Terms memory t = audited(3, DRAWS);
        bytes32 job = lateIn(t);
        draw(job, t, 3);
        seat(job, t, 3, 5);
        commitSeats(job, t, 2, 5);
        postVerdict(job, t, 31, 27);
        assertEq(free(nodes[2]), MONEY, "and lied");
        assertEq(scheduler.accounts(nodes[2]).rejected, 1);
        assertEq(scheduler.accounts(nodes[4]).paid, t.price);
        assertEq(free(requester), MONEY + t.price);
    }

    /// Two of three seats of the first wave have committed when their time is over.
    function lateIn(IJobScheduler.Terms memory t) private returns (bytes32 job) {
        job = submit(t);
        seat(job, t, 0, 3);
        commitSeats(job, t, 0, 2);
        vm.warp(block.timestamp + t.run + 1);
        assertState(job, IJobScheduler.JobState.Revealing);
    }

    function postVerdictLate(bytes32 job, IJobScheduler.Terms memory t, uint256 seats) private {
        for (uint256 i = 0; i < 5; ++i) {
            if (seats >> i & 1 != 0) reveal(job, i, t);
        }
        postVerdict(job, t, seats, seats);
        assertState(job, IJobScheduler.JobState.Verified);
    }

    function test_a_first_wave_that_comes_to_no_quorum_is_never_drawn() public {
        IJobScheduler.Terms memory t = audited(3, DRAWS);
        bytes32 job = submit(t);
        seat(job, t, 0, 2);
        vm.warp(block.timestamp + t.open + 1);
        expire(job, t, holdersOf(job, t, 3, 0));
        assertState(job, IJobScheduler.JobState.Expired);
        assertStage(job, IJobScheduler.AuditStage.Undrawn);
        assertEq(free(requester), MONEY + 5 * t.price);

        job = submit(t);
        seat(job, t, 0, 3);
        commitSeats(job, t, 0, 1);
        vm.warp(block.timestamp + t.run + 1);
        IJobScheduler.SeatHolder[] memory one = holdersOf(job, t, 1, 1);
        refusesDraw(job, t, SECRET, one, wrongState(IJobScheduler.JobState.Running));
        expire(job, t, one);
        assertState(job, IJobScheduler.JobState.Failed);
        assertEq(free(nodes[0]), MONEY, "without a quorum there was nothing to draw, nor to pay");
        assertEq(scheduler.burnt(), 2 * t.bond);
        assertEq(free(requester), MONEY + 10 * t.price);
    }

    function test_stopping_the_second_wave_pays_every_seat_of_both() public {
        IJobScheduler.Terms memory t = audited(1, DRAWS);
        bytes32 job = awaiting(t);
        draw(job, t, 1);
        seat(job, t, 1, 3);
        IJobScheduler.SeatHolder[] memory all = holdersOf(job, t, 7, 1);
        bytes memory d = deal_(job, t);
        vm.prank(requester);
        scheduler.stop(job, d, all);
        for (uint256 i = 0; i < 3; ++i) {
            assertEq(free(nodes[i]), MONEY + t.price);
        }
        assertEq(free(requester), MONEY + t.keeperFee);
    }

    function test_first_come_bids_take_the_seats_of_the_second_wave() public {
        IJobScheduler.Terms memory t = audited(1, DRAWS);
        t.acceptance = IJobScheduler.Acceptance.FirstCome;
        bytes32 job = submit(t);
        bidOf(nodes[0], job, t, t.price);
        commitSeats(job, t, 0, 1);
        bytes memory d = deal_(job, t);
        vm.prank(nodes[1]);
        vm.expectRevert(wrongState(IJobScheduler.JobState.Revealing));
        scheduler.bid(job, d, t.price);
        draw(job, t, 1);
        vm.prank(nodes[0]);
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.AlreadyBid.selector, nodes[0]));
        scheduler.bid(job, d, t.price);
        vm.prank(nodes[1]);
        vm.expectEmit();
        emit IJobScheduler.SeatTaken(job, nodes[1], 1);
        scheduler.bid(job, d, t.price);
        bidOf(nodes[2], job, t, t.price);
        commitSeats(job, t, 1, 3);
        postVerdict(job, t, 7, 7);
        assertEq(free(nodes[2]), MONEY + t.price);
        assertEq(free(requester), MONEY);
    }

    /// The plan was void once the first seat was filled: neither wave can be taken back.
    function test_a_drawn_job_is_neither_updated_cancelled_nor_stopped_while_it_is_open() public {
        IJobScheduler.Terms memory t = audited(1, DRAWS);
        bytes32 job = awaiting(t);
        draw(job, t, 1);
        IJobScheduler.SeatHolder[] memory one = holdersOf(job, t, 1, 1);
        bytes memory d = deal_(job, t);
        vm.startPrank(requester);
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.SeatsTaken.selector, 1));
        scheduler.updateDeal(job, d, packed(t));
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.SeatsTaken.selector, 1));
        scheduler.cancel(job, d);
        vm.expectRevert(wrongState(IJobScheduler.JobState.Open));
        scheduler.stop(job, d, one);
        vm.stopPrank();
    }

    function test_an_update_of_the_deal_starts_its_audit_anew() public {
        IJobScheduler.Terms memory t = audited(1, SPARES);
        IJobScheduler.Terms memory without = audited(1, SPARES);
        without.audit = 0;
        IJobScheduler.Terms memory next = audited(1, DRAWS);
        bytes32 job = submit(t);
        assertStage(job, IJobScheduler.AuditStage.Undrawn);
        update(job, t, without);
        assertStage(job, IJobScheduler.AuditStage.None);
        assertEq(free(requester), MONEY + 2 * t.price);
        update(job, without, next);
        assertStage(job, IJobScheduler.AuditStage.Undrawn);
        assertEq(free(requester), MONEY);
        seat(job, next, 0, 1);
        commitSeats(job, next, 0, 1);
        draw(job, next, 1);
        assertStage(job, IJobScheduler.AuditStage.Drawn);
    }

    function update(bytes32 job, IJobScheduler.Terms memory t, IJobScheduler.Terms memory next) private {
        bytes memory d = deal_(job, t);
        vm.prank(requester);
        scheduler.updateDeal(job, d, packed(next));
    }

    /// One more than twice the seats of both waves, all of which compare.
    function test_a_follow_up_is_larger_than_both_waves_and_has_no_audit() public {
        IJobScheduler.Terms memory t = audited(1, DRAWS);
        (t.method, t.escalationLimit) = (IJobScheduler.Method.Hash, 31);
        bytes32 job = awaiting(t);
        draw(job, t, 1);
        seat(job, t, 1, 3);
        IJobScheduler.SeatOpening[] memory list = openings(t, 7);
        for (uint256 i = 1; i < 3; ++i) {
            list[i].opening.resultHash = keccak256(abi.encode("differs", i));
            commit(job, i, list[i].opening);
        }
        bytes memory parent = deal_(job, t);
        vm.prank(keeper);
        scheduler.postVerdict(job, parent, list, 0);
        assertState(job, IJobScheduler.JobState.Inconclusive);
        assertEq(free(requester), MONEY + 3 * (t.price - t.price / 2));

        IJobScheduler.Terms memory child = audited(7, DRAWS);
        (child.method, child.escalationLimit, child.parent) = (t.method, 31, job);
        child.confidence = 1;
        refusesChild(child, parent);
        (child.audit, child.concurrency) = (0, 3);
        refusesChild(child, parent);
        child.concurrency = 7;
        vm.prank(requester);
        bytes32 made = scheduler.submitChild{value: escrow(child)}(packed(child), parent, SPEC, nonce);
        assertEq(scheduler.childOf(job), made);
        assertStage(made, IJobScheduler.AuditStage.None);
        assertEq(free(requester), MONEY + 3 * (t.price - t.price / 2));
    }

    function refusesChild(IJobScheduler.Terms memory child, bytes memory parent) private {
        uint256 value = escrow(child);
        vm.prank(requester);
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.BadParent.selector, child.parent));
        scheduler.submitChild{value: value}(packed(child), parent, SPEC, nonce);
    }

    function test_a_limit_of_both_waves_leaves_no_room_for_a_follow_up() public {
        IJobScheduler.Terms memory t = audited(3, SPARES);
        (t.confidence, t.escalationLimit) = (3, 5);
        bytes32 job = awaiting(t);
        draw(job, t, 7);
        postVerdict(job, t, 7, 0);
        assertState(job, IJobScheduler.JobState.Inconclusive);
        assertEq(free(requester), MONEY + 5 * t.price - 3 * (t.price / 2));
        bytes memory parent = deal_(job, t);
        IJobScheduler.Terms memory child = audited(5, SPARES);
        (child.confidence, child.escalationLimit, child.parent, child.audit) = (3, 5, job, 0);
        refusesChild(child, parent);
    }
}
