// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {TermsAt} from "../../src/Deals.sol";
import {IJobScheduler} from "../../src/IJobScheduler.sol";

/// @title Terms and deals as they travel, spelled out once more
library Terms {
    function pack(IJobScheduler.Terms memory t) internal pure returns (bytes memory packed) {
        packed = abi.encodePacked(
            abi.encodePacked(t.concurrency, t.confidence, t.toleranceKib, t.relativePermille, t.method),
            abi.encodePacked(t.deterministic, t.acceptance, t.price, t.bond, t.keeperFee),
            abi.encodePacked(t.open, t.timeout, t.run, t.reveal, t.liveLogs),
            abi.encodePacked(t.minPaid, t.escalationLimit, t.parent, t.requireWork),
            abi.encodePacked(t.cpuPermille, t.canonical, t.summary, t.audit)
        );
        for (uint256 i = 0; i < t.allowList.length; ++i) {
            packed = abi.encodePacked(packed, t.allowList[i]);
        }
    }

    function deal(address requester, uint64 nonce, bytes32 specHash, IJobScheduler.Terms memory t)
        internal
        pure
        returns (bytes memory)
    {
        return abi.encodePacked(requester, nonce, specHash, pack(t));
    }

    /// The word of an audit: of the keccak256 of its secret the first 240 bits, its chance, its seats.
    function audit(bytes32 secret, uint256 permille, uint256 seats) internal pure returns (bytes32) {
        return bytes32(bytes30(keccak256(abi.encode(secret)))) | bytes32(permille * 32 + seats);
    }

    /// The seats of both waves.
    function mostSeats(IJobScheduler.Terms memory t) internal pure returns (uint256) {
        return t.concurrency + uint256(t.audit) % 32;
    }

    /// Whether the draw over a secret and the first wave's commitments, one after the other, opens a second wave.
    function draws(IJobScheduler.Terms memory t, bytes32 secret, bytes memory commitments)
        internal
        pure
        returns (bool)
    {
        uint256 permille = uint256(t.audit) / 32 % 2048;
        return uint256(keccak256(bytes.concat(secret, commitments))) % 1000 < permille;
    }

    /// What `pack` was given.
    function unpack(bytes memory packed) internal pure returns (IJobScheduler.Terms memory t) {
        uint8[23] memory widths = [1, 1, 4, 2, 1, 1, 1, 12, 12, 12, 4, 4, 4, 4, 1, 12, 1, 32, 1, 2, 1, 32, 32];
        uint256 from = 0;
        bytes memory words = abi.encode(uint256(32));
        for (uint256 i = 0; i < widths.length; ++i) {
            if (i == 15) words = abi.encodePacked(words, uint256(768));
            words = abi.encodePacked(words, number(packed, from, widths[i]));
            from += widths[i];
        }
        words = abi.encodePacked(words, (packed.length - from) / 20);
        for (; from < packed.length; from += 20) {
            words = abi.encodePacked(words, number(packed, from, 20));
        }
        return abi.decode(words, (IJobScheduler.Terms));
    }

    /// Terms where the rules read them: behind the length and the offset that `abi.encode` begins with.
    function place(IJobScheduler.Terms memory t) internal pure returns (TermsAt terms) {
        bytes memory words = abi.encode(t);
        assembly ("memory-safe") {
            terms := add(words, 64)
        }
    }

    function number(bytes memory packed, uint256 from, uint256 width) private pure returns (uint256 value) {
        for (uint256 i = 0; i < width; ++i) {
            value = value << 8 | uint8(packed[from + i]);
        }
    }
}
