// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Test} from "forge-std/Test.sol";
import {Summaries} from "../../src/Summaries.sol";
import {Reference} from "../harness/Reference.sol";

/// Summaries against the pairs of `tests/vectors/summary.json`, which the Rust side reads too, and against the plain
/// comparison of the reference, lane by lane.
contract SummariesTest is Test {
    /// The fields in the order of `TYPE`.
    struct Pair {
        bytes32 a;
        bytes32 b;
        bool agree;
    }

    string private constant TYPE = "JsonPair(bytes32 a,bytes32 b,bool agree)";
    uint256 private constant WORD = (1 << 250) - 1;
    uint256 private constant LANE = (1 << 25) - 1;

    /// `a` with each lane moved on the circle by what is given.
    function moved(uint256 a, uint256[10] memory by) private pure returns (uint256 b) {
        for (uint256 k = 0; k < 10; ++k) {
            b |= ((a >> (25 * k)) + by[k] & LANE) << (25 * k);
        }
    }

    function agree(uint256 a, uint256 b) private pure returns (bool) {
        uint256[] memory list = new uint256[](1);
        list[0] = b;
        return Summaries.agreeing(a, list, 0) == 1;
    }

    function test_every_pair_agrees_as_in_rust() public view {
        string memory json = vm.readFile("tests/vectors/summary.json");
        Pair[] memory pairs = abi.decode(vm.parseJsonTypeArray(json, ".agree", TYPE), (Pair[]));
        uint256 near = 0;
        for (uint256 i = 0; i < pairs.length; ++i) {
            assertEq(agree(uint256(pairs[i].a), uint256(pairs[i].b)), pairs[i].agree, vm.toString(i));
            if (pairs[i].agree) ++near;
        }
        assertEq(pairs.length, vm.parseJsonUint(json, ".agree_count"));
        assertGt(near, 0);
        assertLt(near, pairs.length);
    }

    function test_of_a_list_only_items_from_an_index_on_are_named() public pure {
        uint256[] memory list = new uint256[](4);
        (list[1], list[2], list[3]) = (Summaries.VOID, 65, 64);
        assertEq(Summaries.agreeing(0, list, 0), 1 | 1 << 3);
        assertEq(Summaries.agreeing(0, list, 1), 1 << 3);
        assertEq(Summaries.agreeing(0, list, 4), 0);
        assertEq(Summaries.agreeing(1, list, 0), 1 | 1 << 2 | 1 << 3);
        assertEq(Summaries.agreeing(Summaries.VOID, list, 0), 0);
    }

    function test_a_lane_agrees_up_to_64_on_both_sides_and_round_the_circle() public pure {
        uint256[5] memory lanes = [uint256(0), 63, 1 << 24, LANE - 64, LANE];
        for (uint256 k = 0; k < 10; ++k) {
            for (uint256 i = 0; i < lanes.length; ++i) {
                uint256 a = lanes[i] << (25 * k);
                uint256[10] memory by;
                for (uint256 apart = 0; apart < 130; ++apart) {
                    by[k] = apart;
                    assertEq(agree(a, moved(a, by)), apart <= 64);
                    by[k] = LANE + 1 - apart;
                    assertEq(agree(a, moved(a, by)), apart <= 64);
                }
                by[k] = 1 << 24;
                assertFalse(agree(a, moved(a, by)), "the other side of the circle");
            }
        }
    }

    function test_no_summary_agrees_with_none_and_with_itself_neither() public pure {
        uint256[4] memory words = [Summaries.VOID, 0, WORD, 63];
        for (uint256 i = 0; i < words.length; ++i) {
            assertFalse(agree(Summaries.VOID, words[i]));
            assertFalse(agree(words[i], Summaries.VOID));
        }
    }

    function testFuzz_only_void_and_250_bits_are_well_formed(uint256 word, uint8 bit) public pure {
        assertTrue(Summaries.isWellFormed(word & WORD));
        assertTrue(Summaries.isWellFormed(Summaries.VOID));
        assertFalse(Summaries.isWellFormed(word & ~uint256(1) | 1 << (250 + bit % 6)));
    }

    function testFuzz_words_agree_as_their_lanes_do(uint256 a, uint256[10] memory by) public pure {
        a &= WORD;
        for (uint256 k = 0; k < 10; ++k) {
            by[k] = by[k] % 131 + LANE + 1 - 65;
        }
        uint256 b = moved(a, by);
        assertEq(agree(a, b), Reference.isNear(a, b));
        assertEq(agree(b, a), Reference.isNear(a, b));
        assertTrue(agree(a, a));
    }

    function testFuzz_words_within_the_tolerance_agree(uint256 a, uint256[10] memory by) public pure {
        a &= WORD;
        for (uint256 k = 0; k < 10; ++k) {
            by[k] = by[k] % 129 + LANE + 1 - 64;
        }
        assertTrue(agree(a, moved(a, by)));
    }

    function testFuzz_any_two_words_agree_as_their_lanes_do(uint256 a, uint256 b) public pure {
        assertEq(agree(a & WORD, b & WORD), Reference.isNear(a & WORD, b & WORD));
    }
}
