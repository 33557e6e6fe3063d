// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Prize} from "../src/Prize.sol";
import {Nodes} from "./Nodes.sol";

contract PrizeTest is Nodes {
    string internal constant GOOD = "docker.io/a/good@sha256:01";
    string internal constant BETTER = "docker.io/b/better@sha256:02";
    string internal constant JUDGE = "docker.io/c/judge@sha256:03";
    string internal constant URL = "https://example.org/hidden.csv";
    uint96 internal constant PAY = 0.001 ether;

    Prize internal prize;
    address internal alice = makeAddr("alice");
    address internal bob = makeAddr("bob");

    function setUp() public override {
        super.setUp();
        (uint256 enterBy, uint256 revealBy) = (block.timestamp + 1 days, block.timestamp + 2 days);
        prize = new Prize{value: 1 ether}(scheduler, JUDGE, sha256("hidden"), enterBy, revealBy, 1 ether);
        vm.deal(alice, 1 ether);
        vm.deal(bob, 1 ether);
    }

    function enter(address who, string memory image) internal returns (uint256) {
        uint256 cost = prize.cost();
        vm.prank(who);
        return prize.enter{value: cost}(image);
    }

    function reveal() internal {
        vm.warp(block.timestamp + 1 days + 1);
        prize.reveal(URL, 6);
    }

    /// Nodes run the next job of the contest, and this is printed.
    function printed(uint64 nonce, bytes32 job, bytes memory spec, bytes memory text) internal {
        run(job, dealOf(address(prize), nonce, spec, prize.terms()), PAY, [text, text, bytes("999999\n")]);
        prize.fulfil(job, proof(job, PAY, text), 0, text);
    }

    function judged(uint256 entry, uint64 nonce, string memory image, bytes memory answer, bytes memory score)
        internal
    {
        printed(nonce, prize.advance(entry), prize.specOf(image), answer);
        vm.expectRevert(Prize.TooEarly.selector);
        prize.award();
        printed(nonce + 1, prize.advance(entry), prize.specOfJudge(answer), score);
    }

    function test_the_best_answer_wins_and_no_program_prints_its_own_score() public {
        enter(alice, GOOD);
        enter(bob, BETTER);
        reveal();
        judged(0, 0, GOOD, "999999999\n", "70\n");
        judged(1, 2, BETTER, "42\n", "71\n");
        prize.award();
        assertEq(scheduler.accounts(bob).free, 1 ether);
        vm.expectRevert(Prize.Over.selector);
        prize.award();
        vm.expectRevert(abi.encodeWithSelector(Prize.NothingDue.selector, 1));
        prize.advance(1);
    }

    function test_who_answers_nothing_or_at_length_is_not_judged_and_nobody_is_judged_twice() public {
        enter(alice, GOOD);
        enter(bob, BETTER);
        reveal();
        bytes32 job = prize.advance(0);
        vm.expectRevert(abi.encodeWithSelector(Prize.NothingDue.selector, 0));
        prize.advance(0);
        printed(0, job, prize.specOf(GOOD), "");
        printed(1, prize.advance(1), prize.specOf(BETTER), new bytes(257));
        assertEq(prize.judged(), 2);
        uint256 before = scheduler.accounts(address(this)).free;
        prize.award();
        assertEq(scheduler.accounts(address(this)).free - before, 1 ether, "nobody has a score");
    }

    function test_the_judge_reads_the_answer_as_digits_whatever_is_in_it() public {
        enter(alice, GOOD);
        reveal();
        string memory spec = string(prize.specOfJudge('"}\n'));
        assertEq(vm.parseJsonString(spec, ".environment.ANSWER"), "227d0a");
        assertEq(vm.parseJsonString(spec, ".image"), JUDGE);
        assertEq(vm.parseJsonString(spec, ".inputs[0].url"), URL);
    }

    function test_nodes_read_the_file_that_the_sponsor_named_before_anybody_entered() public {
        enter(alice, GOOD);
        reveal();
        string memory spec = string(prize.specOf(GOOD));
        assertEq(vm.parseJsonString(spec, ".image"), GOOD);
        assertEq(vm.parseJsonBytes32(spec, ".inputs[0].digest"), sha256("hidden"));
        assertEq(vm.parseJsonString(spec, ".inputs[0].url"), URL);
        assertEq(vm.parseJsonUint(spec, ".inputs[0].bytes"), 6);
    }

    function test_nobody_enters_late_or_with_a_text_that_ends_a_string() public {
        uint256 cost = prize.cost();
        string[4] memory bad = ["", 'a","command":["x', "a b", "a\\"];
        for (uint256 i = 0; i < bad.length; ++i) {
            vm.expectRevert(Prize.BadText.selector);
            prize.enter{value: cost}(bad[i]);
        }
        vm.expectRevert(Prize.TooLittle.selector);
        prize.enter{value: cost - 1}(GOOD);
        vm.warp(block.timestamp + 1 days + 1);
        vm.expectRevert(Prize.TooLate.selector);
        prize.enter{value: cost}(GOOD);
    }

    function test_a_sponsor_who_never_tells_the_file_loses_the_prize_to_those_who_entered() public {
        enter(alice, GOOD);
        enter(bob, BETTER);
        vm.warp(block.timestamp + 2 days + 1);
        vm.expectRevert(Prize.TooLate.selector);
        prize.reveal(URL, 6);
        prize.award();
        assertEq(scheduler.accounts(alice).free, 0.5 ether);
        assertEq(scheduler.accounts(bob).free, 0.5 ether);
    }

    function test_only_the_sponsor_tells_and_not_while_programs_enter() public {
        vm.expectRevert(Prize.TooEarly.selector);
        prize.reveal(URL, 6);
        vm.prank(alice);
        vm.expectRevert(Prize.OnlySponsor.selector);
        prize.reveal(URL, 6);
    }
}
