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

    function _unfulfilled(bytes32, IJobScheduler.JobState state) internal override {
        require(!refuses, "refused");
        (calls, endedAs) = (calls + 1, state);
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

/// Delivers a second time from its own callback.
contract Reenterer is AssayConsumer {
    IJobScheduler.SeatOpening[] private _openings;

    constructor(IJobScheduler scheduler_) payable AssayConsumer(scheduler_) {}

    function ask(IJobScheduler.Terms calldata terms, bytes calldata spec, uint256 value)
        external
        returns (bytes32)
    {
        return _request(terms, spec, value, 0, 0);
    }

    function _fulfilled(bytes32 job, int32, bytes calldata) internal override {
        this.giveUp(job);
    }

    function _unfulfilled(bytes32, IJobScheduler.JobState) internal override {}
}
