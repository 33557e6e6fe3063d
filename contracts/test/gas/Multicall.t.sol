// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IJobScheduler} from "../../src/IJobScheduler.sol";
import {SchedulerBase} from "../harness/SchedulerBase.sol";
import {Terms} from "../harness/Terms.sol";

/// What signed jobs of three cost that are submitted at once, as `Jobs.t.sol` measures one: each step goes in a
/// transaction with those of the others, at most 50 in one, as the program sends them. Written to
/// `contracts/snapshots/multicall.json`.
/// forge-config: default.isolate = true
contract MulticallGasTest is SchedulerBase {
    /// `MOST_STEPS` of `src/scheduler/contract/sender/shared.rs`.
    uint256 private constant MOST = 50;

    uint256 private total;
    uint256 private transactions;

    function setUp() public override {
        super.setUp();
        // For a hundred bonds and escrows.
        for (uint256 i = 0; i < 5; ++i) {
            rich(nodes[i]);
        }
        rich(requester);
    }

    function rich(address party) private {
        vm.deal(party, 1000 ether);
        vm.prank(party);
        scheduler.deposit{value: 500 ether}();
    }

    function submission(IJobScheduler.Terms memory t) private returns (bytes32 job, bytes memory) {
        job = nextJob(t);
        nonceOf[job] = nonce++;
        IJobScheduler.SignedBid[] memory list = signedBids(job, t, 3);
        return (job, abi.encodeCall(scheduler.submitSigned, (Terms.pack(t), SPEC, nonceOf[job], list)));
    }

    function send(bytes[] memory calls) private {
        for (uint256 start = 0; start < calls.length; start += MOST) {
            uint256 count = calls.length - start < MOST ? calls.length - start : MOST;
            IJobScheduler.Step[] memory steps = new IJobScheduler.Step[](count);
            for (uint256 i = 0; i < count; ++i) {
                steps[i] = IJobScheduler.Step(200_000, calls[start + i]);
            }
            vm.prank(requester);
            bool[] memory taken = scheduler.multicall(steps);
            total += vm.lastCallGas().gasTotalUsed;
            ++transactions;
            for (uint256 i = 0; i < count; ++i) {
                assertTrue(taken[i]);
            }
        }
    }

    function measure(uint256 count) private {
        IJobScheduler.Terms memory t = terms();
        (bytes32[] memory jobs, bytes[] memory calls) = (new bytes32[](count), new bytes[](count));
        for (uint256 i = 0; i < count; ++i) {
            (jobs[i], calls[i]) = submission(t);
        }
        send(calls);
        uint256 head = rosteredHead(t, block.timestamp, 0);
        for (uint256 i = 0; i < count; ++i) {
            IJobScheduler.SeatHolder[] memory holders = holdersOf(jobs[i], t, 7, 7);
            IJobScheduler.Signed[] memory given = signatures(jobs[i], t, holders);
            calls[i] =
                abi.encodeCall(scheduler.commitRostered, (jobs[i], revisionOf(t), head, holders, given));
        }
        send(calls);
        head = rosteredHead(t, block.timestamp, block.timestamp);
        for (uint256 i = 0; i < count; ++i) {
            bytes memory d = deal_(jobs[i], t);
            calls[i] = abi.encodeCall(scheduler.postVerdictRostered, (jobs[i], d, head, openings(t, 7), 3));
        }
        send(calls);
        for (uint256 i = 0; i < count; ++i) {
            assertState(jobs[i], IJobScheduler.JobState.Verified);
        }
        vm.snapshotValue("multicall", string.concat(vm.toString(count), " jobs, a job"), total / count);
        vm.snapshotValue("multicall", string.concat(vm.toString(count), " jobs, transactions"), transactions);
    }

    function test_ten_jobs_at_once() public {
        measure(10);
        assertEq(transactions, 3);
        assertLe(total / 10, 215_000);
    }

    function test_a_hundred_jobs_at_once() public {
        measure(100);
        assertEq(transactions, 6);
        assertLe(total / 100, 205_000);
    }
}
