// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Test} from "forge-std/Test.sol";
import {IJobScheduler} from "../../src/IJobScheduler.sol";
import {Verdicts} from "../../src/Verdicts.sol";

/// Every vector of `tests/vectors/verdict-packed.json`, which the Rust side reads too.
contract VerdictsTest is Test {
    /// The fields of a vector, in the order of `TYPE`.
    struct Case {
        bool verdict;
        uint256 accepted;
        uint256 rejected;
        uint256 absent;
        uint256 confidence;
        uint256 toleranceKib;
        uint256 relativePermille;
        uint256 method;
        bool deterministic;
        bytes32[] outputs;
        bytes32[] words;
        bool requireWork;
        uint256 cpuPermille;
        bytes32[] summaries;
        int256[] exitCodes;
    }

    string private constant TYPE = "JsonCase(bool verdict,uint256 accepted,uint256 rejected,uint256 absent,uint256 confidence,uint256 tolerance_kib,"
        "uint256 relative_permille,uint256 method,bool deterministic,bytes32[] outputs,bytes32[] words,bool require_work,uint256 cpu_permille,bytes32[] summaries,int256[] exit_codes)";

    function test_every_verdict_is_the_one_of_rust() public view {
        string memory json = vm.readFile("tests/vectors/verdict-packed.json");
        Case[] memory cases = abi.decode(vm.parseJsonTypeArray(json, ".cases", TYPE), (Case[]));
        uint256 scored = 0;
        for (uint256 i = 0; i < cases.length; ++i) {
            if (check(cases[i], vm.toString(i))) ++scored;
        }
        assertEq(cases.length, vm.parseJsonUint(json, ".count"));
        assertGt(scored, 0);
    }

    function test_seats_are_counted_wherever_they_are() public pure {
        assertEq(Verdicts.popcount((1 << 31) - 1), 31);
        for (uint256 seat = 0; seat < 31; ++seat) {
            assertEq(Verdicts.popcount(1 << seat), 1, vm.toString(seat));
            assertEq(Verdicts.popcount((1 << seat) - 1), seat, vm.toString(seat));
        }
    }

    function check(Case memory given, string memory name) private pure returns (bool scored) {
        uint256 n = given.outputs.length;
        Verdicts.Question memory question = Verdicts.Question({
            asked: n,
            confidence: given.confidence,
            toleranceKib: given.toleranceKib,
            relativePermille: given.relativePermille,
            method: IJobScheduler.Method(given.method),
            deterministic: given.deterministic,
            cpuPermille: given.cpuPermille,
            requireWork: given.requireWork
        });
        // An output of zeros is no result: `decide` is given the results there are.
        uint256 results = 0;
        for (uint256 i = 0; i < n; ++i) {
            if (given.outputs[i] != 0) ++results;
        }
        Verdicts.Runs memory runs;
        (runs.outputs, runs.words) = (new uint256[](results), new uint256[](results));
        (runs.summaries, runs.keys) = (new uint256[](results), new uint256[](results));
        uint256[] memory exits = new uint256[](results);
        results = 0;
        for (uint256 i = 0; i < n; ++i) {
            if (given.outputs[i] == 0) continue;
            (runs.outputs[results], runs.words[results]) =
            (uint256(given.outputs[i]), uint256(given.words[i]));
            (runs.summaries[results], runs.keys[results]) = (uint256(given.summaries[i]), i);
            exits[results++] = uint256(given.exitCodes[i]);
        }
        uint256 accepted;
        (accepted, scored) = judged(question, runs, exits);
        assertEq(accepted, given.accepted, name);
        assertEq(accepted != 0, given.verdict, name);
        if (given.verdict) assertEq(accepted | given.rejected | given.absent, (1 << n) - 1, name);
    }

    /// As a verdict is computed over openings.
    function judged(Verdicts.Question memory question, Verdicts.Runs memory runs, uint256[] memory exits)
        private
        pure
        returns (uint256 accepted, bool scored)
    {
        uint256[] memory seats = new uint256[](exits.length);
        bool isOne = true;
        for (uint256 i = 0; i < exits.length; ++i) {
            seats[i] = runs.keys[i];
            if (exits[i] != exits[0]) isOne = false;
        }
        uint256 kept = 0;
        if (!isOne) {
            kept = Verdicts.ofOneExitCode(question.asked, exits);
            if (kept == 0) return (0, false);
            Verdicts.keep(runs.outputs, kept);
            Verdicts.keep(runs.words, kept);
            Verdicts.keep(runs.summaries, kept);
            Verdicts.keep(runs.keys, kept);
        }
        (bool isDecided, uint256 agreeing) = Verdicts.gate(question, runs.outputs);
        if (!isDecided) agreeing = Verdicts.score(question, runs);
        if (kept != 0) agreeing = Verdicts.named(agreeing, kept);
        return (spread(agreeing, seats), !isDecided);
    }

    /// A set of indices into `runs` as a set of runs.
    function spread(uint256 set, uint256[] memory runs) private pure returns (uint256 spreadSet) {
        for (uint256 i = 0; i < runs.length; ++i) {
            if (set >> i & 1 != 0) spreadSet |= 1 << runs[i];
        }
    }
}
