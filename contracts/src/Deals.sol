// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IJobScheduler} from "./IJobScheduler.sol";

/// Terms in memory, laid out as `abi.encode` lays them out: where the first of their words is. The fields are those of
/// `IJobScheduler.Terms`, an enum being its index.
type TermsAt is uint256;

using Fields for TermsAt global;

/// @title The fields of terms
library Fields {
    function concurrency(TermsAt terms) internal pure returns (uint256) {
        return at(terms, 0);
    }

    function confidence(TermsAt terms) internal pure returns (uint256) {
        return at(terms, 1);
    }

    function toleranceKib(TermsAt terms) internal pure returns (uint256) {
        return at(terms, 2);
    }

    function relativePermille(TermsAt terms) internal pure returns (uint256) {
        return at(terms, 3);
    }

    function method(TermsAt terms) internal pure returns (uint256) {
        return at(terms, 4);
    }

    function deterministic(TermsAt terms) internal pure returns (uint256) {
        return at(terms, 5);
    }

    function acceptance(TermsAt terms) internal pure returns (uint256) {
        return at(terms, 6);
    }

    function price(TermsAt terms) internal pure returns (uint256) {
        return at(terms, 7);
    }

    function bond(TermsAt terms) internal pure returns (uint256) {
        return at(terms, 8);
    }

    function keeperFee(TermsAt terms) internal pure returns (uint256) {
        return at(terms, 9);
    }

    function open(TermsAt terms) internal pure returns (uint256) {
        return at(terms, 10);
    }

    function timeout(TermsAt terms) internal pure returns (uint256) {
        return at(terms, 11);
    }

    function run(TermsAt terms) internal pure returns (uint256) {
        return at(terms, 12);
    }

    function reveal(TermsAt terms) internal pure returns (uint256) {
        return at(terms, 13);
    }

    function liveLogs(TermsAt terms) internal pure returns (uint256) {
        return at(terms, 14);
    }

    function minPaid(TermsAt terms) internal pure returns (uint256) {
        return at(terms, 16);
    }

    function escalationLimit(TermsAt terms) internal pure returns (uint256) {
        return at(terms, 17);
    }

    function parent(TermsAt terms) internal pure returns (bytes32) {
        return bytes32(at(terms, 18));
    }

    function requireWork(TermsAt terms) internal pure returns (uint256) {
        return at(terms, 19);
    }

    function cpuPermille(TermsAt terms) internal pure returns (uint256) {
        return at(terms, 20);
    }

    function canonical(TermsAt terms) internal pure returns (uint256) {
        return at(terms, 21);
    }

    function summary(TermsAt terms) internal pure returns (uint256) {
        return at(terms, 22);
    }

    /// The terms of a second wave of seats; zero for none.
    function audit(TermsAt terms) internal pure returns (uint256) {
        return at(terms, 23);
    }

    /// How many seats the second wave adds.
    function auditSeats(TermsAt terms) internal pure returns (uint256) {
        return audit(terms) & 31;
    }

    /// The seats of both waves.
    function mostSeats(TermsAt terms) internal pure returns (uint256) {
        unchecked {
            return concurrency(terms) + auditSeats(terms);
        }
    }

    /// The length of the allow-list.
    function allowed(TermsAt terms) internal pure returns (uint256) {
        return at(terms, 24);
    }

    /// A node of the allow-list, from 0.
    function allowedNode(TermsAt terms, uint256 index) internal pure returns (uint256) {
        unchecked {
            return at(terms, 25 + index);
        }
    }

    /// What a requester locks: the price of the seats of both waves, and the keeper fee.
    function escrow(TermsAt terms) internal pure returns (uint256) {
        unchecked {
            return mostSeats(terms) * price(terms) + keeperFee(terms);
        }
    }

    /// The hash of the terms, which every bid names: keccak256(abi.encode(terms)).
    function revision(TermsAt terms) internal pure returns (bytes32 hash) {
        assembly ("memory-safe") {
            // The word before is the offset that `abi.encode` begins with.
            hash := keccak256(sub(terms, 32), add(832, shl(5, mload(add(terms, 768)))))
        }
    }

    /// Makes the terms of an inconclusive job those of its follow-up, which has no audit: all of its seats compare.
    function escalate(TermsAt terms, uint256 seats, bytes32 parent_) internal pure {
        assembly ("memory-safe") {
            mstore(terms, seats)
            mstore(add(terms, 576), parent_)
            mstore(add(terms, 736), 0)
        }
    }

    function at(TermsAt terms, uint256 index) private pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := mload(add(terms, shl(5, index)))
        }
    }
}

/// @title Deals and terms as they travel, packed
library Deals {
    /// Requester, nonce and spec hash, before the terms.
    uint256 private constant PREFIX_BYTES = 60;
    uint256 private constant TERMS_BYTES = 177;

    /// The terms, requester and revision of a deal.
    function read(bytes calldata deal)
        internal
        pure
        returns (TermsAt terms, address requester, bytes32 revision)
    {
        if (deal.length < PREFIX_BYTES) refuse();
        terms = expand(deal[PREFIX_BYTES:]);
        revision = terms.revision();
        assembly ("memory-safe") {
            requester := shr(96, calldataload(deal.offset))
        }
    }

    /// The id of the job that was submitted under a deal of this revision.
    function jobOf(bytes calldata deal, bytes32 revision) internal view returns (bytes32 job) {
        uint256 nonce;
        bytes32 specHash;
        address requester;
        assembly ("memory-safe") {
            let word := calldataload(deal.offset)
            requester := shr(96, word)
            nonce := and(shr(32, word), 0xffffffffffffffff)
            specHash := calldataload(add(deal.offset, 28))
        }
        return jobId(requester, nonce, specHash, revision);
    }

    function jobId(address requester, uint256 nonce, bytes32 specHash, bytes32 revision)
        internal
        view
        returns (bytes32)
    {
        return keccak256(abi.encode(block.chainid, address(this), requester, nonce, specHash, revision));
    }

    /// Unpacks terms into memory. Refuses bytes that are not terms, but not values that are out of range.
    function expand(bytes calldata packed) internal pure returns (TermsAt terms) {
        uint256 nodes;
        unchecked {
            // Below their length it wraps around to more than any calldata.
            uint256 rest = packed.length - TERMS_BYTES;
            nodes = rest / 20;
            // No byte may be left over.
            // slither-disable-next-line divide-before-multiply
            if (rest > type(uint32).max || nodes * 20 != rest) refuse();
        }
        assembly ("memory-safe") {
            terms := add(mload(0x40), 32)
            mstore(sub(terms, 32), 32)
            let from := packed.offset
            let word := calldataload(from)
            mstore(terms, byte(0, word))
            mstore(add(terms, 32), byte(1, word))
            mstore(add(terms, 64), and(shr(208, word), 0xffffffff))
            mstore(add(terms, 96), and(shr(192, word), 0xffff))
            mstore(add(terms, 128), byte(8, word))
            mstore(add(terms, 160), byte(9, word))
            mstore(add(terms, 192), byte(10, word))
            mstore(add(terms, 224), shr(160, calldataload(add(from, 11))))
            mstore(add(terms, 256), shr(160, calldataload(add(from, 23))))
            mstore(add(terms, 288), shr(160, calldataload(add(from, 35))))
            word := calldataload(add(from, 47))
            mstore(add(terms, 320), shr(224, word))
            mstore(add(terms, 352), and(shr(192, word), 0xffffffff))
            mstore(add(terms, 384), and(shr(160, word), 0xffffffff))
            mstore(add(terms, 416), and(shr(128, word), 0xffffffff))
            mstore(add(terms, 448), byte(16, word))
            // Where the allow-list is, after all words.
            mstore(add(terms, 480), 768)
            mstore(add(terms, 512), and(shr(24, word), 0xffffffffffffffffffffffff))
            mstore(add(terms, 544), byte(29, word))
            mstore(add(terms, 576), calldataload(add(from, 77)))
            word := calldataload(add(from, 109))
            mstore(add(terms, 608), byte(0, word))
            mstore(add(terms, 640), and(shr(232, word), 0xffff))
            mstore(add(terms, 672), byte(3, word))
            mstore(add(terms, 704), calldataload(add(from, 113)))
            mstore(add(terms, 736), calldataload(add(from, 145)))
            mstore(add(terms, 768), nodes)
            let to := add(terms, 800)
            from := add(from, TERMS_BYTES)
            for { let end := add(to, shl(5, nodes)) } lt(to, end) { to := add(to, 32) } {
                mstore(to, shr(96, calldataload(from)))
                from := add(from, 20)
            }
            mstore(0x40, to)
        }
    }

    function refuse() private pure {
        revert IJobScheduler.InvalidTerms(IJobScheduler.Term.Encoding);
    }
}
