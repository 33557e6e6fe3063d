// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {AssayConsumer} from "../../src/consumer/AssayConsumer.sol";
import {IJobScheduler} from "../../src/IJobScheduler.sol";

/// Buys a number and remembers the hash of what it was told.
contract NumberBuyer is AssayConsumer {
    uint64 public calls;
    int32 public exitCode;
    bytes32 public said;
    IJobScheduler.JobState public endedAs;
    bool public refuses;

    constructor(IJobScheduler scheduler_) payable AssayConsumer(scheduler_) {}

    function ask(IJobScheduler.Terms calldata terms, bytes calldata spec, uint256 value, uint96 fee)
        external
        returns (bytes32)
    {
        return _request(terms, spec, value, fee, uint64(block.timestamp + 1 days));
    }

    function askSigned(
        IJobScheduler.Terms calldata terms,
        bytes calldata spec,
        IJobScheduler.SignedBid[] calldata bids,
        uint256 value,
        uint96 fee
    ) external returns (bytes32) {
        return _requestSigned(terms, spec, bids, value, fee, uint64(block.timestamp + 1 days));
    }

    function refuse(bool refuses_) external {
        refuses = refuses_;
    }

    function takeBack(uint256 amount) external {
        _withdraw(amount);
    }

    function _fulfilled(bytes32, int32 exitCode_, bytes calldata stdout) internal virtual override {
        require(!refuses, "refused");
        (calls, exitCode, said) = (calls + 1, exitCode_, keccak256(stdout));
    }

    function _unfulfilled(bytes32, IJobScheduler.JobState state) internal virtual override {
        require(!refuses, "refused");
        (calls, endedAs) = (calls + 1, state);
    }
}

/// One whose owner takes every other step of a requester through it.
contract AuditingBuyer is NumberBuyer {
    constructor(IJobScheduler scheduler_) payable NumberBuyer(scheduler_) {}

    function act(bytes calldata step) external {
        (bool isDone, bytes memory reason) = address(scheduler).call(step);
        require(isDone, string(reason));
    }
}

/// What a callback does.
enum Mood {
    Calm,
    // Calls back, and does not mind that it is refused.
    CallsBack,
    // Calls back, and refuses what is refused.
    InsistsOnCallingBack,
    Refuses,
    RefusesAtLength,
    BurnsGas
}

/// Does in its callbacks what it is told to.
contract MoodyBuyer is NumberBuyer {
    Mood public mood;
    bytes private _call;

    constructor(IJobScheduler scheduler_) payable NumberBuyer(scheduler_) {}

    /// What it calls itself with, if the mood is so.
    function feel(Mood mood_, bytes calldata call_) external {
        (mood, _call) = (mood_, call_);
    }

    function nextJob(IJobScheduler.Terms calldata terms, bytes calldata spec)
        external
        view
        returns (bytes32)
    {
        return _nextJob(terms, spec);
    }

    function _fulfilled(bytes32 job, int32 exitCode_, bytes calldata stdout) internal override {
        _act();
        super._fulfilled(job, exitCode_, stdout);
    }

    function _unfulfilled(bytes32 job, IJobScheduler.JobState state) internal override {
        _act();
        super._unfulfilled(job, state);
    }

    function _act() private {
        if (mood == Mood.CallsBack || mood == Mood.InsistsOnCallingBack) {
            (bool isTaken,) = address(this).call(_call);
            require(isTaken || mood == Mood.CallsBack, "insists");
        }
        if (mood == Mood.Refuses) revert("refuses");
        if (mood == Mood.RefusesAtLength) {
            assembly ("memory-safe") {
                revert(mload(0x40), 1000000)
            }
        }
        while (mood == Mood.BurnsGas) {}
    }
}

/// Keeps one word of what it buys.
contract WordBuyer is NumberBuyer {
    bytes32 public word;

    constructor(IJobScheduler scheduler_) payable NumberBuyer(scheduler_) {}

    function _fulfilled(bytes32, int32, bytes calldata stdout) internal override {
        word = bytes32(stdout);
    }
}
