// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IJobScheduler} from "../../src/IJobScheduler.sol";
import {Head} from "../../src/Packing.sol";
import {AuditsBase} from "../harness/AuditsBase.sol";

/// What whole jobs cost, every transaction with its 21,000 and its calldata: each call runs as its own transaction.
/// Three nodes that have accounts, a keeper that is none of the parties, and one liar with another output. Written to
/// `contracts/snapshots/jobs.json`, and held to the budgets.
/// forge-config: default.isolate = true
contract JobsGasTest is AuditsBase {
    uint256 private total;

    function count(string memory step) private {
        total += vm.snapshotGasLastCall("jobs", step);
    }

    function finish(string memory name, uint256 budget) private {
        vm.snapshotValue("jobs", string.concat(name, ", all"), total);
        assertLe(total, budget, name);
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
        finish("plain", 520_000);
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
        finish("revealed", 630_000);
    }

    function test_signed_job_of_three() public {
        IJobScheduler.Terms memory t = terms();
        IJobScheduler.SignedBid[] memory list = signedBids(nextJob(t), t, 3);
        bytes32 job = submitSigned(t, list);
        count("signed, submit");
        IJobScheduler.SeatHolder[] memory holders = holdersOf(job, t, 7, 7);
        IJobScheduler.Signed[] memory given = signatures(job, t, holders);
        vm.prank(keeper);
        scheduler.commitRostered(job, revisionOf(t), rosteredHead(t, block.timestamp, 0), holders, given);
        count("signed, commit all");
        postVerdictRostered(job, t, rosteredHead(t, block.timestamp, block.timestamp), 7, 3);
        count("signed, verdict");
        assertState(job, IJobScheduler.JobState.Verified);
        finish("signed", 285_000);
    }

    /// One seat, then two more: bids, one acceptance, commitments.
    function wave(string memory name, bytes32 job, IJobScheduler.Terms memory t, uint256 first, uint256 end)
        private
    {
        address[] memory list = new address[](end - first);
        for (uint256 i = first; i < end; ++i) {
            list[i - first] = nodes[i];
            bidOf(nodes[i], job, t, t.price);
            count(string.concat(name, ", bid ", vm.toString(i)));
        }
        accept(job, t, list);
        count(string.concat(name, ", accept from ", vm.toString(first)));
        for (uint256 i = first; i < end; ++i) {
            bytes32 commitment = scheduler.commitmentOf(job, uint8(i), nodes[i], opening(i, 1));
            vm.prank(nodes[i]);
            scheduler.commit(job, commitment);
            count(string.concat(name, ", commit ", vm.toString(i)));
        }
    }

    function audit(string memory name, uint256 permille)
        private
        returns (bytes32 job, IJobScheduler.Terms memory t)
    {
        t = audited(1, permille);
        job = submit(t);
        count(string.concat(name, ", submit"));
        wave(name, job, t, 0, 1);
        IJobScheduler.SeatHolder[] memory one = holdersOf(job, t, 1, 1);
        publishSecret(job, t, SECRET, one);
        count(string.concat(name, ", secret"));
    }

    function test_a_job_of_one_seat_that_is_spared() public {
        (bytes32 job, IJobScheduler.Terms memory t) = audit("spared", SPARES);
        postVerdict(job, t, 1, 1);
        count("spared, verdict");
        assertState(job, IJobScheduler.JobState.Verified);
        finish("spared", 320_000);
    }

    function test_a_signed_job_of_one_seat_that_is_spared() public {
        IJobScheduler.Terms memory t = audited(1, SPARES);
        bytes32 job = submitSigned(t, signedBids(nextJob(t), t, 1));
        count("signed spared, submit");
        IJobScheduler.SeatHolder[] memory one = holdersOf(job, t, 1, 1);
        IJobScheduler.Signed[] memory given = signatures(job, t, one);
        vm.prank(keeper);
        scheduler.commitRostered(job, revisionOf(t), rosteredHead(t, block.timestamp, 0), one, given);
        count("signed spared, commit");
        uint256 head = rosteredHead(t, block.timestamp, block.timestamp);
        bytes memory d = deal_(job, t);
        vm.prank(requester);
        scheduler.publishSecretRostered(job, d, head, SECRET, one);
        count("signed spared, secret");
        postVerdictRostered(job, t, Head.unwrap(Head.wrap(head).spared(block.timestamp)), 1, 1);
        count("signed spared, verdict");
        assertState(job, IJobScheduler.JobState.Verified);
        finish("signed spared", 250_000);
    }

    function test_a_job_of_one_seat_whose_second_wave_of_two_is_drawn() public {
        (bytes32 job, IJobScheduler.Terms memory t) = audit("drawn", DRAWS);
        wave("drawn", job, t, 1, 3);
        postVerdict(job, t, 7, 7);
        count("drawn, verdict");
        assertState(job, IJobScheduler.JobState.Verified);
        finish("drawn", 600_000);
    }
}
