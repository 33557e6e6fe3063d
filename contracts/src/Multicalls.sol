// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IJobScheduler} from "./IJobScheduler.sol";

/// @title Several steps of one sender in one transaction
/// @notice Each step runs the scheduler's own code for its sender, without ether, as if it were sent alone. A step that fails is
/// passed over, with all that it did.
///
/// Each step names its gas. So a node that is a contract and burns gas when it is asked for its signature stops its own
/// step alone, and no step fails because its sender gave the transaction too little.
library Multicalls {
    /// Kept back for the code between two steps.
    uint256 private constant SPARE = 2000;

    function run(IJobScheduler.Step[] calldata steps) internal returns (bool[] memory taken) {
        taken = new bool[](steps.length);
        bool isAnyTaken = steps.length == 0;
        for (uint256 i = 0; i < steps.length; ++i) {
            (uint256 limit, bytes calldata data) = (steps[i].gasLimit, steps[i].data);
            if (!_mayShare(bytes4(data))) revert IJobScheduler.NotShareable(i);
            taken[i] = _take(i, limit, data);
            isAnyTaken = isAnyTaken || taken[i];
        }
        // Where none can be taken, the last one says why.
        if (!isAnyTaken) _revertAsTheLast();
    }

    /// The steps of the signed path. Neither may a step call `multicall`, nor one that pays out.
    function _mayShare(bytes4 selector) private pure returns (bool) {
        return selector == IJobScheduler.submitSigned.selector
            || selector == IJobScheduler.commitRostered.selector
            || selector == IJobScheduler.postVerdictRostered.selector;
    }

    function _take(uint256 index, uint256 limit, bytes calldata data) private returns (bool isTaken) {
        uint256 start;
        assembly ("memory-safe") {
            // The next step overwrites it: memory does not grow with the number of steps.
            start := mload(0x40)
            calldatacopy(start, data.offset, data.length)
        }
        // A call passes on at most 63 of 64 parts of what is left, and fewer than asked for without an error.
        uint256 left = gasleft();
        if (left < SPARE || left - SPARE - (left - SPARE) / 64 < limit) {
            revert IJobScheduler.TooLittleGas(index);
        }
        assembly ("memory-safe") {
            isTaken := delegatecall(limit, address(), start, data.length, 0, 0)
        }
    }

    function _revertAsTheLast() private pure {
        assembly ("memory-safe") {
            let start := mload(0x40)
            returndatacopy(start, 0, returndatasize())
            revert(start, returndatasize())
        }
    }
}
