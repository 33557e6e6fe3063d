// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IJobScheduler} from "../../src/IJobScheduler.sol";
import {SchedulerBase} from "../harness/SchedulerBase.sol";
import {FeeToken, Token} from "../harness/Tokens.sol";

/// Deposits and withdrawals of any amounts of a token that may take any fee.
contract TokensFuzz is SchedulerBase {
    FeeToken private asset;

    function setUp() public override {
        asset = new FeeToken();
        token = Token(asset);
        super.setUp();
    }

    function testFuzz_what_is_booked_is_there_whatever_the_fee(
        uint256[8] calldata amounts,
        uint8[8] calldata fees,
        uint256 ways
    ) public {
        for (uint256 i = 0; i < amounts.length; ++i) {
            address who = nodes[i % nodes.length];
            uint256 had = free(who);
            asset.set(fees[i] % 3, ways >> i & 1 != 0);
            bool isIn = ways >> (16 + i) & 1 != 0;
            uint256 amount = bound(amounts[i], 3, isIn ? 3 * MONEY : had > 3 ? had : 3);
            token.mint(who, amount + 3);
            vm.startPrank(who);
            if (isIn) {
                token.approve(address(scheduler), amount);
                try scheduler.depositToken(who, amount) {
                    had += amount;
                } catch (bytes memory reason) {
                    assertEq(bytes4(reason), IJobScheduler.InexactTransfer.selector);
                    assertNotEq(asset.fee(), 0);
                }
            } else {
                try scheduler.withdraw(amount) {
                    had -= amount;
                } catch (bytes memory reason) {
                    bool isFee = asset.fee() != 0 && asset.isOnTop();
                    assertTrue(isFee || amount > had, "a withdrawal waits for nothing");
                    assertTrue(
                        bytes4(reason) == IJobScheduler.InexactTransfer.selector
                            || bytes4(reason) == IJobScheduler.TransferFailed.selector
                            || bytes4(reason) == IJobScheduler.NotFunded.selector
                    );
                }
            }
            vm.stopPrank();
            assertEq(free(who), had);
            uint256 owed = free(requester) + free(keeper);
            for (uint256 k = 0; k < nodes.length; ++k) {
                owed += free(nodes[k]);
            }
            assertEq(token.balanceOf(address(scheduler)), owed);
        }
    }
}
