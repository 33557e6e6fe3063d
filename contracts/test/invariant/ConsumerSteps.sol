// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {AssayConsumer} from "../../src/consumer/AssayConsumer.sol";
import {IJobScheduler} from "../../src/IJobScheduler.sol";
import {ConsumerBase} from "../harness/ConsumerBase.sol";
import {Terms} from "../harness/Terms.sol";

/// Requests of one consumer in any order, and what must have come of them. No step reverts: what is refused is counted.
contract ConsumerSteps is ConsumerBase {
    struct Asked {
        bytes32 job;
        uint64 nonce;
        uint96 fee;
        uint256 deliverBy;
        bool isVerified;
        bool isOver;
        uint256 callbacks;
    }

    bytes internal constant PRINTED = "42\n";

    Asked[] public asks;
    uint256 public callbacks;
    uint256 public feesEarned;
    /// Deliveries that should have been refused, and were not.
    uint256 public wronglyTaken;

    function setUp() public override {
        vm.deal(address(this), 1 ether);
        super.setUp();
        vm.deal(address(buyer), 1000 ether);
        stepAsk(FEE);
    }

    function count() external view returns (uint256) {
        return asks.length;
    }

    function theBuyer() external view returns (address) {
        return address(buyer);
    }

    function creditOfDeliverer() external view returns (uint256) {
        return free(deliverer);
    }

    function statusOf(uint256 which) external view returns (AssayConsumer.Status) {
        return buyer.requests(asks[which].job).status;
    }

    function stepAsk(uint96 fee) public {
        fee = uint96(bound(fee, 0, 0.1 ether));
        uint64 nonce_ = uint64(asks.length);
        bytes32 job = ask(fee);
        asks.push(Asked(job, nonce_, fee, block.timestamp + 1 days, false, false, 0));
    }

    function stepVerdict(uint256 which) external {
        Asked storage asked_ = pick(which);
        if (asked_.isOver || stateOf(asked_.job) != IJobScheduler.JobState.Open) return;
        if (block.timestamp > asked_.deliverBy - 1 days + asked().open) return;
        bytes memory deal = dealOf(asked_.nonce);
        verifiedUnder(asked_.job, deal, PRINTED);
        (asked_.isVerified, asked_.isOver) = (true, true);
        refill();
    }

    function stepExpire(uint256 which) external {
        Asked storage asked_ = pick(which);
        if (asked_.isOver || stateOf(asked_.job) != IJobScheduler.JobState.Open) return;
        if (block.timestamp <= asked_.deliverBy - 1 days + asked().open) return;
        vm.prank(keeper);
        scheduler.expire(asked_.job, dealOf(asked_.nonce), new IJobScheduler.SeatHolder[](0));
        asked_.isOver = true;
    }

    function stepDeliver(uint256 which, bool lies, uint256 openings) external {
        Asked storage asked_ = pick(which);
        openings = bound(openings, 0, 2);
        bytes memory said = lies ? LIE : PRINTED;
        bool isRight =
            asked_.isVerified && asked_.callbacks == 0 && !lies && openings == 2 && !buyer.refuses();
        IJobScheduler.SeatOpening[] memory list = given(asked_.job, said, openings);
        vm.prank(deliverer);
        try buyer.fulfil(asked_.job, list, 0, said) {
            if (!isRight) ++wronglyTaken;
            (asked_.callbacks, callbacks, feesEarned) =
            (asked_.callbacks + 1, callbacks + 1, feesEarned + asked_.fee);
        } catch {
            if (isRight) ++wronglyTaken;
        }
    }

    function stepGiveUp(uint256 which) external {
        Asked storage asked_ = pick(which);
        bool isDue = asked_.isOver && (!asked_.isVerified || block.timestamp > asked_.deliverBy);
        bool isRight = isDue && asked_.callbacks == 0 && !buyer.refuses();
        try buyer.giveUp(asked_.job) {
            if (!isRight) ++wronglyTaken;
            (asked_.callbacks, callbacks) = (asked_.callbacks + 1, callbacks + 1);
        } catch {
            if (isRight) ++wronglyTaken;
        }
    }

    function stepRefuse(bool refuses) external {
        buyer.refuse(refuses);
    }

    function stepTime(uint256 secs) external {
        vm.warp(block.timestamp + bound(secs, 1, 12 hours));
    }

    function pick(uint256 which) private view returns (Asked storage) {
        return asks[which % asks.length];
    }

    /// Bonds of the liar may be gone: nodes have enough for the next job.
    function refill() private {
        for (uint256 seat = 0; seat < 3; ++seat) {
            vm.deal(nodes[seat], 1 ether);
            vm.prank(nodes[seat]);
            scheduler.deposit{value: 1 ether}();
        }
    }
}
