// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {AssayConsumer} from "../../src/consumer/AssayConsumer.sol";
import {IJobScheduler} from "../../src/IJobScheduler.sol";
import {ConsumerBase} from "../harness/ConsumerBase.sol";
import {Mood, MoodyBuyer} from "../harness/Consumers.sol";

/// Whatever a callback does, it undoes the delivery alone, and hears of its request once.
contract ConsumerCallbacksTest is ConsumerBase {
    bytes private constant SAID = "42\n";
    /// More than a refusal of a megabyte takes.
    uint256 private constant GAS = 4_000_000;

    MoodyBuyer private moody;

    function setUp() public override {
        super.setUp();
        moody = new MoodyBuyer{value: 1 ether}(scheduler);
        buyer = moody;
    }

    /// A verified request of one form, and the call that delivers it.
    function verifiedAs(bool isRostered) private returns (bytes32 job, bytes memory delivery) {
        if (isRostered) {
            uint256 head;
            (job, head) = verifiedRostered(SAID);
            IJobScheduler.SeatOpening[] memory all = given(job, SAID, 3);
            delivery =
                abi.encodeCall(AssayConsumer.fulfilRostered, (job, revisionOf(terms()), head, all, 0, SAID));
        } else {
            job = ask(FEE);
            verified(job, SAID);
            delivery = abi.encodeCall(AssayConsumer.fulfil, (job, given(job, SAID, 2), 0, SAID));
        }
    }

    function send(bytes memory delivery) private returns (bool isTaken) {
        vm.prank(deliverer);
        (isTaken,) = address(buyer).call{gas: GAS}(delivery);
    }

    /// Refused in each of these moods, and delivered once it is calm.
    function holdsUpNothing(bool isRostered) private {
        (bytes32 job, bytes memory delivery) = verifiedAs(isRostered);
        // The verdict paid before anybody delivers.
        uint256 paid = free(nodes[0]);
        assertGt(paid, MONEY);
        for (uint256 mood = uint256(Mood.InsistsOnCallingBack); mood <= uint256(Mood.BurnsGas); ++mood) {
            moody.feel(Mood(mood), delivery);
            assertFalse(send(delivery));
            assertEq(uint256(buyer.requests(job).status), uint256(AssayConsumer.Status.Pending));
            assertEq(free(deliverer), 0);
            assertEq(buyer.calls(), 0);
        }
        assertEq(free(nodes[0]), paid);
        moody.feel(Mood.Calm, "");
        assertTrue(send(delivery));
        assertEq(free(deliverer), FEE);
        assertEq(buyer.calls(), 1);
    }

    /// It delivers again, gives up, and delivers by the other form, all in its callback: its request is taken already.
    function takesNothingTwice(bool isRostered) private {
        (bytes32 job, bytes memory delivery) = verifiedAs(isRostered);
        uint256 held = address(buyer).balance;
        bytes[3] memory calls = [
            delivery,
            abi.encodeCall(AssayConsumer.giveUp, (job)),
            isRostered
                ? abi.encodeCall(AssayConsumer.fulfil, (job, given(job, SAID, 2), 0, SAID))
                : abi.encodeCall(
                    AssayConsumer.fulfilRostered, (job, revisionOf(asked()), 0, given(job, SAID, 3), 0, SAID)
                )
        ];
        uint256 before = vm.snapshotState();
        for (uint256 i = 0; i < calls.length; ++i) {
            moody.feel(Mood.CallsBack, calls[i]);
            assertTrue(send(delivery));
            assertEq(buyer.calls(), 1, "told once");
            assertEq(free(deliverer), FEE, "paid once");
            assertEq(held - address(buyer).balance, FEE);
            assertTrue(vm.revertToState(before));
        }
    }

    function test_a_callback_that_reverts_burns_or_answers_at_length_holds_up_nothing_else() public {
        holdsUpNothing(false);
    }

    function test_nor_does_one_of_a_request_with_signed_bids() public {
        holdsUpNothing(true);
    }

    function test_a_callback_that_calls_back_takes_nothing_twice() public {
        takesNothingTwice(false);
    }

    function test_nor_does_one_that_calls_back_of_a_request_with_signed_bids() public {
        takesNothingTwice(true);
    }
}
