// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IJobScheduler} from "assay/IJobScheduler.sol";
import {AssayConsumer} from "assay/consumer/AssayConsumer.sol";
import {Numbers} from "./Numbers.sol";

/// @title Buys a number: the price of an option, which three nodes compute
/// @notice Anybody may ask while no request is pending; the contract pays from what it was given. Its owner may bring bids
/// that nodes have signed, and so choose the nodes: the job takes three transactions then.
contract PriceBuyer is AssayConsumer {
    uint96 internal constant FEE = 0.001 ether;
    uint8 internal constant NODES = 3;

    address public immutable OWNER;
    uint96 internal immutable PAY;
    bytes public spec;

    /// @notice The newest price in hundredths, and when it came.
    uint256 public price;
    uint256 public pricedAt;
    /// @notice The request that is pending, or zero.
    bytes32 public pending;

    error Pending(bytes32 job);
    error OnlyOwner();

    /// @param spec_ What nodes run; it prints the price in hundredths.
    /// @param pay_ What each node whose result is accepted earns, in wei.
    constructor(IJobScheduler scheduler_, bytes memory spec_, uint96 pay_) payable AssayConsumer(scheduler_) {
        (OWNER, spec, PAY) = (msg.sender, spec_, pay_);
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

    /// @notice The same for nodes whose bids the owner brings.
    function signedTerms() public view returns (IJobScheduler.Terms memory t) {
        t = terms();
        t.acceptance = IJobScheduler.Acceptance.Requester;
    }

    /// @notice The job that nodes sign their bids for.
    function nextJob() external view returns (bytes32) {
        return _nextJob(signedTerms(), spec);
    }

    /// @notice Asks for a new price.
    function ask() external returns (bytes32 job) {
        if (pending != 0) revert Pending(pending);
        pending = job = _request(terms(), spec, toSend(), FEE, uint64(block.timestamp + 1 days));
    }

    /// @notice Asks for a new price with a signed bid for each seat, ascending by node.
    function askSigned(IJobScheduler.SignedBid[] calldata bids) external returns (bytes32 job) {
        // Whoever chooses all nodes may choose the price.
        if (msg.sender != OWNER) revert OnlyOwner();
        if (pending != 0) revert Pending(pending);
        pending = job = _requestSigned(
            signedTerms(), spec, bids, toSend(), FEE, uint64(block.timestamp + 1 days)
        );
    }

    /// What the escrow needs beside what earlier requests left on the scheduler.
    function toSend() private view returns (uint256) {
        uint256 escrow = NODES * uint256(PAY) + FEE;
        uint256 free = scheduler.accounts(address(this)).free;
        return escrow > free ? escrow - free : 0;
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
