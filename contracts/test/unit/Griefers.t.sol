// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IJobScheduler} from "../../src/IJobScheduler.sol";
import {Bomb, GreedyReenterer, IWatcher, Reenterer, RefusingBomb, Refuser} from "../harness/Griefers.sol";
import {SchedulerBase} from "../harness/SchedulerBase.sol";

/// Receivers that call back, refuse, or answer with a megabyte: each has what is its own, and nobody else is delayed.
contract GriefersTest is SchedulerBase, IWatcher {
    uint256 private transfers;

    function onTransfer() external {
        ++transfers;
        uint256 owed = scheduler.burnt();
        for (uint256 i = 0; i < nodes.length; ++i) {
            owed += free(nodes[i]);
        }
        owed += free(requester) + free(keeper);
        assertEq(address(scheduler).balance, owed);
    }

    /// Puts `code` where the first node is, and withdraws for it.
    function withdrawAs(bytes memory code, uint256 amount) private returns (bool done) {
        vm.etch(nodes[0], code);
        vm.store(nodes[0], 0, bytes32(uint256(uint160(address(this)))));
        vm.deal(nodes[0], 0);
        vm.prank(nodes[0]);
        (done,) = address(scheduler).call{gas: 2_700_000}(abi.encodeCall(IJobScheduler.withdraw, (amount)));
    }

    function othersAreServed() private {
        vm.prank(nodes[1]);
        scheduler.withdraw(MONEY);
        assertEq(free(nodes[1]), 0);
    }

    function test_who_calls_back_gets_its_own_and_no_more() public {
        assertTrue(withdrawAs(type(Reenterer).runtimeCode, MONEY / 4));
        assertEq(transfers, 4);
        assertEq(nodes[0].balance, MONEY);
        assertEq(free(nodes[0]), 0);
        othersAreServed();
    }

    function test_who_asks_for_all_there_is_gets_its_own() public {
        assertTrue(withdrawAs(type(GreedyReenterer).runtimeCode, MONEY / 2));
        assertEq(nodes[0].balance, MONEY);
        assertEq(free(nodes[0]), 0);
        othersAreServed();
    }

    function test_who_refuses_keeps_its_balance() public {
        assertFalse(withdrawAs(type(Refuser).runtimeCode, MONEY));
        assertEq(free(nodes[0]), MONEY);
        othersAreServed();
    }

    /// A megabyte copied would cost more than the gas that this call has.
    function test_what_a_receiver_answers_is_not_copied() public {
        assertTrue(withdrawAs(type(Bomb).runtimeCode, MONEY / 2));
        assertEq(nodes[0].balance, MONEY / 2);
        assertFalse(withdrawAs(type(RefusingBomb).runtimeCode, MONEY / 2));
        assertEq(free(nodes[0]), MONEY / 2);
        othersAreServed();
    }

    /// Being paid calls nobody: a verdict goes through whatever its seats would do with money.
    function test_a_verdict_pays_griefers_without_calling_them() public {
        IJobScheduler.Terms memory t = terms();
        bytes32 job = revealing(t);
        vm.etch(nodes[0], type(Refuser).runtimeCode);
        vm.etch(nodes[1], type(RefusingBomb).runtimeCode);
        vm.etch(requester, type(Refuser).runtimeCode);
        vm.etch(keeper, type(Refuser).runtimeCode);
        postVerdict(job, t, 7, 3);
        assertEq(free(nodes[0]), MONEY + t.price);
        assertEq(free(nodes[1]), MONEY + t.price);
        assertEq(free(requester), MONEY + t.price);
        assertEq(free(keeper), MONEY + t.keeperFee);
    }

    function test_money_sent_without_a_call_is_nobodys() public {
        vm.deal(address(scheduler), address(scheduler).balance + 5 ether);
        uint256 sum = free(requester) + free(keeper);
        for (uint256 i = 0; i < nodes.length; ++i) {
            sum += free(nodes[i]);
        }
        assertEq(address(scheduler).balance - 5 ether, sum);
        vm.prank(keeper);
        (bool done,) = address(scheduler).call{value: 1}("");
        assertFalse(done, "no function takes money without saying whose it is");
    }
}
