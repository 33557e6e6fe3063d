// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IJobScheduler} from "../../src/IJobScheduler.sol";
import {Head, Slot} from "../../src/Packing.sol";
import {Verdicts} from "../../src/Verdicts.sol";
import {RulesHarness} from "./RulesHarness.sol";

/// Many cases in one call, for whoever compares them with another implementation: tests/it/differential/batch.rs.
contract Batch is RulesHarness {
    /// A job, and an event that is tried on it.
    struct Case {
        bytes32 job;
        address requester;
        Head head;
        address[] holders;
        bool isShared;
        address[] nodes;
        Slot[] slots;
        Event event_;
        IJobScheduler.Terms deal;
        Stamp stamp;
    }

    /// What came of it: the head and the slot that changed, or the data of the revert.
    struct Outcome {
        bool isTaken;
        Head head;
        address node;
        Slot slot;
        uint256 seat;
        bytes reason;
    }

    struct Asked {
        Verdicts.Question question;
        Verdicts.Runs runs;
    }

    function steps(Case[] calldata cases) external returns (Outcome[] memory outcomes) {
        outcomes = new Outcome[](cases.length);
        for (uint256 i = 0; i < cases.length; ++i) {
            Case calldata given = cases[i];
            this.load(given.job, given.requester, given.head, given.holders, given.isShared);
            for (uint256 k = 0; k < given.nodes.length; ++k) {
                slots[given.nodes[k]] = given.slots[k];
            }
            try this.step(given.event_, given.deal, given.stamp) returns (Next memory next) {
                outcomes[i] = Outcome(true, next.head, next.node, next.slot, next.seat, "");
            } catch (bytes memory reason) {
                outcomes[i].reason = reason;
            }
            for (uint256 k = 0; k < given.nodes.length; ++k) {
                slots[given.nodes[k]] = Slot.wrap(0);
            }
        }
    }

    /// The runs accepted of each; none where there is no verdict.
    function verdicts(Asked[] calldata cases) external pure returns (uint256[] memory accepted) {
        accepted = new uint256[](cases.length);
        for (uint256 i = 0; i < cases.length; ++i) {
            Verdicts.Question memory question = cases[i].question;
            bool isDecided;
            (isDecided, accepted[i]) = Verdicts.gate(question, cases[i].runs.outputs);
            if (!isDecided) accepted[i] = Verdicts.score(question, cases[i].runs);
        }
    }
}
