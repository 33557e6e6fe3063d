// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Test} from "forge-std/Test.sol";
import {Fingerprints} from "../../src/Fingerprints.sol";
import {IJobScheduler} from "../../src/IJobScheduler.sol";
import {Verdicts} from "../../src/Verdicts.sol";

/// The verdict against itself written naively, and against other orders of the same runs.
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

    function apart(uint256 a, uint256 b) private pure returns (uint256 sum) {
        for (uint256 k = 0; k < 10; ++k) {
            (uint256 x, uint256 y) = (Fingerprints.sampleKib(a, k), Fingerprints.sampleKib(b, k));
            sum += x < y ? y - x : x - y;
        }
    }

    struct Ball {
        uint256 members;
        uint256 count;
        uint256 spread;
        uint256 key;
    }

    function agree(uint256 a, uint256 b, uint256 kib) private pure returns (bool) {
        (uint256 x, uint256 y) = (Fingerprints.cpuMs(a), Fingerprints.cpuMs(b));
        (uint256 low, uint256 high) = x < y ? (x, y) : (y, x);
        return (high - low <= 200 || 1000 * (high - low) <= 333 * high) && apart(a, b) <= 10 * kib;
    }

    function around(uint256[] memory words, uint256 centre, uint256 kib)
        private
        pure
        returns (Ball memory ball)
    {
        for (uint256 j = 0; j < words.length; ++j) {
            if (words[j] == Fingerprints.VOID || !agree(words[centre], words[j], kib)) continue;
            ball.members |= 1 << j;
            ++ball.count;
            ball.spread += apart(words[centre], words[j]);
        }
    }

    function beats(Ball memory a, Ball memory b) private pure returns (bool) {
        if (a.count != b.count) return a.count > b.count;
        if (a.spread != b.spread) return a.spread < b.spread;
        return a.key < b.key;
    }

    function testFuzz_balls_are_those_of_a_naive_search(uint256 seed, uint8 size, uint16 kib) public pure {
        uint256 n = 1 + size % 9;
        (uint256[] memory words, uint256[] memory keys) = runs(seed, n);
        Ball memory best;
        for (uint256 i = 0; i < n; ++i) {
            if (words[i] == Fingerprints.VOID) continue;
            Ball memory ball = around(words, i, kib);
            ball.key = keys[i];
            if (beats(ball, best)) best = ball;
        }
        uint256 wanted = 2 * best.count > n ? best.members : 0;
        assertEq(Verdicts.score(question(n, kib, 0, IJobScheduler.Method.Ball), words, keys), wanted);
    }

    function testFuzz_verdicts_do_not_depend_on_the_order(uint256 seed, uint8 size, bool isBall) public pure {
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
