// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title The word that ten numbers of an output travel in
/// @notice The twin of `SummaryWord` in `src/domain/summary.rs`. Lane k is in bits 25k to 25k + 24: a number in 64ths of its
/// tolerance, modulo 2^25. Bits 250 to 255 are zero. All bits set: no summary.
///
/// Lanes are compared five at a time, those with an even index and those with an odd one, each with 25 bits of room.
library Summaries {
    uint256 internal constant VOID = type(uint256).max;

    /// 2^25 - 1 in each of five lanes of 50 bits.
    uint256 private constant LANES = 0x1ffffff0000007fffffc000001ffffff0000007fffffc000001ffffff;
    /// 2^25 in each: what a sum carries.
    uint256 private constant CARRIES = 0x200000000000080000000000020000000000008000000000002000000;
    /// 2^25 + 64 in each, so that no lane borrows: 64 is how far two may be apart.
    uint256 private constant SHIFT = 0x200004000000080001000000020000400000008000100000002000040;
    /// 2^25 - 129 in each, which makes a carry of everything above 128.
    uint256 private constant FAR = 0x1ffff7f0000007fffdfc000001ffff7f0000007fffdfc000001ffff7f;

    /// Whether `word` is the void word or keeps bits 250 to 255 zero: a summary has one encoding.
    function isWellFormed(uint256 word) internal pure returns (bool) {
        return word == VOID || word >> 250 == 0;
    }

    /// The items of a list, from an index on, that agree with `word`, bit j for item j: both are summaries, and none of
    /// their lanes are more than 64 apart, round the circle.
    function agreeing(uint256 word, uint256[] memory list, uint256 from) internal pure returns (uint256 set) {
        if (word == VOID) return 0;
        assembly ("memory-safe") {
            let even := add(and(word, LANES), SHIFT)
            let odd := add(and(shr(25, word), LANES), SHIFT)
            for { let j := from } lt(j, mload(list)) { j := add(j, 1) } {
                let other := mload(add(list, shl(5, add(j, 1))))
                // How far each lane is above 64 below the other, on the circle: near is 0 to 128.
                let apart := add(and(sub(even, and(other, LANES)), LANES), FAR)
                apart := or(apart, add(and(sub(odd, and(shr(25, other), LANES)), LANES), FAR))
                // Only the void word has bits that no lane has.
                set := or(set, shl(j, iszero(or(and(apart, CARRIES), shr(250, other)))))
            }
        }
    }
}
