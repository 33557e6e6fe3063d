// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IJobScheduler} from "assay/IJobScheduler.sol";
import {AssayConsumer} from "assay/consumer/AssayConsumer.sol";
import {Numbers} from "./Numbers.sol";

/// @title Buys a number: the price of an option, which three nodes compute
/// @notice Anybody may ask while no request is pending; the contract pays from what it was given.
contract PriceBuyer is AssayConsumer {
    uint96 internal constant FEE = 0.001 ether;
    uint8 internal constant NODES = 3;

    uint96 internal immutable PAY;
    bytes public spec;

    /// @notice The newest price in hundredths, and when it came.
    uint256 public price;
    uint256 public pricedAt;
    /// @notice The request that is pending, or zero.
    bytes32 public pending;

    error Pending(bytes32 job);

    /// @param spec_ What nodes run; it prints the price in hundredths.
    /// @param pay_ What each node whose result is accepted earns, in wei.
    constructor(IJobScheduler scheduler_, bytes memory spec_, uint96 pay_) payable AssayConsumer(scheduler_) {
        (spec, PAY) = (spec_, pay_);
    }

    /// @notice What is agreed with the nodes.
    function terms() public view returns (IJobScheduler.Terms memory t) {
        (t.concurrency, t.confidence) = (NODES, 2);
        (t.method, t.deterministic) = (IJobScheduler.Method.Hash, true);
        t.acceptance = IJobScheduler.Acceptance.FirstCome;
        (t.price, t.bond, t.keeperFee) = (PAY, PAY, FEE);
        (t.open, t.timeout, t.run, t.reveal) = (10 minutes, 1 minutes, 3 minutes, 1 minutes);
        (t.relativePermille, t.cpuPermille) = (300, 333);
    }

    /// @notice Asks for a new price.
    function ask() external returns (bytes32 job) {
        if (pending != 0) revert Pending(pending);
        uint256 escrow = NODES * uint256(PAY) + FEE;
        // What earlier requests left on the scheduler pays first.
        uint256 free = scheduler.accounts(address(this)).free;
        job =
            _request(terms(), spec, escrow > free ? escrow - free : 0, FEE, uint64(block.timestamp + 1 days));
        pending = job;
    }

    function _fulfilled(bytes32, int32 exitCode, bytes calldata stdout) internal override {
        pending = 0;
        // A program that failed, or printed something else, gives no price. To revert would only keep the request pending.
        (bool isNumber, uint256 value) = Numbers.read(stdout);
        if (exitCode == 0 && isNumber) (price, pricedAt) = (value, block.timestamp);
    }

    function _unfulfilled(bytes32, IJobScheduler.JobState) internal override {
        pending = 0;
    }
}
