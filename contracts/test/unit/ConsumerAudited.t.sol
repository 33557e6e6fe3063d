// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {AssayConsumer} from "../../src/consumer/AssayConsumer.sol";
import {IJobScheduler} from "../../src/IJobScheduler.sol";
import {Head} from "../../src/Packing.sol";
import {AuditsBase} from "../harness/AuditsBase.sol";
import {ConsumerBase} from "../harness/ConsumerBase.sol";
import {AuditingBuyer} from "../harness/Consumers.sol";
import {SchedulerBase} from "../harness/SchedulerBase.sol";
import {Terms} from "../harness/Terms.sol";

/// A contract that asks with signed bids and an audit, whose secret its owner publishes through it.
contract ConsumerAuditedTest is ConsumerBase, AuditsBase {
    bytes private constant SAID = "42\n";

    AuditingBuyer private auditing;
    bytes32 private job;
    bytes private ofBuyer;
    uint256 private committed;

    function setUp() public override(ConsumerBase, SchedulerBase) {
        super.setUp();
        auditing = new AuditingBuyer{value: 1 ether}(scheduler);
        buyer = auditing;
    }

    /// Asked, committed by three seats, and drawn.
    function drawn(IJobScheduler.Terms memory t) private {
        job = scheduler.jobId(address(buyer), 0, sha256(SPEC), revisionOf(t));
        ofBuyer = Terms.deal(address(buyer), 0, sha256(SPEC), t);
        buyer.askSigned(t, SPEC, signedBids(job, t, 3), escrow(t), FEE);
        IJobScheduler.SeatHolder[] memory holders = rosterOf(job, SAID);
        uint256 start = block.timestamp;
        scheduler.commitRostered(
            job, revisionOf(t), rosteredHead(t, start, 0), holders, signatures(job, t, holders)
        );
        committed = rosteredHead(t, start, start);
        auditing.act(
            abi.encodeCall(IJobScheduler.publishSecretRostered, (job, ofBuyer, committed, SECRET, holders))
        );
    }

    function test_the_result_of_a_spared_job_is_delivered_by_its_roster() public {
        IJobScheduler.Terms memory t = audited(3, SPARES);
        drawn(t);
        Head head = Head.wrap(committed).spared(block.timestamp);
        IJobScheduler.SeatOpening[] memory all = given(job, SAID, 3);
        vm.prank(keeper);
        scheduler.postVerdictRostered(job, ofBuyer, Head.unwrap(head), all, 3);
        head = head.withRevealed(7).withState(IJobScheduler.JobState.Verified);
        vm.prank(deliverer);
        buyer.fulfilRostered(job, revisionOf(t), Head.unwrap(head), all, 0, SAID);
        assertEq(buyer.said(), keccak256(SAID));
        assertEq(free(deliverer), FEE);
    }

    /// Two honest seats of the first wave are a majority of three, and not of the five that were asked in the end.
    function test_the_result_of_a_drawn_job_needs_a_majority_of_both_waves() public {
        IJobScheduler.Terms memory t = audited(3, DRAWS);
        drawn(t);
        assertStage(job, IJobScheduler.AuditStage.Drawn);
        address[] memory second = new address[](2);
        for (uint256 i = 0; i < 2; ++i) {
            second[i] = nodes[3 + i];
            vm.prank(second[i]);
            scheduler.bid(job, ofBuyer, t.price);
        }
        auditing.act(abi.encodeCall(IJobScheduler.acceptBids, (job, ofBuyer, second)));
        IJobScheduler.SeatOpening[] memory all = given(job, SAID, 5);
        commit(job, 3, all[3].opening);
        commit(job, 4, all[4].opening);
        vm.prank(keeper);
        scheduler.postVerdict(job, ofBuyer, all, 27);
        IJobScheduler.SeatOpening[] memory two = given(job, SAID, 2);
        vm.expectRevert(abi.encodeWithSelector(AssayConsumer.TooFewOpenings.selector, 2, 3));
        deliver(job, two, SAID);
        // Without the liar's.
        IJobScheduler.SeatOpening[] memory three = given(job, SAID, 3);
        three[2] = all[4];
        deliver(job, three, SAID);
        assertEq(buyer.said(), keccak256(SAID));
        assertEq(free(deliverer), FEE);
    }
}
