// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IJobScheduler} from "../../src/IJobScheduler.sol";
import {SchedulerBase} from "../harness/SchedulerBase.sol";

/// What whole jobs cost, every transaction with its 21,000 and its calldata: each call runs as its own transaction.
/// Three nodes that have accounts, a keeper that is none of the parties, and one liar with another output. Written to
/// `contracts/snapshots/jobs.json`, and held to bounds.
/// forge-config: default.isolate = true
contract JobsGasTest is SchedulerBase {
    uint256 private total;

    function count(string memory step) private {
        total += vm.snapshotGasLastCall("jobs", step);
    }

    /// `goal` is what was aimed for and is not met, by how much is written down too; `most` is what may not be
    /// exceeded. Why not: `docs/contract.md`, Gas.
    function finish(string memory name, uint256 goal, uint256 most) private {
        vm.snapshotValue("jobs", string.concat(name, ", all"), total);
        vm.snapshotValue("jobs", string.concat(name, ", over the goal"), total > goal ? total - goal : 0);
        assertLe(total, most, name);
    }

    function test_the_bytecode_fits_a_contract() public view {
        assertLe(address(scheduler).code.length, 24_576);
    }

    /// Submission, bids, acceptance and commitments, one transaction each but for the acceptances.
    function plain(string memory name) private returns (bytes32 job, IJobScheduler.Terms memory t) {
        t = terms();
        job = submit(t);
        count(string.concat(name, ", submit"));
        for (uint256 i = 0; i < 3; ++i) {
            bidOf(nodes[i], job, t, t.price);
            count(string.concat(name, ", bid ", vm.toString(i)));
        }
        accept(job, t, firstNodes(3));
        count(string.concat(name, ", accept all"));
        for (uint256 i = 0; i < 3; ++i) {
            bytes32 commitment = scheduler.commitmentOf(job, uint8(i), nodes[i], opening(i, 3));
            vm.prank(nodes[i]);
            scheduler.commit(job, commitment);
            count(string.concat(name, ", commit ", vm.toString(i)));
        }
    }

    function test_plain_job_of_three() public {
        (bytes32 job, IJobScheduler.Terms memory t) = plain("plain");
        postVerdict(job, t, 7, 3);
        count("plain, verdict");
        assertState(job, IJobScheduler.JobState.Verified);
        finish("plain", 520_000, 565_000);
    }

    function test_job_of_three_with_reveals_on_chain() public {
        (bytes32 job, IJobScheduler.Terms memory t) = plain("revealed");
        for (uint256 i = 0; i < 3; ++i) {
            reveal(job, i, t);
            count(string.concat("revealed, reveal ", vm.toString(i)));
        }
        postVerdict(job, t, 7, 3);
        count("revealed, verdict");
        assertState(job, IJobScheduler.JobState.Verified);
        finish("revealed", 620_000, 680_000);
    }

    function test_signed_job_of_three() public {
        IJobScheduler.Terms memory t = terms();
        IJobScheduler.SignedBid[] memory list = signedBids(nextJob(t), t, 3);
        bytes32 job = submitSigned(t, list);
        count("signed, submit");
        IJobScheduler.SeatHolder[] memory holders = holdersOf(job, t, 7, 7);
        IJobScheduler.Signed[] memory given = signatures(job, t, holders);
        vm.prank(keeper);
        scheduler.commitSigned(job, requester, revisionOf(t), holders, given);
        count("signed, commit all");
        postVerdict(job, t, 7, 3);
        count("signed, verdict");
        assertState(job, IJobScheduler.JobState.Verified);
        finish("signed", 285_000, 327_000);
    }
}
