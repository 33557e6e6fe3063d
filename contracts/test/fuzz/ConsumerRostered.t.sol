// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {AssayConsumer} from "../../src/consumer/AssayConsumer.sol";
import {IJobScheduler} from "../../src/IJobScheduler.sol";
import {ConsumerBase} from "../harness/ConsumerBase.sol";

/// The same as `Consumer.t.sol` of requests whose seats are one hash.
contract ConsumerRosteredFuzzTest is ConsumerBase {
    bytes32 private job;
    uint256 private head;

    function fulfil(
        bytes32 revision,
        uint256 head_,
        IJobScheduler.SeatOpening[] memory all,
        int32 exitCode,
        bytes memory said
    ) private {
        vm.prank(deliverer);
        buyer.fulfilRostered(job, revision, head_, all, exitCode, said);
    }

    function testFuzz_what_the_majority_printed_arrives_whole(bytes calldata printed) public {
        vm.assume(keccak256(printed) != keccak256(LIE));
        (job, head) = verifiedRostered(printed);
        fulfil(revisionOf(terms()), head, given(job, printed, 3), 0, printed);
        assertEq(buyer.said(), keccak256(printed));
        assertEq(buyer.calls(), 1);
        assertEq(free(deliverer), FEE);
    }

    function testFuzz_no_other_bytes_or_exit_code_arrive(
        bytes calldata printed,
        uint256 at,
        uint8 flip,
        int32 code
    ) public {
        vm.assume(keccak256(printed) != keccak256(LIE));
        (job, head) = verifiedRostered(printed);
        bytes32 revision = revisionOf(terms());
        bytes memory other = bytes.concat(printed, "x");
        if (printed.length != 0 && flip != 0) {
            other = printed;
            at = bound(at, 0, printed.length - 1);
            other[at] = bytes1(uint8(other[at]) ^ flip);
        }
        uint256 liars = keccak256(other) == keccak256(LIE) ? 1 : 0;
        IJobScheduler.SeatOpening[] memory all = given(job, printed, 3);
        vm.expectRevert(abi.encodeWithSelector(AssayConsumer.TooFewOpenings.selector, liars, 2));
        fulfil(revision, head, all, 0, other);
        if (code != 0) {
            vm.expectRevert(abi.encodeWithSelector(AssayConsumer.TooFewOpenings.selector, 0, 2));
            fulfil(revision, head, all, code, printed);
        }
        // Openings that were made to fit are not those of the job.
        all = given(job, other, 3);
        vm.expectRevert(abi.encodeWithSelector(AssayConsumer.WrongRoster.selector, job));
        fulfil(revision, head, all, 0, other);
        assertEq(buyer.calls(), 0);
    }

    function testFuzz_nothing_of_the_roster_can_be_changed(uint256 seat, uint256 field, uint256 salt) public {
        (job, head) = verifiedRostered("42\n");
        bytes32 revision = revisionOf(terms());
        IJobScheduler.SeatOpening[] memory all = given(job, "42\n", 3);
        bytes32 mask = bytes32(bound(salt, 1, type(uint256).max));
        (seat, field) = (bound(seat, 0, 2), bound(field, 0, 10));
        IJobScheduler.SeatOpening memory changed = all[seat];
        if (field == 0) changed.opening.resultHash ^= mask;
        else if (field == 1) changed.opening.outputRoot ^= mask;
        else if (field == 2) changed.opening.fingerprint ^= mask;
        else if (field == 3) changed.opening.summary ^= mask;
        else if (field == 4) changed.opening.salt ^= mask;
        else if (field == 5) changed.opening.exitCode ^= int32(uint32(uint256(mask)) | 1);
        else if (field == 6) changed.node = address(uint160(changed.node) ^ uint160(uint256(mask) | 1));
        else if (field == 7) changed.price = uint96(changed.price ^ (uint96(uint256(mask)) | 1));
        else if (field == 8) changed.seat ^= uint8(uint256(mask)) | 1;
        else if (field == 9) head ^= uint256(mask);
        else revision ^= mask;
        vm.expectRevert(abi.encodeWithSelector(AssayConsumer.WrongRoster.selector, job));
        fulfil(revision, head, all, 0, "42\n");
        assertEq(buyer.calls(), 0);
    }
}
