// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Verdicts} from "../../src/Verdicts.sol";

/// The verdict compiled as the scheduler is, and what it costs.
contract VerdictsHarness {
    function score(Verdicts.Question memory question, Verdicts.Runs memory runs)
        external
        view
        returns (bool isDecided, uint256 accepted, uint256 gas)
    {
        gas = gasleft();
        (isDecided, accepted) = Verdicts.gate(question, runs.outputs);
        if (!isDecided) accepted = Verdicts.score(question, runs);
        gas -= gasleft();
    }
}
