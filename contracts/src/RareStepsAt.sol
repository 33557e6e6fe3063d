// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title Where the `RareSteps` of a scheduler are
library RareStepsAt {
    /// The address of the first contract that `scheduler` creates, which it does when it is created: the hash of
    /// its address and of the nonce 1, as RLP writes them. So it is neither stored nor part of the code, and cannot change.
    function addressOf(address scheduler) internal pure returns (address) {
        return address(uint160(uint256(keccak256(abi.encodePacked(hex"d694", scheduler, hex"01")))));
    }
}
