// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IJobScheduler} from "../../src/IJobScheduler.sol";
import {ConsumerBase} from "../harness/ConsumerBase.sol";
import {WordBuyer} from "../harness/Consumers.sol";

/// What a contract pays to ask, and a deliverer to deliver, each as a transaction of its own.
/// forge-config: default.isolate = true
contract ConsumerGasTest is ConsumerBase {
    function setUp() public override {
        super.setUp();
        buyer = new WordBuyer{value: 1 ether}(scheduler);
    }

    function test_delivery_of_256_bytes_of_three_nodes() public {
        bytes memory stdout = new bytes(256);
        for (uint256 i = 0; i < 256; ++i) {
            stdout[i] = bytes1(uint8(i | 1));
        }
        bytes32 job = ask(FEE);
        vm.snapshotGasLastCall("consumer", "ask");
        verified(job, stdout);
        IJobScheduler.SeatOpening[] memory list = given(job, stdout, 2);
        deliver(job, list, stdout);
        uint256 gas = vm.snapshotGasLastCall("consumer", "deliver 256 bytes, 3 nodes");
        assertLe(gas, 120_000, "delivery");
    }

    /// What a fourth transaction costs a request of three.
    function test_delivery_of_a_request_with_signed_bids() public {
        bytes memory stdout = new bytes(256);
        for (uint256 i = 0; i < 256; ++i) {
            stdout[i] = bytes1(uint8(i | 1));
        }
        (bytes32 job, uint256 head) = verifiedRostered(stdout);
        IJobScheduler.SeatOpening[] memory all = given(job, stdout, 3);
        vm.prank(deliverer);
        buyer.fulfilRostered(job, revisionOf(terms()), head, all, 0, stdout);
        uint256 gas = vm.snapshotGasLastCall("consumer", "deliver 256 bytes, 3 nodes, rostered");
        assertLe(gas, 120_000, "delivery");
    }
}
