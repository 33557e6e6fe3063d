// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Test} from "forge-std/Test.sol";
import {Fingerprints} from "../../src/Fingerprints.sol";
import {IJobScheduler} from "../../src/IJobScheduler.sol";
import {Verdicts} from "../../src/Verdicts.sol";
import {Reference} from "../harness/Reference.sol";

/// The verdict against the reference, and against other orders of the same runs.
contract VerdictsFuzzTest is Test {
    function question(uint256 n, uint256 kib, uint256 permille, IJobScheduler.Method method)
        private
        pure
        returns (Verdicts.Question memory)
    {
        return Verdicts.Question(n, n / 2 + 1, kib, permille, method, false);
    }

    /// Runs near one of two levels, so that both verdicts and none come up.
    function runs(uint256 seed, uint256 n)
        private
        pure
        returns (uint256[] memory words, uint256[] memory keys)
    {
        (words, keys) = (new uint256[](n), new uint256[](n));
        for (uint256 i = 0; i < n; ++i) {
            uint256 random = uint256(keccak256(abi.encode(seed, i)));
            uint256 level = random & 3 == 0 ? 3000 : 1000;
            for (uint256 k = 0; k < 10; ++k) {
                words[i] |= (level + (random >> (4 + 8 * k)) % 256) << (22 * k);
            }
            words[i] |= (600 + (random >> 100) % 600) << 220;
            if (random >> 200 & 15 == 0) words[i] = Fingerprints.VOID;
            keys[i] = uint256(keccak256(abi.encode(random)));
        }
    }

    /// Invariant 11, of `Verdicts` alone: whatever the runs, what it accepts is what the reference accepts.
    function testFuzz_11_scores_are_those_of_the_reference(
        uint256 seed,
        uint8 size,
        uint16 kib,
        uint16 permille,
        bool isBall
    ) public pure {
        uint256 n = 1 + size % 9;
        (uint256[] memory words, uint256[] memory keys) = runs(seed, n);
        permille %= 1001;
        IJobScheduler.Method method = isBall ? IJobScheduler.Method.Ball : IJobScheduler.Method.KMeans;
        uint256 wanted = Reference.score(Reference.Runs(n, n / 2 + 1, kib, permille, words, keys), method);
        assertEq(Verdicts.score(question(n, kib, permille, method), words, keys), wanted);
    }

    function testFuzz_11_verdicts_do_not_depend_on_the_order(uint256 seed, uint8 size, bool isBall)
        public
        pure
    {
        uint256 n = 2 + size % 30;
        (uint256[] memory words, uint256[] memory keys) = runs(seed, n);
        IJobScheduler.Method method = isBall ? IJobScheduler.Method.Ball : IJobScheduler.Method.KMeans;
        uint256 straight = Verdicts.score(question(n, 1024, 300, method), words, keys);
        uint256[] memory turned = new uint256[](n);
        uint256[] memory turnedKeys = new uint256[](n);
        for (uint256 i = 0; i < n; ++i) {
            (turned[i], turnedKeys[i]) = (words[n - 1 - i], keys[n - 1 - i]);
        }
        uint256 backwards = Verdicts.score(question(n, 1024, 300, method), turned, turnedKeys);
        for (uint256 i = 0; i < n; ++i) {
            assertEq(straight >> i & 1, backwards >> (n - 1 - i) & 1);
        }
    }
}
