// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {AssayConsumer} from "../../src/consumer/AssayConsumer.sol";
import {NumberBuyer} from "../harness/Consumers.sol";
import {ConsumerSteps} from "./ConsumerSteps.sol";
import {Test} from "forge-std/Test.sol";

/// A contract that asks hears of each request once, whatever anybody does in whatever order.
contract ConsumerInvariantTest is Test {
    ConsumerSteps internal steps;

    function setUp() public {
        steps = new ConsumerSteps();
        steps.setUp();
        bytes4[] memory selectors = new bytes4[](8);
        selectors[0] = ConsumerSteps.stepAsk.selector;
        selectors[1] = ConsumerSteps.stepVerdict.selector;
        selectors[2] = ConsumerSteps.stepExpire.selector;
        selectors[3] = ConsumerSteps.stepDeliver.selector;
        selectors[4] = ConsumerSteps.stepGiveUp.selector;
        selectors[5] = ConsumerSteps.stepCommit.selector;
        selectors[6] = ConsumerSteps.stepUnpack.selector;
        selectors[7] = ConsumerSteps.stepTime.selector;
        targetContract(address(steps));
        targetSelector(FuzzSelector(address(steps), selectors));
    }

    function invariant_each_request_is_told_once_and_rightly() public view {
        assertEq(steps.wronglyTaken(), 0, "taken or refused against the rules");
        assertEq(steps.wronglyTold(), 0, "what bids are signed for is what is asked");
        assertEq(NumberBuyer(payable(steps.theBuyer())).calls(), steps.callbacks(), "callbacks");
        for (uint256 which = 0; which < steps.count(); ++which) {
            uint256 callbacks = steps.callbacksOf(which);
            assertLe(callbacks, 1, "once");
            bool isPending = steps.statusOf(which) == AssayConsumer.Status.Pending;
            assertEq(isPending, callbacks == 0, "pending until then");
        }
    }

    function invariant_deliverers_have_the_fees_of_what_they_delivered_and_no_more() public view {
        assertEq(steps.creditOfDeliverer(), steps.feesEarned());
    }
}
