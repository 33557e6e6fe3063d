// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Bill} from "./Bills.sol";
import {IJobScheduler} from "./IJobScheduler.sol";

/// @title The events that carry lists
/// @notice Openings are copied from calldata as they came, which is canonical ABI encoding once every field has been read or
/// checked: smaller and cheaper than to decode and encode them again.
library Logs {
    function verdictPosted(bytes32 job, IJobScheduler.SeatOpening[] calldata openings, uint256 accepted)
        internal
    {
        bytes32 topic = IJobScheduler.VerdictPosted.selector;
        assembly ("memory-safe") {
            let start := mload(0x40)
            mstore(start, 64)
            mstore(add(start, 32), accepted)
            mstore(add(start, 64), openings.length)
            // Nine words each.
            let size := mul(288, openings.length)
            calldatacopy(add(start, 96), openings.offset, size)
            log3(start, add(size, 96), topic, job, caller())
        }
    }

    /// The payments stand in memory already, after room for the rest.
    function settled(
        bytes32 job,
        address requester,
        address keeper,
        uint256 refund,
        uint256 fee,
        Bill memory bill
    ) internal {
        bytes32 topic = IJobScheduler.Settled.selector;
        (uint256 start, uint256 size, uint256 burnt) = (bill.start, bill.end - bill.start, bill.burnt);
        assembly ("memory-safe") {
            mstore(start, refund)
            mstore(add(start, 32), fee)
            mstore(add(start, 64), burnt)
            mstore(add(start, 96), 128)
            mstore(add(start, 128), shr(6, sub(size, 160)))
            log4(start, size, topic, job, requester, keeper)
        }
    }

    function revealed(bytes32 job, IJobScheduler.SeatOpening calldata given) internal {
        bytes32 topic = IJobScheduler.Revealed.selector;
        assembly ("memory-safe") {
            let start := mload(0x40)
            calldatacopy(start, given, 32)
            calldatacopy(add(start, 32), add(given, 96), 192)
            log3(start, 224, topic, job, caller())
        }
    }
}
