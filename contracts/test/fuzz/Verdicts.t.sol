// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Test} from "forge-std/Test.sol";
import {Fingerprints} from "../../src/Fingerprints.sol";
import {IJobScheduler} from "../../src/IJobScheduler.sol";
import {Summaries} from "../../src/Summaries.sol";
import {Verdicts} from "../../src/Verdicts.sol";
import {Reference} from "../harness/Reference.sol";

/// The verdict against the reference, and against other orders of the same runs.
contract VerdictsFuzzTest is Test {
    /// By the bits of `kind`: the scorers, and every way of comparing outputs.
    function question(uint256 n, uint256 kib, uint256 permille, uint256 kind)
        private
        pure
        returns (Verdicts.Question memory asked)
    {
        asked.method = [
            IJobScheduler.Method.Ball,
            IJobScheduler.Method.KMeans,
            IJobScheduler.Method.Near,
            IJobScheduler.Method.Near,
            IJobScheduler.Method.Near,
            IJobScheduler.Method.Hash
        ][kind % 6];
        asked.requireWork = kind % 6 > 3;
        asked.deterministic = kind % 6 == 3;
        (asked.asked, asked.confidence, asked.toleranceKib) = (n, n / 2 + 1, kib);
        (asked.relativePermille, asked.cpuPermille) = (permille, permille);
    }

    /// Runs near one of two levels and with one of two outputs, and of these near or equal ones, so that both verdicts
    /// and none come up.
    function some(uint256 seed, uint256 n) private pure returns (Verdicts.Runs memory runs) {
        (runs.outputs, runs.words) = (new uint256[](n), new uint256[](n));
        (runs.summaries, runs.keys) = (new uint256[](n), new uint256[](n));
        for (uint256 i = 0; i < n; ++i) {
            uint256 random = uint256(keccak256(abi.encode(seed, i)));
            uint256 level = random & 3 == 0 ? 3000 : 1000;
            for (uint256 k = 0; k < 10; ++k) {
                runs.words[i] |= (level + (random >> (4 + 8 * k)) % 256) << (20 * k);
                // Round the end of the circle, and mostly within its tolerance of one another.
                uint256 lane = (random >> (104 + 8 * k)) % 32 == 0 ? 80 : (random >> (104 + 8 * k)) % 64;
                runs.summaries[i] |= ((lane + 2 ** 25 - 40) % 2 ** 25) << (25 * k);
            }
            runs.words[i] |= (600 + (random >> 100) % 600) << 200;
            // Codes about where the tolerance begins to grow, and where the fraction overflows.
            runs.words[i] |= ((seed & 2 == 0 ? 2400 : 32_000) + (random >> 216) % 1200) << 232;
            if (random >> 200 & 15 == 0) runs.words[i] = Fingerprints.VOID;
            if (random >> 204 & 15 == 0) runs.summaries[i] = Summaries.VOID;
            runs.outputs[i] = seed & 1 == 0 ? random >> 208 & 3 : random;
            runs.keys[i] = uint256(keccak256(abi.encode(random)));
        }
    }

    /// Invariant 11, of `Verdicts` alone: whatever the runs, what it accepts is what the reference accepts.
    function testFuzz_11_scores_are_those_of_the_reference(
        uint256 seed,
        uint8 size,
        uint16 kib,
        uint16 permille,
        uint8 kind
    ) public pure {
        uint256 n = 1 + size % 9;
        Verdicts.Question memory asked = question(n, kib, permille % 1001, kind);
        Verdicts.Runs memory runs = some(seed, n);
        assertEq(Verdicts.score(asked, runs), plainly(asked, runs));
    }

    function plainly(Verdicts.Question memory asked, Verdicts.Runs memory runs)
        private
        pure
        returns (uint256)
    {
        Reference.Runs memory known = Reference.Runs(
            asked.asked,
            asked.confidence,
            asked.toleranceKib,
            asked.relativePermille,
            asked.cpuPermille,
            runs.words,
            runs.keys
        );
        bool isNear = asked.method == IJobScheduler.Method.Near;
        if (!isNear && !asked.requireWork) return Reference.score(known, asked.method);
        bytes32[] memory outputs = new bytes32[](runs.outputs.length);
        for (uint256 i = 0; i < outputs.length; ++i) {
            outputs[i] = bytes32(runs.outputs[i]);
        }
        bool bySummary = isNear && !asked.deterministic;
        uint256 best = Reference.ball(
            known, Reference.Relation(true, isNear, bySummary, asked.requireWork, outputs, runs.summaries)
        );
        return 2 * Reference.count(best) > asked.asked ? best : 0;
    }

    function testFuzz_11_verdicts_do_not_depend_on_the_order(uint256 seed, uint8 size, uint8 kind)
        public
        pure
    {
        uint256 n = 2 + size % 30;
        Verdicts.Question memory asked = question(n, 1024, 300, kind);
        Verdicts.Runs memory runs = some(seed, n);
        uint256 straight = Verdicts.score(asked, runs);
        uint256 backwards = Verdicts.score(
            asked,
            Verdicts.Runs(turned(runs.outputs), turned(runs.words), turned(runs.summaries), turned(runs.keys))
        );
        for (uint256 i = 0; i < n; ++i) {
            assertEq(straight >> i & 1, backwards >> (n - 1 - i) & 1);
        }
    }

    function turned(uint256[] memory list) private pure returns (uint256[] memory other) {
        other = new uint256[](list.length);
        for (uint256 i = 0; i < list.length; ++i) {
            other[i] = list[list.length - 1 - i];
        }
    }
}
