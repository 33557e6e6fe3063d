// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IJobScheduler} from "./IJobScheduler.sol";
import {Rules} from "./Rules.sol";

/// @title The events that carry much
/// @notice Copied from calldata as they came, which is canonical ABI encoding once every field has been read or
/// checked: smaller and cheaper than to decode and encode them again.
library Logs {
    function submitted(bytes32 job, uint256 nonce, IJobScheduler.Terms calldata terms, bytes calldata spec)
        internal
    {
        uint256 size = Rules.encodedSize(terms);
        bytes32 topic = IJobScheduler.Submitted.selector;
        assembly ("memory-safe") {
            let start := mload(0x40)
            mstore(start, nonce)
            mstore(add(start, 32), 96)
            mstore(add(start, 64), add(96, size))
            calldatacopy(add(start, 96), terms, size)
            let tail := add(add(start, 96), size)
            mstore(tail, spec.length)
            let end := add(add(tail, 32), and(add(spec.length, 31), not(31)))
            // What pads the last word.
            mstore(sub(end, 32), 0)
            mstore(tail, spec.length)
            calldatacopy(add(tail, 32), spec.offset, spec.length)
            log3(start, sub(end, start), topic, job, caller())
        }
    }

    function dealUpdated(bytes32 job, IJobScheduler.Terms calldata terms) internal {
        uint256 size = Rules.encodedSize(terms);
        bytes32 topic = IJobScheduler.DealUpdated.selector;
        assembly ("memory-safe") {
            let start := mload(0x40)
            mstore(start, 32)
            calldatacopy(add(start, 32), terms, size)
            log2(start, add(size, 32), topic, job)
        }
    }

    function verdictPosted(bytes32 job, IJobScheduler.SeatOpening[] calldata openings, uint256 accepted)
        internal
    {
        bytes32 topic = IJobScheduler.VerdictPosted.selector;
        assembly ("memory-safe") {
            let start := mload(0x40)
            mstore(start, 64)
            mstore(add(start, 32), accepted)
            mstore(add(start, 64), openings.length)
            // Eight words each.
            let size := shl(8, openings.length)
            calldatacopy(add(start, 96), openings.offset, size)
            log3(start, add(size, 96), topic, job, caller())
        }
    }

    function revealed(bytes32 job, uint256 seat, IJobScheduler.Opening calldata opening) internal {
        bytes32 topic = IJobScheduler.Revealed.selector;
        assembly ("memory-safe") {
            let start := mload(0x40)
            mstore(start, seat)
            calldatacopy(add(start, 32), opening, 160)
            log3(start, 192, topic, job, caller())
        }
    }
}
