// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Test} from "forge-std/Test.sol";
import {IJobScheduler} from "../../src/IJobScheduler.sol";
import {Verdicts} from "../../src/Verdicts.sol";

/// `VerdictsHarness`, which is compiled as the scheduler is and hence not imported.
interface IVerdictsHarness {
    function score(Verdicts.Question memory question, Verdicts.Runs memory runs)
        external
        view
        returns (bool isDecided, uint256 accepted, uint256 gas);
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
            deterministic: false,
            cpuPermille: 333,
            requireWork: false
        });
    }

    /// A row about `units` of memory, every sample another, and this CPU time.
    function row(uint256 seed, uint256 units, uint256 cpu) private pure returns (uint256 word) {
        word = 9000 << 232 | cpu << 200;
        for (uint256 k = 0; k < 10; ++k) {
            uint256 noise = uint256(keccak256(abi.encode(seed, k))) % (units / 20 + 1);
            word |= (units + noise) << (20 * k);
        }
    }

    /// A summary whose lanes are less than `spread` above those of every other of this base.
    function numbers(uint256 seed, uint256 base, uint256 spread) private pure returns (uint256 word) {
        for (uint256 k = 0; k < 10; ++k) {
            uint256 lane = uint256(keccak256(abi.encode(base, k)));
            uint256 noise = uint256(keccak256(abi.encode(seed, k))) % spread;
            unchecked {
                word |= ((lane + noise) & ((1 << 25) - 1)) << (25 * k);
            }
        }
    }

    function measure(string memory name, Verdicts.Question memory asked, Verdicts.Runs memory runs)
        private
        returns (uint256 accepted, uint256 gas)
    {
        bool isDecided;
        (isDecided, accepted, gas) = harness.score(asked, runs);
        assertFalse(isDecided);
        vm.snapshotValue("verdicts", string.concat(name, ", ", vm.toString(asked.asked), " runs"), gas);
    }

    /// Runs that agree in all but their hashes, the last in nothing.
    function oneLiar(uint256 n) private pure returns (Verdicts.Runs memory runs) {
        (runs.outputs, runs.words) = (new uint256[](n), new uint256[](n));
        (runs.summaries, runs.keys) = (new uint256[](n), new uint256[](n));
        for (uint256 i = 0; i < n; ++i) {
            (runs.outputs[i], runs.keys[i]) = (i, i);
            runs.words[i] = row(i, 1600, 900 + 10 * i);
            runs.summaries[i] = numbers(i, 7, 33);
        }
        runs.words[n - 1] = row(n, 6400, 3600);
        runs.summaries[n - 1] = numbers(n, 8, 33);
    }

    /// What differs between the measurements.
    function by(IJobScheduler.Method method, bool requireWork)
        private
        pure
        returns (Verdicts.Question memory q)
    {
        (q.method, q.requireWork) = (method, requireWork);
    }

    function withOneLiar(
        Verdicts.Question memory how,
        bool areEqual,
        string memory name,
        uint256[4] memory budgets
    ) private {
        for (uint256 s = 0; s < 4; ++s) {
            uint256 n = sizes[s];
            Verdicts.Runs memory runs = oneLiar(n);
            for (uint256 i = 0; areEqual && i + 1 < n; ++i) {
                (runs.outputs[i], runs.summaries[i]) = (7, type(uint256).max);
            }
            Verdicts.Question memory whole = question(n, how.method);
            whole.requireWork = how.requireWork;
            (uint256 accepted, uint256 gas) = measure(name, whole, runs);
            assertEq(accepted, (1 << (n - 1)) - 1, name);
            assertLe(gas, budgets[s], name);
        }
    }

    function test_ball_with_one_liar() public {
        uint256[4] memory budgets = [uint256(20_000), 42_000, 140_000, 520_000];
        withOneLiar(by(IJobScheduler.Method.Ball, false), false, "ball", budgets);
    }

    function test_kmeans_with_one_liar() public {
        uint256[4] memory budgets = [uint256(60_000), 150_000, 330_000, 720_000];
        withOneLiar(by(IJobScheduler.Method.KMeans, false), false, "kmeans", budgets);
    }

    function test_near_with_one_liar() public {
        uint256[4] memory budgets = [uint256(5_000), 20_000, 75_000, 290_000];
        withOneLiar(by(IJobScheduler.Method.Near, false), false, "near", budgets);
        budgets[0] = 5_500;
        withOneLiar(by(IJobScheduler.Method.Near, false), true, "near, equal outputs", budgets);
    }

    function test_near_and_work_with_one_liar() public {
        uint256[4] memory budgets = [uint256(9_000), 38_000, 155_000, 650_000];
        withOneLiar(by(IJobScheduler.Method.Near, true), false, "near and work", budgets);
        withOneLiar(by(IJobScheduler.Method.Hash, true), true, "equal outputs and work", budgets);
    }

    /// Liars ever further away, so that each round of `kmeans` peels one.
    function test_kmeans_at_its_worst() public {
        Verdicts.Runs memory runs = oneLiar(31);
        uint256 far = 400;
        for (uint256 i = 0; i < 31; ++i) {
            runs.words[i] = row(i, i < 17 ? 100 : far, 900);
            if (i >= 17 && far < 2_000_000) far *= 2;
        }
        (, uint256 gas) = measure("kmeans at its worst", question(31, IJobScheduler.Method.KMeans), runs);
        assertLe(gas, 4_000_000);
    }
}
