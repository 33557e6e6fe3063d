// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Test} from "forge-std/Test.sol";
import {IJobScheduler} from "../../src/IJobScheduler.sol";
import {Verdicts} from "../../src/Verdicts.sol";

/// `VerdictsHarness`, which is compiled as the scheduler is and hence not imported.
interface IVerdictsHarness {
    function score(
        Verdicts.Question memory question,
        uint256[] memory outputs,
        uint256[] memory words,
        uint256[] memory keys
    ) external view returns (bool isDecided, uint256 accepted, uint256 gas);
}

/// What computing a verdict costs where outputs do not decide it. Written to
/// `contracts/snapshots/verdicts.json`, and held to the budgets.
contract VerdictsGasTest is Test {
    IVerdictsHarness private harness;
    uint256[4] private sizes = [uint256(3), 7, 15, 31];

    function setUp() public {
        harness = IVerdictsHarness(vm.deployCode("VerdictsHarness.sol:VerdictsHarness"));
    }

    function question(uint256 n, IJobScheduler.Method method)
        private
        pure
        returns (Verdicts.Question memory)
    {
        return Verdicts.Question({
            asked: n,
            confidence: n / 2 + 1,
            toleranceKib: 1024,
            relativePermille: 300,
            method: method,
            deterministic: false
        });
    }

    /// A row about `units` of memory, every sample another, and this CPU time.
    function row(uint256 seed, uint256 units, uint256 cpu) private pure returns (uint256 word) {
        word = cpu << 220;
        for (uint256 k = 0; k < 10; ++k) {
            uint256 noise = uint256(keccak256(abi.encode(seed, k))) % (units / 20 + 1);
            word |= (units + noise) << (22 * k);
        }
    }

    function measure(string memory name, uint256 n, IJobScheduler.Method method, uint256[] memory words)
        private
        returns (uint256 accepted, uint256 gas)
    {
        Verdicts.Question memory asked = question(n, method);
        uint256[] memory outputs = new uint256[](n);
        uint256[] memory keys = new uint256[](n);
        for (uint256 i = 0; i < n; ++i) {
            (outputs[i], keys[i]) = (i, i);
        }
        bool isDecided;
        (isDecided, accepted, gas) = harness.score(asked, outputs, words, keys);
        assertFalse(isDecided);
        vm.snapshotValue("verdicts", string.concat(name, ", ", vm.toString(n), " runs"), gas);
    }

    function oneLiar(IJobScheduler.Method method, string memory name, uint256[4] memory budgets) private {
        for (uint256 s = 0; s < 4; ++s) {
            uint256 n = sizes[s];
            uint256[] memory words = new uint256[](n);
            for (uint256 i = 0; i < n; ++i) {
                words[i] = row(i, 1600, 900 + 10 * i);
            }
            words[n - 1] = row(n, 6400, 3600);
            (uint256 accepted, uint256 gas) = measure(name, n, method, words);
            assertEq(accepted, (1 << (n - 1)) - 1, name);
            assertLe(gas, budgets[s], name);
        }
    }

    function test_ball_with_one_liar() public {
        oneLiar(IJobScheduler.Method.Ball, "ball", [uint256(20_000), 42_000, 140_000, 520_000]);
    }

    function test_kmeans_with_one_liar() public {
        oneLiar(IJobScheduler.Method.KMeans, "kmeans", [uint256(60_000), 150_000, 330_000, 720_000]);
    }

    /// Liars ever further away, so that each round of `kmeans` peels one.
    function test_kmeans_at_its_worst() public {
        uint256[] memory words = new uint256[](31);
        uint256 far = 400;
        for (uint256 i = 0; i < 31; ++i) {
            words[i] = row(i, i < 17 ? 100 : far, 900);
            if (i >= 17 && far < 2_000_000) far *= 2;
        }
        (, uint256 gas) = measure("kmeans at its worst", 31, IJobScheduler.Method.KMeans, words);
        assertLe(gas, 4_000_000);
    }
}
