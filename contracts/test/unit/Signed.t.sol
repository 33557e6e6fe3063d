// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IJobScheduler} from "../../src/IJobScheduler.sol";
import {Head} from "../../src/Packing.sol";
import {Signatures} from "../../src/Signatures.sol";
import {SchedulerBase} from "../harness/SchedulerBase.sol";
import {Terms} from "../harness/Terms.sol";

/// Bids and commitments that nodes sign instead of sending, and the way back to single steps.
contract SignedTest is SchedulerBase {
    uint256 private constant START = 1_700_000_000;

    function seated(IJobScheduler.Terms memory t) private returns (bytes32 job) {
        IJobScheduler.SignedBid[] memory list = signedBids(nextJob(t), t, t.concurrency);
        job = submitSigned(t, list);
    }

    function commitSigned(bytes32 job, IJobScheduler.Terms memory t, uint256 seats) private {
        IJobScheduler.SeatHolder[] memory holders = holdersOf(job, t, seats, seats);
        IJobScheduler.Signed[] memory list = signatures(job, t, holders);
        bytes memory d = deal_(job, t);
        vm.prank(keeper);
        scheduler.commitSigned(job, d, holders, list);
    }

    function commitRostered(bytes32 job, IJobScheduler.Terms memory t) private {
        IJobScheduler.SeatHolder[] memory holders = holdersOf(job, t, 7, 7);
        IJobScheduler.Signed[] memory list = signatures(job, t, holders);
        vm.prank(keeper);
        scheduler.commitRostered(job, revisionOf(t), started(t), holders, list);
    }

    /// The head of a job that was submitted, and has started, at the first moment.
    function started(IJobScheduler.Terms memory t) private pure returns (uint256) {
        return rosteredHead(t, START, 0);
    }

    function unpack(bytes32 job, IJobScheduler.Terms memory t, uint256 head, uint256 committed) private {
        IJobScheduler.SeatHolder[] memory roster = holdersOf(job, t, 7, committed);
        vm.prank(keeper);
        scheduler.unpack(job, revisionOf(t), head, roster);
    }

    function test_three_transactions_make_a_job() public {
        IJobScheduler.Terms memory t = terms();
        bytes32 job = seated(t);
        assertState(job, IJobScheduler.JobState.Running);
        vm.warp(START + 10);
        commitRostered(job, t);
        assertState(job, IJobScheduler.JobState.Revealing);
        postVerdictRostered(job, t, rosteredHead(t, START, START + 10), 7, 3);
        assertState(job, IJobScheduler.JobState.Verified);
        assertEq(free(nodes[0]), MONEY + t.price);
        assertEq(free(nodes[2]), MONEY);
        assertEq(free(requester), MONEY + t.price);
    }

    function test_after_unpacking_every_plain_step_works() public {
        IJobScheduler.Terms memory t = terms();
        bytes32 job = seated(t);
        vm.prank(nodes[0]);
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.Rostered.selector, job));
        scheduler.commit(job, 0);
        unpack(job, t, started(t), 0);
        assertState(job, IJobScheduler.JobState.Running);
        commit(job, 0, opening(0, 3));
        commitSigned(job, t, 6);
        postVerdict(job, t, 7, 3);
        assertEq(free(nodes[0]), MONEY + t.price);
    }

    function test_all_committed_can_be_unpacked_and_revealed() public {
        IJobScheduler.Terms memory t = terms();
        bytes32 job = seated(t);
        commitRostered(job, t);
        uint256 head = rosteredHead(t, START, START);
        unpack(job, t, head, 7);
        assertState(job, IJobScheduler.JobState.Revealing);
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.NotRostered.selector, job));
        scheduler.unpack(job, revisionOf(t), head, new IJobScheduler.SeatHolder[](0));
        reveal(job, 0, t);
        reveal(job, 1, t);
        vm.warp(block.timestamp + t.reveal + 1);
        postVerdict(job, t, 3, 3);
        assertEq(scheduler.burnt(), t.bond);
    }

    function test_a_rostered_job_is_never_stuck() public {
        IJobScheduler.Terms memory t = terms();
        bytes32 job = seated(t);
        vm.warp(block.timestamp + t.run + 1);
        unpack(job, t, started(t), 0);
        expire(job, t, new IJobScheduler.SeatHolder[](0));
        assertState(job, IJobScheduler.JobState.Failed);
        assertEq(scheduler.burnt(), 3 * t.bond);
    }

    /// Every call that names a job whose seats are one hash, but for those made for it.
    function test_a_rostered_job_takes_no_single_steps() public {
        IJobScheduler.Terms memory t = terms();
        bytes32 job = seated(t);
        bytes memory d = deal_(job, t);
        address[] memory none = new address[](0);
        IJobScheduler.SeatHolder[] memory nobody = new IJobScheduler.SeatHolder[](0);
        bytes[11] memory calls = [
            abi.encodeCall(IJobScheduler.updateDeal, (job, d, Terms.pack(t))),
            abi.encodeCall(IJobScheduler.cancel, (job, d)),
            abi.encodeCall(IJobScheduler.acceptBids, (job, d, none)),
            abi.encodeCall(IJobScheduler.rejectBids, (job, d, none)),
            abi.encodeCall(IJobScheduler.stop, (job, d, nobody)),
            abi.encodeCall(IJobScheduler.remark, (job, d, nodes[0], "")),
            abi.encodeCall(IJobScheduler.reportFailure, (job, d, IJobScheduler.FailureKind.Disk)),
            abi.encodeCall(IJobScheduler.expire, (job, d, nobody)),
            abi.encodeCall(IJobScheduler.reveal, (job, sealedBy(nodes[0], 0, t.price, opening(0, 3)))),
            abi.encodeCall(IJobScheduler.commitSigned, (job, d, nobody, new IJobScheduler.Signed[](0))),
            abi.encodeCall(IJobScheduler.postVerdict, (job, d, new IJobScheduler.SeatOpening[](0), 0))
        ];
        for (uint256 i = 0; i < calls.length; ++i) {
            vm.prank(requester);
            (bool done, bytes memory reason) = address(scheduler).call(calls[i]);
            assertFalse(done, vm.toString(i));
            assertEq(reason, abi.encodeWithSelector(IJobScheduler.Rostered.selector, job), vm.toString(i));
        }
    }

    /// By another node, over another commitment, for another job: of a rostered job as of an unpacked one.
    function test_a_commitment_that_its_node_did_not_sign_is_refused() public {
        IJobScheduler.Terms memory t = terms();
        bytes32 job = seated(t);
        refusesCommitments(job, t, true);
        unpack(job, t, started(t), 0);
        refusesCommitments(job, t, false);
    }

    function refusesCommitments(bytes32 job, IJobScheduler.Terms memory t, bool isRostered) private {
        IJobScheduler.SeatHolder[] memory holders = holdersOf(job, t, 7, 7);
        IJobScheduler.Signed[] memory by = signatures(job, t, holders);
        by[1] = by[2];
        refusesCommitment(job, t, isRostered, holders, by);
        by = signatures(job, t, holders);
        holders[1].commitment = keccak256("another");
        refusesCommitment(job, t, isRostered, holders, by);
        holders = holdersOf(job, t, 7, 7);
        by[1] = signatures(keccak256("another"), t, holders)[1];
        refusesCommitment(job, t, isRostered, holders, by);
    }

    function refusesCommitment(
        bytes32 job,
        IJobScheduler.Terms memory t,
        bool isRostered,
        IJobScheduler.SeatHolder[] memory holders,
        IJobScheduler.Signed[] memory by
    ) private {
        bytes memory d = deal_(job, t);
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.BadSignature.selector, nodes[1]));
        if (isRostered) scheduler.commitRostered(job, revisionOf(t), started(t), holders, by);
        else scheduler.commitSigned(job, d, holders, by);
    }

    function test_a_batch_of_commitments_passes_over_those_that_are_there() public {
        IJobScheduler.Terms memory t = terms();
        bytes32 job = seated(t);
        unpack(job, t, started(t), 0);
        commit(job, 1, opening(1, 3));
        commitSigned(job, t, 7);
        assertState(job, IJobScheduler.JobState.Revealing);
        IJobScheduler.SeatHolder[] memory holders = holdersOf(job, t, 7, 7);
        IJobScheduler.Signed[] memory list = signatures(job, t, holders);
        bytes memory d = deal_(job, t);
        vm.expectRevert(wrongState(IJobScheduler.JobState.Revealing));
        scheduler.commitSigned(job, d, holders, list);
    }

    function test_a_batch_of_commitments_passes_over_a_seat_that_failed() public {
        IJobScheduler.Terms memory t = terms();
        bytes32 job = seated(t);
        unpack(job, t, started(t), 0);
        bytes memory d = deal_(job, t);
        vm.prank(nodes[2]);
        scheduler.reportFailure(job, d, IJobScheduler.FailureKind.Disk);
        commitSigned(job, t, 7);
        (,, uint256 head,) = scheduler.jobs(job);
        assertEq(Head.wrap(head).committed(), 3);
    }

    function test_who_unpacks_a_job_first_voids_no_batch() public {
        IJobScheduler.Terms memory t = terms();
        bytes32 job = seated(t);
        unpack(job, t, started(t), 0);
        commit(job, 0, opening(0, 3));
        commitRostered(job, t);
        assertState(job, IJobScheduler.JobState.Revealing);
        postVerdictRostered(job, t, rosteredHead(t, START, START), 7, 3);
        assertState(job, IJobScheduler.JobState.Verified);
        assertEq(free(nodes[0]), MONEY + t.price);
    }

    function test_every_seat_needs_its_signature() public {
        IJobScheduler.Terms memory t = terms();
        bytes32 job = seated(t);
        IJobScheduler.SeatHolder[] memory holders = holdersOf(job, t, 7, 7);
        IJobScheduler.Signed[] memory list = signatures(job, t, holdersOf(job, t, 3, 3));
        bytes32 revision = revisionOf(t);
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.SignaturesMissing.selector, 3));
        scheduler.commitRostered(job, revision, started(t), holders, list);
        unpack(job, t, started(t), 0);
        bytes memory d = deal_(job, t);
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.SignaturesMissing.selector, 3));
        scheduler.commitSigned(job, d, holders, list);
    }

    function test_a_rostered_job_is_followed_up_once_unpacked() public {
        IJobScheduler.Terms memory t = terms();
        (t.confidence, t.escalationLimit) = (3, 5);
        bytes32 job = seated(t);
        commitRostered(job, t);
        uint256 head = rosteredHead(t, START, START);
        postVerdictRostered(job, t, head, 7, 0);
        assertState(job, IJobScheduler.JobState.Inconclusive);
        bytes memory parent = deal_(job, t);
        IJobScheduler.Terms memory child = terms();
        (child.confidence, child.escalationLimit, child.concurrency, child.parent) = (3, 5, 5, job);
        uint256 value = escrow(child);
        vm.prank(requester);
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.Rostered.selector, job));
        scheduler.submitChild{value: value}(Terms.pack(child), parent, SPEC, nonce);
        // All have revealed since, and the state is another.
        unpack(job, t, (head ^ 5 << 12) | 7 << 82, 7);
        vm.prank(requester);
        bytes32 childJob = scheduler.submitChild{value: value}(Terms.pack(child), parent, SPEC, nonce);
        nonceOf[childJob] = nonce;
        bytes memory d = deal_(childJob, child);
        vm.prank(nodes[1]);
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.SatInParent.selector, job));
        scheduler.bid(childJob, d, 0);
    }

    function test_a_follow_up_takes_no_signed_bids() public {
        IJobScheduler.Terms memory t = terms();
        t.parent = keccak256("parent");
        vm.prank(requester);
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.BadParent.selector, t.parent));
        scheduler.submitSigned(Terms.pack(t), SPEC, 0, new IJobScheduler.SignedBid[](0));
        vm.prank(requester);
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.BadParent.selector, t.parent));
        scheduler.submitChild(Terms.pack(t), "", SPEC, 0);
    }

    function test_a_false_roster_is_refused() public {
        IJobScheduler.Terms memory t = terms();
        bytes32 job = seated(t);
        IJobScheduler.SeatHolder[] memory roster = holdersOf(job, t, 7, 0);
        bytes32 revision = revisionOf(t);
        roster[2].price -= 1;
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.WrongRoster.selector, job));
        scheduler.unpack(job, revision, started(t), roster);
        roster[2].price += 1;
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.WrongRoster.selector, job));
        scheduler.unpack(job, revision, started(t) + (1 << 192), roster);
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.WrongRoster.selector, job));
        scheduler.unpack(job, revision ^ bytes32(uint256(1)), started(t), roster);
        IJobScheduler.SeatHolder[] memory two = holdersOf(job, t, 3, 0);
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.WrongRoster.selector, job));
        scheduler.unpack(job, revision, started(t), two);
    }

    function test_a_roster_of_no_job_or_another_deal_is_refused() public {
        IJobScheduler.Terms memory t = terms();
        bytes32 job = nextJob(t);
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.NoSuchJob.selector, job));
        scheduler.unpack(job, revisionOf(t), started(t), new IJobScheduler.SeatHolder[](0));
        seated(t);
        commitRostered(job, t);
        uint256 head = rosteredHead(t, START, START);
        IJobScheduler.SeatOpening[] memory list = openings(t, 7);
        t.price -= 1;
        bytes memory d = deal_(job, t);
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.WrongDeal.selector, job));
        scheduler.postVerdictRostered(job, d, head, list, 3);
    }

    function test_commitments_of_a_roster_come_all_at_once() public {
        IJobScheduler.Terms memory t = terms();
        bytes32 job = seated(t);
        IJobScheduler.SeatHolder[] memory two = holdersOf(job, t, 3, 3);
        IJobScheduler.Signed[] memory list = signatures(job, t, two);
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.WrongRoster.selector, job));
        scheduler.commitRostered(job, revisionOf(t), started(t), two, list);
    }

    function test_a_false_opening_of_a_roster_is_refused() public {
        IJobScheduler.Terms memory t = terms();
        bytes32 job = seated(t);
        commitRostered(job, t);
        IJobScheduler.SeatOpening[] memory list = openings(t, 7);
        list[1].opening.resultHash = 0;
        bytes memory d = deal_(job, t);
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.WrongRoster.selector, job));
        scheduler.postVerdictRostered(job, d, rosteredHead(t, START, START), list, 1);
    }

    function test_a_bid_without_its_money_is_passed_over_for_the_next() public {
        IJobScheduler.Terms memory t = terms();
        vm.prank(nodes[1]);
        scheduler.withdraw(MONEY);
        IJobScheduler.SignedBid[] memory list = signedBids(nextJob(t), t, 4);
        bytes32 expected = nextJob(t);
        vm.expectEmit();
        emit IJobScheduler.BidSkipped(expected, nodes[1]);
        bytes32 job = submitSigned(t, list);
        assertState(job, IJobScheduler.JobState.Running);
        assertEq(free(nodes[3]), MONEY - t.bond);
    }

    function test_too_few_signed_bids_leave_the_job_open() public {
        IJobScheduler.Terms memory t = terms();
        IJobScheduler.SignedBid[] memory list = signedBids(nextJob(t), t, 2);
        bytes32 job = submitSigned(t, list);
        assertState(job, IJobScheduler.JobState.Open);
        bidOf(nodes[2], job, t, t.price);
        address[] memory last = new address[](1);
        last[0] = nodes[2];
        accept(job, t, last);
        commitAll(job, t);
        postVerdict(job, t, 7, 3);
        assertEq(free(nodes[1]), MONEY + t.price);
    }

    function test_a_revoked_bid_is_passed_over() public {
        IJobScheduler.Terms memory t = terms();
        bytes32 job = nextJob(t);
        vm.prank(nodes[0]);
        scheduler.revokeSignedBid(job);
        IJobScheduler.SignedBid[] memory list = signedBids(job, t, 3);
        submitSigned(t, list);
        assertState(job, IJobScheduler.JobState.Open);
        assertEq(free(nodes[0]), MONEY);
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.JobExists.selector, job));
        scheduler.revokeSignedBid(job);
    }

    function test_a_signed_bid_is_good_until_its_last_second() public {
        IJobScheduler.Terms memory t = terms();
        for (uint256 late = 0; late < 2; ++late) {
            IJobScheduler.SignedBid[] memory list = signedBids(nextJob(t), t, 3);
            vm.warp(uint256(list[0].signed.seen) + late);
            bytes32 job = submitSigned(t, list);
            assertState(job, late == 0 ? IJobScheduler.JobState.Running : IJobScheduler.JobState.Open);
            (IJobScheduler.BidStatus status,) = scheduler.bids(job, nodes[0]);
            assertEq(
                uint256(status),
                uint256(IJobScheduler.BidStatus.None),
                "it has no slot, seated or passed over"
            );
        }
    }

    function test_a_bid_is_not_made_to_last_longer() public {
        IJobScheduler.Terms memory t = terms();
        IJobScheduler.SignedBid[] memory list = signedBids(nextJob(t), t, 1);
        list[0].signed.seen = bytes32(uint256(list[0].signed.seen) + 1);
        refusesBid(t, list);
    }

    function test_a_signed_bid_needs_what_the_terms_ask_to_have_been_paid() public {
        IJobScheduler.Terms memory t = terms();
        postVerdict(revealing(t), t, 7, 3);
        t.minPaid = t.price + 1;
        IJobScheduler.SignedBid[] memory list = signedBids(nextJob(t), t, 3);
        vm.prank(requester);
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.TooLittlePaid.selector, t.price, t.minPaid));
        scheduler.submitSigned{value: escrow(t)}(Terms.pack(t), SPEC, nonce, list);
        t.minPaid = t.price;
        assertState(submitSigned(t, signedBids(nextJob(t), t, 2)), IJobScheduler.JobState.Open);
    }

    function test_bids_must_ascend_so_that_no_node_has_two_seats() public {
        IJobScheduler.Terms memory t = terms();
        IJobScheduler.SignedBid[] memory list = signedBids(nextJob(t), t, 3);
        list[1] = list[0];
        vm.prank(requester);
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.NodesOutOfOrder.selector, nodes[0]));
        scheduler.submitSigned{value: escrow(t)}(Terms.pack(t), SPEC, nonce, list);
    }

    function refusesBid(IJobScheduler.Terms memory t, IJobScheduler.SignedBid[] memory list) private {
        vm.prank(requester);
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.BadSignature.selector, nodes[0]));
        scheduler.submitSigned{value: escrow(t)}(Terms.pack(t), SPEC, nonce, list);
    }

    function test_a_bid_signed_for_another_job_price_or_node_is_refused() public {
        IJobScheduler.Terms memory t = terms();
        IJobScheduler.SignedBid[] memory list = signedBids(keccak256("another"), t, 1);
        refusesBid(t, list);
        list = signedBids(nextJob(t), t, 1);
        list[0].price -= 1;
        refusesBid(t, list);
        list = signedBids(nextJob(t), t, 2);
        list[0].signed = list[1].signed;
        refusesBid(t, list);
    }

    function test_a_mirrored_or_empty_signature_is_refused() public {
        IJobScheduler.Terms memory t = terms();
        IJobScheduler.SignedBid[] memory list = signedBids(nextJob(t), t, 1);
        uint256 vs = uint256(list[0].signed.vs);
        // Of the other root, whose s does not fit beside a parity, only the parity can be given.
        list[0].signed.vs = bytes32(vs ^ 1 << 255);
        refusesBid(t, list);
        (list[0].signed.r, list[0].signed.vs) = (0, 0);
        refusesBid(t, list);
    }

    function test_signatures_of_another_chain_count_nothing() public {
        IJobScheduler.Terms memory t = terms();
        bytes32 here = nextJob(t);
        IJobScheduler.SignedBid[] memory list = signedBids(here, t, 1);
        vm.chainId(block.chainid + 1);
        assertNotEq(nextJob(t), here);
        refusesBid(t, list);
    }

    function test_first_come_deals_take_no_signed_bids() public {
        IJobScheduler.Terms memory t = terms();
        t.acceptance = IJobScheduler.Acceptance.FirstCome;
        IJobScheduler.SignedBid[] memory list = signedBids(nextJob(t), t, 3);
        vm.prank(requester);
        vm.expectRevert(IJobScheduler.FirstComeDeal.selector);
        scheduler.submitSigned{value: escrow(t)}(Terms.pack(t), SPEC, nonce, list);
    }

    /// The action and digest that a snapshot beside `src/domain/codec.rs` pins.
    function test_the_digest_is_the_one_of_rust() public pure {
        bytes32 digest = Signatures.digest(
            Signatures.separator(31_337, address(bytes20(repeated(6)))),
            repeated(1),
            repeated(2),
            3,
            repeated(4),
            IJobScheduler.EventKind.Committed,
            repeated(5)
        );
        assertEq(digest, 0x42fb2f21606b55e535a41922e5c31a7a1012ddc4db315de1738971ec60dda700);
    }

    function repeated(uint256 octet) private pure returns (bytes32) {
        return bytes32(octet * 0x0101010101010101010101010101010101010101010101010101010101010101);
    }

    /// EIP-712 spelled out.
    function test_what_is_signed_is_the_eip712_digest() public view {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256(
                    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
                ),
                keccak256("Assay"),
                keccak256("2"),
                block.chainid,
                address(scheduler)
            )
        );
        assertEq(scheduler.domainSeparator(), domain);
    }
}
