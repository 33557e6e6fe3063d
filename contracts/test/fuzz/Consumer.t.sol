// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {AssayConsumer} from "../../src/consumer/AssayConsumer.sol";
import {IJobScheduler} from "../../src/IJobScheduler.sol";
import {ConsumerBase} from "../harness/ConsumerBase.sol";

/// Whatever is printed reaches the consumer, and nothing else does.
contract ConsumerFuzzTest is ConsumerBase {
    function testFuzz_what_the_majority_printed_arrives_whole(bytes calldata printed, uint96 fee) public {
        fee = uint96(bound(fee, 0, 0.5 ether));
        vm.assume(keccak256(printed) != keccak256(LIE));
        bytes32 job = ask(fee);
        verified(job, printed);
        deliver(job, given(job, printed, 2), printed);
        assertEq(buyer.said(), keccak256(printed));
        assertEq(buyer.calls(), 1);
        assertEq(free(deliverer), fee);
    }

    function testFuzz_no_other_bytes_arrive(bytes calldata printed, uint256 at, uint8 flip, bool isCut)
        public
    {
        vm.assume(keccak256(printed) != keccak256(LIE));
        bytes32 job = ask(FEE);
        verified(job, printed);
        bytes memory other = bytes.concat(printed, isCut ? bytes("") : bytes("\n"));
        if (isCut && printed.length != 0) {
            at = bound(at, 0, printed.length - 1);
            other[at] = bytes1(uint8(other[at]) ^ uint8(bound(flip, 1, 255)));
        } else if (isCut) {
            other = bytes("x");
        }
        IJobScheduler.SeatOpening[] memory list = given(job, printed, 2);
        vm.expectRevert(abi.encodeWithSelector(AssayConsumer.OtherResult.selector, 0));
        deliver(job, list, other);
        // Nor do openings that were made to fit.
        list = given(job, other, 2);
        vm.expectRevert(abi.encodeWithSelector(AssayConsumer.NotCommitted.selector, 0));
        deliver(job, list, other);
        assertEq(buyer.calls(), 0);
    }

    function testFuzz_no_field_of_an_opening_can_be_changed(uint256 seat, uint256 field, uint256 salt)
        public
    {
        bytes32 job = ask(FEE);
        verified(job, "42\n");
        IJobScheduler.SeatOpening[] memory list = given(job, "42\n", 2);
        seat = bound(seat, 0, 1);
        IJobScheduler.SeatOpening memory changed = list[seat];
        bytes32 mask = bytes32(bound(salt, 1, type(uint256).max));
        field = bound(field, 0, 5);
        if (field == 0) changed.opening.outputRoot ^= mask;
        else if (field == 1) changed.opening.fingerprint ^= mask;
        else if (field == 2) changed.opening.summary ^= mask;
        else if (field == 3) changed.opening.salt ^= mask;
        else if (field == 4) changed.node = address(uint160(changed.node) ^ uint160(uint256(mask) | 1));
        else changed.price = uint96(changed.price ^ (uint96(uint256(mask)) | 1));
        vm.expectRevert(abi.encodeWithSelector(AssayConsumer.NotCommitted.selector, seat));
        deliver(job, list, "42\n");
    }
}
