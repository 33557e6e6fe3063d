// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IJobScheduler} from "../../src/IJobScheduler.sol";
import {SchedulerBase} from "../harness/SchedulerBase.sol";

/// Invariant 13: what a job ends with depends on neither who ends it, when, in which order nodes acted, nor on whether they
/// sent or signed.
contract OutcomeTest is SchedulerBase {
    /// A permutation of 0 to n - 1.
    function shuffled(uint256 n, uint256 seed) private pure returns (uint256[] memory order) {
        order = new uint256[](n);
        for (uint256 i = 0; i < n; ++i) {
            uint256 k = uint256(keccak256(abi.encode(seed, i))) % (i + 1);
            order[i] = order[k];
            order[k] = i;
        }
    }

    /// What each party has in the end, the keeper's fee apart, with its record.
    function outcome(bytes32 job) private view returns (bytes memory all) {
        all = abi.encode(stateOf(job), scheduler.burnt(), scheduler.accounts(requester));
        for (uint256 i = 0; i < nodes.length; ++i) {
            all = bytes.concat(all, abi.encode(scheduler.accounts(nodes[i])));
        }
    }

    /// Commits in some order, some of them signed and in batches, reveals some, and posts the verdict at some time.
    function play(bytes32 job, IJobScheduler.Terms memory t, uint256 seed, uint256 accepted) private {
        uint256[] memory order = shuffled(t.concurrency, seed);
        uint256 start = block.timestamp;
        for (uint256 i = 0; i < order.length; ++i) {
            vm.warp(start + i * (seed % 100));
            if (seed >> (8 + i) & 1 == 0) commit(job, order[i], opening(order[i], t.concurrency));
            else commitFor(job, t, order[i]);
        }
        order = shuffled(t.concurrency, ~seed);
        for (uint256 i = 0; i < order.length; ++i) {
            if (seed >> (16 + i) & 1 == 0) reveal(job, order[i], t);
        }
        vm.warp(block.timestamp + (seed >> 24) % (t.reveal + 1));
        post(job, t, makeAddr(vm.toString(seed)), accepted);
    }

    function commitFor(bytes32 job, IJobScheduler.Terms memory t, uint256 seat) private {
        IJobScheduler.SeatHolder[] memory one = holdersOf(job, t, 1 << seat, 1 << seat);
        IJobScheduler.Signed[] memory by = signatures(job, t, one);
        scheduler.commitSigned(job, deal_(job, t), one, by);
    }

    function post(bytes32 job, IJobScheduler.Terms memory t, address caller, uint256 accepted) private {
        bytes memory d = deal_(job, t);
        IJobScheduler.SeatOpening[] memory list = openings(t, (1 << t.concurrency) - 1);
        vm.prank(caller);
        scheduler.postVerdict(job, d, list, uint32(accepted));
    }

    function testFuzz_13_outcomes_depend_on_no_order_caller_or_time(
        uint256 seed,
        uint256 other,
        uint8 n,
        bool isDeterministic
    ) public {
        IJobScheduler.Terms memory t = terms();
        t.concurrency = uint8(2 + n % 4);
        (t.deterministic, t.keeperFee) = (isDeterministic, 0.001 ether);
        uint256 accepted = t.concurrency == 2 ? 0 : (1 << (t.concurrency - 1)) - 1;
        uint256 snapshot = vm.snapshotState();
        bytes32 job = running(t);
        play(job, t, seed, accepted);
        bytes memory first = outcome(job);
        vm.revertToState(snapshot);
        job = running(t);
        play(job, t, other, accepted);
        assertEq(outcome(job), first, "another order");
        vm.revertToState(snapshot);
        assertEq(signedOutcome(t, accepted), first, "signed");
    }

    /// Four runs in a row, each within the tolerance of the next alone, and one that is void: two balls tie, and the
    /// one counts whose centre has the least hash of all salts and its node. Nobody knows which before the last reveal.
    function testFuzz_13_the_last_tie_goes_to_a_hash_of_all_salts(bytes32 secret) public {
        IJobScheduler.Terms memory t = terms();
        (t.concurrency, t.relativePermille) = (5, 0);
        bytes32 job = running(t);
        IJobScheduler.SeatOpening[] memory list = openings(t, 31);
        bytes memory salts;
        for (uint256 i = 0; i < 5; ++i) {
            list[i].opening.resultHash = keccak256(abi.encode(i));
            // Units of 256 KiB: 4 are the tolerance of 1 MiB.
            list[i].opening.fingerprint =
                i == 4 ? bytes32(type(uint256).max) : bytes32(word(1000 + 4 * i, 900));
            list[i].opening.salt = keccak256(abi.encode(secret, i));
            salts = bytes.concat(salts, list[i].opening.salt);
            commit(job, i, list[i].opening);
        }
        bytes32 all = keccak256(salts);
        bool isLower = keccak256(abi.encodePacked(all, nodes[1])) < keccak256(abi.encodePacked(all, nodes[2]));
        (uint32 right, uint32 wrong) = isLower ? (uint32(7), uint32(14)) : (uint32(14), uint32(7));
        bytes memory d = deal_(job, t);
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.VerdictMismatch.selector, wrong));
        scheduler.postVerdict(job, d, list, wrong);
        scheduler.postVerdict(job, d, list, right);
    }

    /// The same with every bid and commitment signed; the escrow is sent along, as it is without.
    function signedOutcome(IJobScheduler.Terms memory t, uint256 accepted) private returns (bytes memory) {
        IJobScheduler.SignedBid[] memory list = signedBids(nextJob(t), t, t.concurrency);
        bytes32 job = submitSigned(t, list);
        uint256 all = (1 << t.concurrency) - 1;
        IJobScheduler.SeatHolder[] memory holders = holdersOf(job, t, all, all);
        IJobScheduler.Signed[] memory by = signatures(job, t, holders);
        uint256 now_ = block.timestamp;
        scheduler.commitRostered(job, revisionOf(t), rosteredHead(t, now_, 0), holders, by);
        postVerdictRostered(job, t, rosteredHead(t, now_, now_), all, accepted);
        return outcome(job);
    }
}
