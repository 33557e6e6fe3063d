// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IJobScheduler} from "../../src/IJobScheduler.sol";
import {Head} from "../../src/Packing.sol";
import {SchedulerBase} from "./SchedulerBase.sol";
import {Terms} from "./Terms.sol";

/// Jobs with a second wave, and the steps of each.
abstract contract AuditsBase is SchedulerBase {
    bytes32 internal constant SECRET = keccak256("secret of the requester");
    /// Chances in thousandths: with the least, the commitments of these tests never draw a second wave.
    uint256 internal constant SPARES = 1;
    uint256 internal constant DRAWS = 1000;
    /// What five nodes, the requester and the keeper have put in.
    uint256 internal constant HELD = 7 * MONEY;

    function audit(uint256 permille, uint256 seats) internal pure returns (bytes32) {
        return Terms.audit(SECRET, permille, seats);
    }

    /// Of `n` seats, and two more if they are drawn.
    function audited(uint8 n, uint256 permille) internal pure returns (IJobScheduler.Terms memory t) {
        t = terms();
        (t.concurrency, t.confidence, t.audit) = (n, n == 1 ? 1 : 2, audit(permille, 2));
    }

    function packed(IJobScheduler.Terms memory t) internal pure returns (bytes memory) {
        return Terms.pack(t);
    }

    /// Nodes from the first to before the last bid and get the next seats.
    function seat(bytes32 job, IJobScheduler.Terms memory t, uint256 first, uint256 end) internal {
        address[] memory list = new address[](end - first);
        for (uint256 i = first; i < end; ++i) {
            bidOf(nodes[i], job, t, t.price);
            list[i - first] = nodes[i];
        }
        accept(job, t, list);
    }

    function commitSeats(bytes32 job, IJobScheduler.Terms memory t, uint256 first, uint256 end) internal {
        for (uint256 i = first; i < end; ++i) {
            commit(job, i, opening(i, t.concurrency));
        }
    }

    /// The first wave has committed.
    function awaiting(IJobScheduler.Terms memory t) internal returns (bytes32 job) {
        job = submit(t);
        seat(job, t, 0, t.concurrency);
        commitSeats(job, t, 0, t.concurrency);
    }

    /// The requester publishes its secret, over these seats.
    function draw(bytes32 job, IJobScheduler.Terms memory t, uint256 committed) internal {
        publishSecret(job, t, SECRET, holdersOf(job, t, committed, committed));
    }

    // The deal is made first: its hash is a call of its own, which would be the one expected to revert.

    function refusesDraw(
        bytes32 job,
        IJobScheduler.Terms memory t,
        bytes32 secret,
        IJobScheduler.SeatHolder[] memory holders,
        bytes memory reason
    ) internal {
        bytes memory d = deal_(job, t);
        vm.prank(requester);
        vm.expectRevert(reason);
        scheduler.publishSecret(job, d, secret, holders);
    }

    function refusesVerdict(
        bytes32 job,
        IJobScheduler.Terms memory t,
        uint256 seats,
        uint256 accepted,
        bytes memory reason
    ) internal {
        bytes memory d = deal_(job, t);
        IJobScheduler.SeatOpening[] memory list = openings(t, seats);
        vm.expectRevert(reason);
        scheduler.postVerdict(job, d, list, uint32(accepted));
    }

    function refusesReveal(bytes32 job, IJobScheduler.Terms memory t, uint256 i, bytes memory reason)
        internal
    {
        IJobScheduler.Opening memory said = opening(i, t.concurrency);
        vm.prank(nodes[i]);
        vm.expectRevert(reason);
        scheduler.reveal(job, sealedBy(nodes[i], uint8(i), t.price, said));
    }

    function stageOf(bytes32 job) internal view returns (IJobScheduler.AuditStage) {
        (,, uint256 head,) = scheduler.jobs(job);
        return Head.wrap(head).audit();
    }

    function assertStage(bytes32 job, IJobScheduler.AuditStage wanted) internal view {
        assertEq(uint256(stageOf(job)), uint256(wanted), "stage of the audit");
    }
}
