// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Fingerprints} from "./Fingerprints.sol";
import {IJobScheduler} from "./IJobScheduler.sol";
import {Head} from "./Packing.sol";
import {Summaries} from "./Summaries.sol";

/// @title The openings that a verdict is made of
/// @notice Read word by word as they lie in calldata, which `check` makes safe: nine words each, which are seat, node,
/// price, result hash, output root, exit code, fingerprint, summary, salt.
library Openings {
    /// Checks that every word is filled as `abi.encode` would, as the compiler does for what it decodes.
    function check(IJobScheduler.SeatOpening[] calldata openings) internal pure {
        assembly ("memory-safe") {
            let dirty := 0
            let at := openings.offset
            for { let end := add(at, mul(288, openings.length)) } lt(at, end) { at := add(at, 288) } {
                let exitCode := calldataload(add(at, 160))
                let words := or(shr(8, calldataload(at)), shr(160, calldataload(add(at, 32))))
                words := or(words, shr(96, calldataload(add(at, 64))))
                dirty := or(dirty, or(words, xor(exitCode, signextend(3, exitCode))))
            }
            if dirty { revert(0, 0) }
        }
    }

    function seatOf(IJobScheduler.SeatOpening calldata opening) internal pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := calldataload(opening)
        }
    }

    function nodeOf(IJobScheduler.SeatOpening calldata opening) internal pure returns (address word) {
        assembly ("memory-safe") {
            word := calldataload(add(opening, 32))
        }
    }

    function priceOf(IJobScheduler.SeatOpening calldata opening) internal pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := calldataload(add(opening, 64))
        }
    }

    function fingerprintOf(IJobScheduler.SeatOpening calldata opening) internal pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := calldataload(add(opening, 192))
        }
    }

    function summaryOf(IJobScheduler.SeatOpening calldata opening) internal pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := calldataload(add(opening, 224))
        }
    }

    /// One of the words of every opening.
    function column(IJobScheduler.SeatOpening[] calldata openings, uint256 index)
        internal
        pure
        returns (uint256[] memory words)
    {
        words = new uint256[](openings.length);
        assembly ("memory-safe") {
            let from := add(openings.offset, mul(index, 32))
            for { let i := 0 } lt(i, openings.length) { i := add(i, 1) } {
                mstore(add(add(words, 32), mul(i, 32)), calldataload(add(from, mul(i, 288))))
            }
        }
    }

    /// Whether all state the same exit code.
    function haveOneExitCode(IJobScheduler.SeatOpening[] calldata openings) internal pure returns (bool yes) {
        assembly ("memory-safe") {
            let at := add(openings.offset, 160)
            let first := calldataload(at)
            let others := 0
            for { let end := add(at, mul(288, openings.length)) } lt(at, end) { at := add(at, 288) } {
                others := or(others, xor(first, calldataload(at)))
            }
            yes := iszero(others)
        }
    }

    /// What each node committed to, if the openings are true.
    function commitments(
        uint256 chainId,
        address scheduler,
        bytes32 job,
        IJobScheduler.SeatOpening[] calldata openings
    ) internal pure returns (bytes32[] memory hashes) {
        hashes = new bytes32[](openings.length);
        assembly ("memory-safe") {
            let start := mload(0x40)
            mstore(start, chainId)
            mstore(add(start, 32), scheduler)
            mstore(add(start, 64), job)
            let from := openings.offset
            for { let i := 0 } lt(i, openings.length) { i := add(i, 1) } {
                // Seat and node, then all but the price.
                calldatacopy(add(start, 96), from, 64)
                calldatacopy(add(start, 160), add(from, 96), 192)
                mstore(add(add(hashes, 32), shl(5, i)), keccak256(start, 352))
                from := add(from, 288)
            }
        }
    }

    /// What a node commits to.
    function commitment(
        uint256 chainId,
        address scheduler,
        bytes32 job,
        uint256 seat_,
        address node_,
        IJobScheduler.Opening calldata opening
    ) internal pure returns (bytes32 hash) {
        // Read by the compiler, which refuses all but its one encoding.
        int256 exitCode = opening.exitCode;
        assembly ("memory-safe") {
            let start := mload(0x40)
            mstore(start, chainId)
            mstore(add(start, 32), scheduler)
            mstore(add(start, 64), job)
            mstore(add(start, 96), seat_)
            mstore(add(start, 128), node_)
            calldatacopy(add(start, 160), opening, 192)
            mstore(add(start, 224), exitCode)
            hash := keccak256(start, 352)
        }
    }

    /// Checks an opening of a seat; `isTrue` says whether it is what the seat's holder committed to.
    function checkOpening(Head head, uint256 seat, bool isTrue, uint256 fingerprint, uint256 summary)
        internal
        pure
    {
        if (head.committed() >> seat & 1 == 0) revert IJobScheduler.NotCommitted(seat);
        if (!isTrue) revert IJobScheduler.BadOpening(seat);
        if (!Fingerprints.isWellFormed(fingerprint)) revert IJobScheduler.BadFingerprint(seat);
        if (!Summaries.isWellFormed(summary)) revert IJobScheduler.BadSummary(seat);
    }
}
