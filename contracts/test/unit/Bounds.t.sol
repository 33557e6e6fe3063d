// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {TermsAt} from "../../src/Deals.sol";
import {IJobScheduler} from "../../src/IJobScheduler.sol";
import {Head, Heads, Purse, Purses} from "../../src/Packing.sol";
import {Rules} from "../../src/Rules.sol";
import {States} from "../../src/States.sol";
import {Verdicts} from "../../src/Verdicts.sol";
import {AuditsBase} from "../harness/AuditsBase.sol";
import {Terms} from "../harness/Terms.sol";

/// Bounds that jobs come to by thousands of steps, or never: bids, how many updates and seats can be counted, the last
/// second, and ties of the scorers.
contract BoundsTest is AuditsBase {
    /// Other logs keep 1,024 bids of a job. Here one more costs what one costs, and nobody else pays for it.
    function test_no_number_of_bids_is_too_many() public {
        IJobScheduler.Terms memory t = terms();
        bytes32 job = submit(t);
        (,, uint256 head,) = scheduler.jobs(job);
        for (uint160 i = 1; i <= 1025; ++i) {
            bidOf(address(i << 32), job, t, t.price);
        }
        (,, uint256 after_,) = scheduler.jobs(job);
        assertEq(after_, head);
        bidOf(nodes[0], job, t, t.price);
        accept(job, t, firstNodes(1));
    }

    function update(IJobScheduler.Terms calldata t, uint256 epoch) external view returns (Head) {
        States.Act memory act = States.Act({at: block.timestamp, author: requester, requester: requester});
        TermsAt next = Terms.place(t);
        return Rules.dealUpdated(Heads.make(next, block.timestamp, epoch), act, 0, next);
    }

    function test_a_deal_is_updated_as_often_as_epochs_can_count() public {
        assertEq(this.update(terms(), Heads.MAX_EPOCH - 1).epoch(), Heads.MAX_EPOCH);
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.InvalidTerms.selector, IJobScheduler.Term.Epoch));
        this.update(terms(), Heads.MAX_EPOCH);
    }

    function test_no_job_is_opened_whose_deadlines_could_not_be_counted() public {
        IJobScheduler.Terms memory t = audited(1, DRAWS);
        uint256 last = uint256(type(uint32).max) - 150 days;
        vm.warp(last + 1);
        vm.prank(requester);
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.InvalidTerms.selector, IJobScheduler.Term.Open));
        scheduler.submit{value: 1 ether}(Terms.pack(t), SPEC, 0);
        vm.warp(last);
        (t.open, t.timeout, t.run, t.reveal) = (30 days, 30 days - 60, 30 days, 30 days);
        bytes32 job = submit(t);
        // Each step at its last second, of both waves.
        vm.warp(last + 30 days);
        seat(job, t, 0, 1);
        vm.warp(last + 60 days);
        commitSeats(job, t, 0, 1);
        vm.warp(last + 90 days);
        draw(job, t, 1);
        vm.warp(last + 120 days);
        seat(job, t, 1, 3);
        (,, uint256 head,) = scheduler.jobs(job);
        assertEq(Head.wrap(head).deadline(), type(uint32).max);
    }

    /// Invariant 14: what is counted stops at its largest and leaves its neighbours and the money alone.
    function testFuzz_14_counters_stop_at_their_largest(uint96 free_, uint96 paid, uint8 which, uint32 others)
        public
        pure
    {
        uint256 counter = Purses.SEATS + 21 * (which % 3);
        uint256 word_ = uint256(paid) << 96 | free_;
        for (uint256 at = Purses.SEATS; at <= Purses.FAILURES; at += 21) {
            word_ |= (at == counter ? Purses.MAX_COUNT - 1 : others & Purses.MAX_COUNT) << at;
        }
        Purse once = Purse.wrap(word_).withOneMore(counter);
        assertEq(once.count(counter), Purses.MAX_COUNT);
        assertEq(Purse.unwrap(once.withOneMore(counter)), Purse.unwrap(once));
        assertEq(Purse.unwrap(once), word_ + (1 << counter));
    }

    /// Likewise of what a party was paid.
    function testFuzz_14_what_was_paid_stops_at_its_largest(uint256 word_, uint96 price) public pure {
        Purse before = Purse.wrap(word_);
        Purse then = before.withPaid(price);
        uint256 sum = before.paid() + price;
        assertEq(then.paid(), sum < type(uint96).max ? sum : type(uint96).max);
        assertEq(Purse.unwrap(then) ^ word_, (then.paid() ^ before.paid()) << 96, "and nothing else changes");
    }

    /// Nine runs whose distances can be cut in two places with the same gain: the uneven cut counts, and it leaves no
    /// majority.
    function test_of_equal_gains_the_uneven_cut_counts() public pure {
        uint8[9] memory levels = [1, 1, 1, 1, 1, 3, 6, 6, 7];
        uint256[] memory words = new uint256[](9);
        for (uint256 i = 0; i < 9; ++i) {
            words[i] = word(levels[i], 1);
        }
        Verdicts.Question memory question =
            Verdicts.Question(9, 5, 0, 0, IJobScheduler.Method.KMeans, false, 333, false);
        Verdicts.Runs memory runs = Verdicts.Runs(new uint256[](9), words, new uint256[](9), new uint256[](9));
        assertEq(Verdicts.score(question, runs), 0);
        // Without the tie the larger group near the mean is left, and of it the five that are equal.
        words[8] = word(8, 1);
        assertEq(Verdicts.score(question, runs), 31);
    }
}
