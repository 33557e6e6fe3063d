// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IJobScheduler} from "../../src/IJobScheduler.sol";
import {Head} from "../../src/Packing.sol";
import {AuditsBase} from "../harness/AuditsBase.sol";
import {Terms} from "../harness/Terms.sol";

/// The draw itself: who makes it, when, over what, and what nobody may do before it.
contract DrawsTest is AuditsBase {
    uint256 private constant START = 1_700_000_000;

    function test_the_secret_is_the_requesters_and_the_one_in_the_deal() public {
        IJobScheduler.Terms memory t = audited(1, DRAWS);
        bytes32 job = awaiting(t);
        IJobScheduler.SeatHolder[] memory one = holdersOf(job, t, 1, 1);
        bytes memory d = deal_(job, t);
        vm.prank(nodes[0]);
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.NotRequester.selector, requester));
        scheduler.publishSecret(job, d, SECRET, one);
        bytes memory wrong = abi.encodeWithSelector(IJobScheduler.WrongSecret.selector);
        refusesDraw(job, t, bytes32(uint256(SECRET) ^ 1), one, wrong);
        refusesDraw(job, t, 0, one, wrong);
        t.audit = audit(1, 2);
        refusesDraw(job, t, SECRET, one, abi.encodeWithSelector(IJobScheduler.WrongDeal.selector, job));
        vm.prank(requester);
        vm.expectEmit();
        emit IJobScheduler.SecretPublished(job, SECRET);
        scheduler.publishSecret(job, d, SECRET, one);
        assertStage(job, IJobScheduler.AuditStage.Drawn);
    }

    /// Of the hash in the terms, 240 bits: its last sixteen are the chance and the seats.
    function test_every_bit_of_the_hash_is_compared() public {
        for (uint256 bit = 16; bit < 256; bit += 239) {
            IJobScheduler.Terms memory t = audited(1, DRAWS);
            t.audit ^= bytes32(1 << bit);
            bytes32 job = awaiting(t);
            IJobScheduler.SeatHolder[] memory one = holdersOf(job, t, 1, 1);
            refusesDraw(job, t, SECRET, one, abi.encodeWithSelector(IJobScheduler.WrongSecret.selector));
        }
    }

    function test_a_job_is_drawn_once() public {
        IJobScheduler.Terms memory t = audited(1, SPARES);
        bytes32 job = awaiting(t);
        IJobScheduler.SeatHolder[] memory one = holdersOf(job, t, 1, 1);
        publishSecret(job, t, SECRET, one);
        refusesDraw(job, t, SECRET, one, abi.encodeWithSelector(IJobScheduler.NoDrawDue.selector));

        t = audited(1, DRAWS);
        job = awaiting(t);
        one = holdersOf(job, t, 1, 1);
        publishSecret(job, t, SECRET, one);
        refusesDraw(job, t, SECRET, one, wrongState(IJobScheduler.JobState.Open));
        seat(job, t, 1, 3);
        refusesDraw(job, t, SECRET, one, wrongState(IJobScheduler.JobState.Running));
        commitSeats(job, t, 1, 3);
        IJobScheduler.SeatHolder[] memory all = holdersOf(job, t, 7, 7);
        refusesDraw(job, t, SECRET, all, abi.encodeWithSelector(IJobScheduler.NoDrawDue.selector));
    }

    function test_no_draw_before_the_first_wave_has_committed_nor_without_an_audit() public {
        IJobScheduler.Terms memory t = audited(3, DRAWS);
        bytes32 job = submit(t);
        IJobScheduler.SeatHolder[] memory none;
        refusesDraw(job, t, SECRET, none, wrongState(IJobScheduler.JobState.Open));
        seat(job, t, 0, 3);
        commitSeats(job, t, 0, 2);
        IJobScheduler.SeatHolder[] memory two = holdersOf(job, t, 3, 3);
        refusesDraw(job, t, SECRET, two, wrongState(IJobScheduler.JobState.Running));

        t = terms();
        job = revealing(t);
        IJobScheduler.SeatHolder[] memory all = holdersOf(job, t, 7, 7);
        refusesDraw(job, t, SECRET, all, abi.encodeWithSelector(IJobScheduler.NoDrawDue.selector));
    }

    /// A requester that could choose the commitments could choose the draw.
    function test_a_draw_takes_exactly_what_was_committed() public {
        IJobScheduler.Terms memory t = audited(3, DRAWS);
        bytes32 job = submit(t);
        seat(job, t, 0, 3);
        commitSeats(job, t, 0, 2);
        vm.warp(block.timestamp + t.run + 1);
        refusesSeats(job, t, holdersOf(job, t, 1, 3));
        refusesSeats(job, t, holdersOf(job, t, 7, 3));
        refusesSeats(job, t, new IJobScheduler.SeatHolder[](0));
        IJobScheduler.SeatHolder[] memory given = holdersOf(job, t, 3, 3);
        (given[0], given[1]) = (given[1], given[0]);
        refusesSeats(job, t, given);
        given[0] = given[1];
        refusesSeats(job, t, given);
        given = holdersOf(job, t, 3, 3);
        given[1].commitment = keccak256("another");
        refusesHolder(job, t, given);
        given = holdersOf(job, t, 3, 3);
        given[1].price -= 1;
        refusesHolder(job, t, given);
        given = holdersOf(job, t, 3, 3);
        given[1].node = nodes[2];
        refusesHolder(job, t, given);
        assertStage(job, IJobScheduler.AuditStage.Undrawn);
        draw(job, t, 3);
        assertStage(job, IJobScheduler.AuditStage.Drawn);
    }

    function refusesSeats(bytes32 job, IJobScheduler.Terms memory t, IJobScheduler.SeatHolder[] memory given)
        private
    {
        refusesDraw(job, t, SECRET, given, abi.encodeWithSelector(IJobScheduler.WrongSeats.selector, 3));
    }

    function refusesHolder(bytes32 job, IJobScheduler.Terms memory t, IJobScheduler.SeatHolder[] memory given)
        private
    {
        refusesDraw(job, t, SECRET, given, abi.encodeWithSelector(IJobScheduler.WrongHolder.selector, 1));
    }

    /// keccak256(secret, commitments by seat) modulo 1000 against the chance, on both sides of it.
    function test_the_draw_is_the_hash_of_secret_and_commitments() public {
        uint256 drawn = uint256(
            keccak256(abi.encodePacked(SECRET, bytes32(uint256(7)), bytes32(uint256(9)), bytes32(uint256(8))))
        ) % 1000;
        for (uint256 i = 0; i < 2; ++i) {
            IJobScheduler.Terms memory t = audited(3, drawn + i);
            bytes32 job = submit(t);
            seat(job, t, 0, 3);
            IJobScheduler.SeatHolder[] memory given = holdersOf(job, t, 7, 0);
            (given[0].commitment, given[1].commitment) = (bytes32(uint256(7)), bytes32(uint256(9)));
            given[2].commitment = bytes32(uint256(8));
            for (uint256 k = 0; k < 3; ++k) {
                vm.prank(nodes[k]);
                scheduler.commit(job, given[k].commitment);
            }
            publishSecret(job, t, SECRET, given);
            assertStage(job, i == 0 ? IJobScheduler.AuditStage.Spared : IJobScheduler.AuditStage.Drawn);
        }
    }

    function test_nobody_reveals_or_judges_before_the_draw() public {
        IJobScheduler.Terms memory t = audited(3, DRAWS);
        bytes32 job = awaiting(t);
        assertState(job, IJobScheduler.JobState.Revealing);
        bytes memory awaits = abi.encodeWithSelector(IJobScheduler.AwaitsSecret.selector);
        refusesReveal(job, t, 0, awaits);
        refusesVerdict(job, t, 7, 3, awaits);
        // Nor once the time of the draw is over.
        vm.warp(block.timestamp + t.reveal + 1);
        refusesReveal(job, t, 0, awaits);
        refusesVerdict(job, t, 7, 3, awaits);
    }

    function test_nobody_reveals_before_the_second_wave_has_committed() public {
        IJobScheduler.Terms memory t = audited(1, DRAWS);
        bytes32 job = awaiting(t);
        draw(job, t, 1);
        refusesBoth(job, t, IJobScheduler.JobState.Open);
        seat(job, t, 1, 2);
        refusesBoth(job, t, IJobScheduler.JobState.Open);
        seat(job, t, 2, 3);
        refusesBoth(job, t, IJobScheduler.JobState.Running);
        commitSeats(job, t, 1, 2);
        refusesBoth(job, t, IJobScheduler.JobState.Running);
        commitSeats(job, t, 2, 3);
        (, uint256 revealBy, uint256 head,) = scheduler.jobs(job);
        assertEq(revealBy, block.timestamp + t.reveal);
        assertEq(Head.wrap(head).asked(), 3);
        reveal(job, 0, t);
        // One of three is no quorum.
        vm.warp(revealBy + 1);
        bytes memory few = abi.encodeWithSelector(IJobScheduler.QuorumNotRevealed.selector, 1, 2);
        refusesVerdict(job, t, 1, 1, few);
    }

    function refusesBoth(bytes32 job, IJobScheduler.Terms memory t, IJobScheduler.JobState state) private {
        refusesReveal(job, t, 0, wrongState(state));
        refusesVerdict(job, t, 1, 1, wrongState(state));
    }

    function refusesTerms(IJobScheduler.Terms memory t, IJobScheduler.Term term) private {
        vm.prank(requester);
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.InvalidTerms.selector, term));
        scheduler.submit{value: 1 ether}(Terms.pack(t), SPEC, 0);
    }

    function test_the_terms_of_an_audit_are_bounded() public {
        IJobScheduler.Terms memory t = terms();
        uint256[2][4] memory bad =
            [[uint256(100), 0], [uint256(0), 2], [uint256(1001), 2], [uint256(2047), 2]];
        for (uint256 i = 0; i < bad.length; ++i) {
            t.audit = audit(bad[i][0], bad[i][1]);
            refusesTerms(t, IJobScheduler.Term.Audit);
        }
        t.audit = bytes32(uint256(100 << 5 | 2));
        refusesTerms(t, IJobScheduler.Term.Audit);
        // The hash is whatever its requester says, but not zero.
        t.audit = bytes32(uint256(1 << 16 | 1000 << 5 | 28));
        submit(t);
        t.audit = audit(100, 29);
        refusesTerms(t, IJobScheduler.Term.Audit);
        // With more seats than there may be, a limit at the most is not what is wrong.
        t.escalationLimit = 31;
        refusesTerms(t, IJobScheduler.Term.Audit);
        (t.audit, t.escalationLimit) = (audit(1, 2), 4);
        refusesTerms(t, IJobScheduler.Term.EscalationLimit);
        t.escalationLimit = 5;
        submit(t);
    }

    function test_the_price_of_both_waves_fits_an_account() public {
        IJobScheduler.Terms memory t = terms();
        (t.price, t.keeperFee) = (type(uint96).max / 5, type(uint96).max % 5);
        t.bond = t.price;
        t.audit = audit(1, 3);
        refusesTerms(t, IJobScheduler.Term.Price);
        // Five seats and the fee are all the money that there can be.
        t.audit = audit(1, 2);
        vm.prank(requester);
        vm.expectRevert(
            abi.encodeWithSelector(IJobScheduler.NotFunded.selector, requester, MONEY, type(uint96).max)
        );
        scheduler.submit(Terms.pack(t), SPEC, 0);
    }

    // Signed jobs.

    /// Every seat has signed its bid and its commitment, and the contract has one hash of all.
    function rostered(IJobScheduler.Terms memory t) private returns (bytes32 job) {
        IJobScheduler.SignedBid[] memory list = signedBids(nextJob(t), t, t.concurrency + 1);
        job = submitSigned(t, list);
        assertState(job, IJobScheduler.JobState.Running);
        IJobScheduler.SeatHolder[] memory holders = roster(job, t);
        IJobScheduler.Signed[] memory by = signatures(job, t, holders);
        // Before all have committed no draw is due, whatever is said of the commitments.
        refusesRosteredDraw(
            job,
            t,
            rosteredHead(t, START, 0),
            holders,
            abi.encodeWithSelector(IJobScheduler.WrongRoster.selector, job)
        );
        refusesRosteredDraw(
            job, t, rosteredHead(t, START, 0), uncommitted(job, t), wrongState(IJobScheduler.JobState.Running)
        );
        scheduler.commitRostered(job, revisionOf(t), rosteredHead(t, START, 0), holders, by);
        bytes memory d = deal_(job, t);
        IJobScheduler.SeatOpening[] memory all = openings(t, (1 << t.concurrency) - 1);
        vm.expectRevert(IJobScheduler.AwaitsSecret.selector);
        scheduler.postVerdictRostered(job, d, committedHead(t), all, 3);
        refusesDraw(job, t, SECRET, holders, abi.encodeWithSelector(IJobScheduler.Rostered.selector, job));
    }

    function roster(bytes32 job, IJobScheduler.Terms memory t)
        private
        view
        returns (IJobScheduler.SeatHolder[] memory)
    {
        uint256 all = (1 << t.concurrency) - 1;
        return holdersOf(job, t, all, all);
    }

    function uncommitted(bytes32 job, IJobScheduler.Terms memory t)
        private
        view
        returns (IJobScheduler.SeatHolder[] memory)
    {
        return holdersOf(job, t, (1 << t.concurrency) - 1, 0);
    }

    function committedHead(IJobScheduler.Terms memory t) private pure returns (uint256) {
        return rosteredHead(t, START, START);
    }

    function sparedHead(IJobScheduler.Terms memory t, uint256 at) private pure returns (uint256) {
        return Head.unwrap(Head.wrap(committedHead(t)).spared(at));
    }

    function drawRostered(bytes32 job, IJobScheduler.Terms memory t) private {
        IJobScheduler.SeatHolder[] memory holders = roster(job, t);
        bytes memory d = deal_(job, t);
        vm.prank(requester);
        scheduler.publishSecretRostered(job, d, committedHead(t), SECRET, holders);
    }

    function refusesRosteredDraw(
        bytes32 job,
        IJobScheduler.Terms memory t,
        uint256 head,
        IJobScheduler.SeatHolder[] memory holders,
        bytes memory reason
    ) private {
        bytes memory d = deal_(job, t);
        vm.prank(requester);
        vm.expectRevert(reason);
        scheduler.publishSecretRostered(job, d, head, SECRET, holders);
    }

    function test_a_signed_job_is_spared_as_one_hash() public {
        IJobScheduler.Terms memory t = audited(3, SPARES);
        bytes32 job = rostered(t);
        vm.warp(START + 20);
        vm.expectEmit();
        emit IJobScheduler.SecretPublished(job, SECRET);
        drawRostered(job, t);
        assertState(job, IJobScheduler.JobState.Revealing);
        (,, uint256 kept,) = scheduler.jobs(job);
        assertTrue(Head.wrap(kept).isRostered());
        bytes memory again = abi.encodeWithSelector(IJobScheduler.NoDrawDue.selector);
        refusesRosteredDraw(job, t, sparedHead(t, START + 20), roster(job, t), again);
        // Reveals have the whole of their time from the draw on.
        vm.warp(START + 20 + t.reveal);
        postVerdictRostered(job, t, sparedHead(t, START + 20), 7, 3);
        assertState(job, IJobScheduler.JobState.Verified);
        assertEq(free(nodes[0]), MONEY + t.price);
        assertEq(free(nodes[2]), MONEY);
        assertEq(free(nodes[3]), MONEY, "three of its four bids took a seat");
        assertEq(free(requester), MONEY + 3 * t.price);
        assertEq(free(keeper), MONEY + t.keeperFee);
    }

    function test_a_spared_signed_job_can_still_be_unpacked() public {
        IJobScheduler.Terms memory t = audited(3, SPARES);
        bytes32 job = rostered(t);
        drawRostered(job, t);
        IJobScheduler.SeatHolder[] memory holders = roster(job, t);
        bytes32 revision = revisionOf(t);
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.WrongRoster.selector, job));
        scheduler.unpack(job, revision, committedHead(t), holders);
        scheduler.unpack(job, revision, sparedHead(t, START), holders);
        assertStage(job, IJobScheduler.AuditStage.Spared);
        reveal(job, 0, t);
        postVerdict(job, t, 7, 3);
        assertState(job, IJobScheduler.JobState.Verified);
    }

    function test_the_draw_of_a_signed_job_is_the_requesters_and_over_its_roster() public {
        IJobScheduler.Terms memory t = audited(3, DRAWS);
        bytes32 job = rostered(t);
        bytes memory wrong = abi.encodeWithSelector(IJobScheduler.WrongRoster.selector, job);
        refusesRosteredDraw(job, t, rosteredHead(t, START, 0), roster(job, t), wrong);
        refusesRosteredDraw(job, t, committedHead(t), uncommitted(job, t), wrong);
        refusesRosteredDraw(job, t, committedHead(t), holdersOf(job, t, 3, 3), wrong);
        IJobScheduler.SeatHolder[] memory given = roster(job, t);
        (given[0], given[1]) = (given[1], given[0]);
        refusesRosteredDraw(job, t, committedHead(t), given, wrong);
        given = roster(job, t);
        given[1].commitment = keccak256("another");
        refusesRosteredDraw(job, t, committedHead(t), given, wrong);

        given = roster(job, t);
        bytes memory d = deal_(job, t);
        uint256 head = committedHead(t);
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.NotRequester.selector, requester));
        scheduler.publishSecretRostered(job, d, head, SECRET, given);
        vm.prank(requester);
        vm.expectRevert(IJobScheduler.WrongSecret.selector);
        scheduler.publishSecretRostered(job, d, head, 0, given);
        IJobScheduler.Terms memory other = audited(3, SPARES);
        refusesRosteredDraw(
            job, other, head, given, abi.encodeWithSelector(IJobScheduler.WrongDeal.selector, job)
        );
        vm.warp(START + t.reveal + 1);
        bytes memory late = abi.encodeWithSelector(IJobScheduler.DeadlinePassed.selector, START + t.reveal);
        refusesRosteredDraw(job, t, head, given, late);
        bytes memory unknown = abi.encodeWithSelector(IJobScheduler.NoSuchJob.selector, bytes32(uint256(1)));
        vm.prank(requester);
        vm.expectRevert(unknown);
        scheduler.publishSecretRostered(bytes32(uint256(1)), d, head, SECRET, given);
    }

    function test_who_unpacks_a_signed_job_first_voids_no_draw() public {
        IJobScheduler.Terms memory t = audited(3, SPARES);
        bytes32 job = rostered(t);
        scheduler.unpack(job, revisionOf(t), committedHead(t), roster(job, t));
        drawRostered(job, t);
        assertStage(job, IJobScheduler.AuditStage.Spared);
        postVerdict(job, t, 7, 3);
        assertEq(free(nodes[0]), MONEY + t.price);
    }

    function test_the_second_wave_of_a_signed_job_bids_anew_and_may_sign_its_commitments() public {
        IJobScheduler.Terms memory t = audited(3, DRAWS);
        bytes32 job = rostered(t);
        vm.expectEmit();
        emit IJobScheduler.Unpacked(job);
        drawRostered(job, t);
        assertStage(job, IJobScheduler.AuditStage.Drawn);
        seat(job, t, 3, 5);
        IJobScheduler.SeatHolder[] memory second = holdersOf(job, t, 24, 24);
        IJobScheduler.Signed[] memory by = signatures(job, t, second);
        bytes memory d = deal_(job, t);
        scheduler.commitSigned(job, d, second, by);
        postVerdict(job, t, 31, 27);
        assertState(job, IJobScheduler.JobState.Verified);
        for (uint256 i = 0; i < 5; ++i) {
            assertEq(free(nodes[i]), i == 2 ? MONEY : MONEY + t.price);
        }
        assertEq(free(requester), MONEY + t.price);
        assertEq(scheduler.burnt(), 0);
    }

    function test_a_lone_seat_that_signed_counts_once_it_is_compared() public {
        IJobScheduler.Terms memory t = audited(1, SPARES);
        bytes32 job = rostered(t);
        drawRostered(job, t);
        assertEq(scheduler.accounts(nodes[0]).seats, 0);
        t.audit = audit(DRAWS, 2);
        job = rostered(t);
        assertEq(scheduler.accounts(nodes[0]).seats, 0);
        drawRostered(job, t);
        assertEq(scheduler.accounts(nodes[0]).seats, 1);
    }

    function test_a_withheld_secret_pays_the_seats_of_a_signed_job() public {
        IJobScheduler.Terms memory t = audited(3, DRAWS);
        bytes32 job = rostered(t);
        vm.warp(block.timestamp + t.reveal + 1);
        scheduler.unpack(job, revisionOf(t), committedHead(t), roster(job, t));
        expire(job, t, holdersOf(job, t, 7, 7));
        for (uint256 i = 0; i < 3; ++i) {
            assertEq(free(nodes[i]), MONEY + t.price);
        }
        assertEq(free(requester), MONEY + 2 * t.price);
        assertEq(free(keeper), MONEY + t.keeperFee);
    }
}
