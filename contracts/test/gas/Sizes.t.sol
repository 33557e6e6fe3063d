// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IJobScheduler} from "../../src/IJobScheduler.sol";
import {SchedulerBase} from "../harness/SchedulerBase.sol";

/// What whole jobs of more nodes cost, as `Jobs.t.sol` measures those of three; one node of each lies. Written to
/// `contracts/snapshots/sizes.json`.
/// forge-config: default.isolate = true
contract SizesGasTest is SchedulerBase {
    uint256 private total;

    function setUp() public override {
        super.setUp();
        makeNodes(31);
    }

    function sized(uint8 n) private pure returns (IJobScheduler.Terms memory t) {
        t = terms();
        (t.concurrency, t.confidence) = (n, n / 2 + 1);
    }

    function count() private {
        total += vm.lastCallGas().gasTotalUsed;
    }

    function finish(string memory path, uint8 n, bytes32 job) private {
        assertState(job, IJobScheduler.JobState.Verified);
        vm.snapshotValue("sizes", string.concat(path, ", ", vm.toString(n), " nodes"), total);
    }

    /// Every bit but that of the last seat.
    function honest(uint8 n) private pure returns (uint256) {
        return (1 << (n - 1)) - 1;
    }

    function plain(uint8 n) private {
        IJobScheduler.Terms memory t = sized(n);
        bytes32 job = submit(t);
        count();
        for (uint256 i = 0; i < n; ++i) {
            bidOf(nodes[i], job, t, t.price);
            count();
        }
        accept(job, t, firstNodes(n));
        count();
        for (uint256 i = 0; i < n; ++i) {
            bytes32 commitment = scheduler.commitmentOf(job, uint8(i), nodes[i], opening(i, n));
            vm.prank(nodes[i]);
            scheduler.commit(job, commitment);
            count();
        }
        postVerdict(job, t, (1 << n) - 1, honest(n));
        count();
        finish("plain", n, job);
    }

    function signed(uint8 n) private {
        IJobScheduler.Terms memory t = sized(n);
        IJobScheduler.SignedBid[] memory list = signedBids(nextJob(t), t, n);
        bytes32 job = submitSigned(t, list);
        count();
        uint256 all = (1 << n) - 1;
        IJobScheduler.SeatHolder[] memory holders = holdersOf(job, t, all, all);
        IJobScheduler.Signed[] memory given = signatures(job, t, holders);
        uint256 head = rosteredHead(t, block.timestamp, 0);
        vm.prank(keeper);
        scheduler.commitRostered(job, revisionOf(t), head, holders, given);
        count();
        postVerdictRostered(job, t, rosteredHead(t, block.timestamp, block.timestamp), all, honest(n));
        count();
        finish("signed", n, job);
    }

    // One job a test: a second one finds other storage warm and its parties with a record.

    function test_plain_job_of_3() public {
        plain(3);
    }

    function test_plain_job_of_7() public {
        plain(7);
    }

    function test_plain_job_of_15() public {
        plain(15);
    }

    function test_plain_job_of_31() public {
        plain(31);
    }

    function test_signed_job_of_3() public {
        signed(3);
    }

    function test_signed_job_of_7() public {
        signed(7);
    }

    function test_signed_job_of_15() public {
        signed(15);
    }

    function test_signed_job_of_31() public {
        signed(31);
    }
}
