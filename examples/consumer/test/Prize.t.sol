// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Prize} from "../src/Prize.sol";
import {Nodes} from "./Nodes.sol";

contract PrizeTest is Nodes {
    string internal constant GOOD = "docker.io/a/good@sha256:01";
    string internal constant BETTER = "docker.io/b/better@sha256:02";
    string internal constant URL = "https://example.org/hidden.csv";
    uint96 internal constant PAY = 0.001 ether;

    Prize internal prize;
    address internal alice = makeAddr("alice");
    address internal bob = makeAddr("bob");

    function setUp() public override {
        super.setUp();
        (uint256 enterBy, uint256 revealBy) = (block.timestamp + 1 days, block.timestamp + 2 days);
        prize = new Prize{value: 1 ether}(scheduler, sha256("hidden"), enterBy, revealBy, 1 ether);
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

    function judged(uint256 entry, uint64 nonce, string memory image, bytes memory score) internal {
        bytes32 job = prize.judge(entry);
        bytes memory deal = dealOf(address(prize), nonce, prize.specOf(image), prize.terms());
        run(job, deal, PAY, [score, score, bytes("999999\n")]);
        prize.fulfil(job, proof(job, PAY, score), 0, score);
    }

    function test_the_best_score_on_the_hidden_file_wins_and_a_lie_counts_for_nothing() public {
        enter(alice, GOOD);
        enter(bob, BETTER);
        reveal();
        judged(0, 0, GOOD, "70\n");
        vm.expectRevert(Prize.TooEarly.selector);
        prize.award();
        judged(1, 1, BETTER, "71\n");
        prize.award();
        assertEq(scheduler.accounts(bob).free, 1 ether);
        vm.expectRevert(Prize.Over.selector);
        prize.award();
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
