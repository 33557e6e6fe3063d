// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IJobScheduler} from "../../src/IJobScheduler.sol";
import {Head, Heads, Purse, Purses} from "../../src/Packing.sol";
import {Rules} from "../../src/Rules.sol";
import {Verdicts} from "../../src/Verdicts.sol";
import {SchedulerBase} from "../harness/SchedulerBase.sol";

/// Bounds that jobs come to by thousands of steps, or never: how many bids, updates and seats can be counted, the last
/// second, and ties of the scorers.
contract BoundsTest is SchedulerBase {
    function test_a_job_takes_1024_bids_and_not_one_more() public {
        IJobScheduler.Terms memory t = terms();
        bytes32 job = submit(t);
        for (uint160 i = 1; i <= 1024; ++i) {
            bidOf(address(i << 32), job, t, t.price);
        }
        IJobScheduler.Deal memory d = deal_(t);
        vm.prank(nodes[0]);
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.TooManyBids.selector, 1024));
        scheduler.bid(job, d, t.price);
        accept(job, t, oneNode(address(uint160(1024) << 32)));
    }

    function oneNode(address node) private pure returns (address[] memory list) {
        list = new address[](1);
        list[0] = node;
    }

    function update(IJobScheduler.Terms calldata t, uint256 epoch) external view returns (Head) {
        Rules.Act memory act = Rules.Act({at: block.timestamp, author: requester, requester: requester});
        return Rules.dealUpdated(Heads.make(t, block.timestamp, 0, epoch), act, 0, t);
    }

    function test_a_deal_is_updated_as_often_as_epochs_can_count() public {
        assertEq(this.update(terms(), Heads.MAX_EPOCH - 1).epoch(), Heads.MAX_EPOCH);
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.InvalidTerms.selector, IJobScheduler.Term.Epoch));
        this.update(terms(), Heads.MAX_EPOCH);
    }

    function test_no_job_is_opened_whose_deadlines_could_not_be_counted() public {
        IJobScheduler.Terms memory t = terms();
        uint256 last = uint256(type(uint32).max) - 60 days;
        vm.warp(last + 1);
        vm.prank(requester);
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.InvalidTerms.selector, IJobScheduler.Term.Open));
        scheduler.submit{value: 1 ether}(t, SPEC, 0);
        vm.warp(last);
        (t.open, t.timeout, t.run) = (30 days, 30 days - 60, 30 days);
        bytes32 job = submit(t);
        vm.warp(last + 30 days);
        bid(job, t, 3);
        accept(job, t, firstNodes(3));
        (,, uint256 head,) = scheduler.jobs(job);
        assertEq(Head.wrap(head).deadline(), type(uint32).max);
    }

    /// Invariant 14: what is counted stops at its largest and leaves its neighbours and the money alone.
    function testFuzz_14_counters_stop_at_their_largest(uint96 free_, uint8 which, uint32 others)
        public
        pure
    {
        uint256 counter = Purses.SEATS + 32 * (which % 4);
        uint256 word_ = free_;
        for (uint256 at = Purses.SEATS; at <= Purses.FAILURES; at += 32) {
            word_ |= uint256(at == counter ? type(uint32).max - 1 : others) << at;
        }
        Purse once = Purse.wrap(word_).withOneMore(counter);
        assertEq(once.count(counter), type(uint32).max);
        assertEq(Purse.unwrap(once.withOneMore(counter)), Purse.unwrap(once));
        assertEq(Purse.unwrap(once), word_ + (1 << counter));
    }

    /// Nine runs whose distances can be cut in two places with the same gain: the uneven cut counts, and it leaves no
    /// majority.
    function test_of_equal_gains_the_uneven_cut_counts() public pure {
        uint8[9] memory levels = [1, 1, 1, 1, 1, 3, 6, 6, 7];
        uint256[] memory words = new uint256[](9);
        for (uint256 i = 0; i < 9; ++i) {
            words[i] = word(levels[i], 1);
        }
        Verdicts.Question memory question = Verdicts.Question(9, 5, 0, 0, IJobScheduler.Method.KMeans, false);
        assertEq(Verdicts.score(question, words, new uint256[](9)), 0);
        // Without the tie the larger group near the mean is left, and of it the five that are equal.
        words[8] = word(8, 1);
        assertEq(Verdicts.score(question, words, new uint256[](9)), 31);
    }
}
