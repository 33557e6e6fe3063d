// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IJobScheduler} from "../../src/IJobScheduler.sol";
import {Head} from "../../src/Packing.sol";
import {NumberBuyer} from "./Consumers.sol";
import {SchedulerBase} from "./SchedulerBase.sol";
import {Terms} from "./Terms.sol";

/// A contract that asks, and three nodes, the last of which prints something else.
abstract contract ConsumerBase is SchedulerBase {
    bytes internal constant LIE = "43\n";
    uint96 internal constant FEE = 0.003 ether;

    NumberBuyer internal buyer;
    address internal deliverer = makeAddr("deliverer");

    function setUp() public virtual override {
        super.setUp();
        buyer = new NumberBuyer{value: 1 ether}(scheduler);
    }

    function asked() internal pure returns (IJobScheduler.Terms memory t) {
        t = terms();
        t.acceptance = IJobScheduler.Acceptance.FirstCome;
    }

    function ask(uint96 fee) internal returns (bytes32) {
        IJobScheduler.Terms memory t = asked();
        return buyer.ask(t, SPEC, escrow(t), fee);
    }

    /// The deal of the consumer's first job.
    function dealOfFirst() internal view returns (bytes memory) {
        return dealOf(0);
    }

    /// The deal of the consumer's job with this nonce.
    function dealOf(uint64 nonce_) internal view returns (bytes memory) {
        return Terms.deal(address(buyer), nonce_, sha256(SPEC), asked());
    }

    /// The openings of the first seats, whose nodes printed `stdout`, and the liar its own text.
    function given(bytes32 job, bytes memory stdout, uint256 count)
        internal
        view
        returns (IJobScheduler.SeatOpening[] memory list)
    {
        list = new IJobScheduler.SeatOpening[](count);
        for (uint256 seat = 0; seat < count; ++seat) {
            IJobScheduler.Opening memory o = opening(seat, 3);
            bytes memory printed = seat == 2 ? LIE : stdout;
            bytes memory head = abi.encodePacked("assay result v1\x00", job, int32(0), uint64(1));
            o.resultHash =
                sha256(abi.encodePacked(head, uint32(6), "stdout", uint64(printed.length), printed));
            list[seat] = IJobScheduler.SeatOpening(uint8(seat), nodes[seat], asked().price, o);
        }
    }

    /// Runs the consumer's first job to its verdict.
    function verified(bytes32 job, bytes memory stdout) internal {
        verifiedUnder(job, dealOfFirst(), stdout);
    }

    /// Runs a job of the consumer with this deal to its verdict.
    function verifiedUnder(bytes32 job, bytes memory deal, bytes memory stdout) internal {
        for (uint256 seat = 0; seat < 3; ++seat) {
            vm.prank(nodes[seat]);
            scheduler.bid(job, deal, asked().price);
        }
        IJobScheduler.SeatOpening[] memory all = given(job, stdout, 3);
        for (uint256 seat = 0; seat < 3; ++seat) {
            commit(job, seat, all[seat].opening);
        }
        vm.prank(keeper);
        scheduler.postVerdict(job, deal, all, 3);
        assertState(job, IJobScheduler.JobState.Verified);
    }

    /// A request of three transactions, whose seats are one hash, until its verdict; and its head then.
    function verifiedRostered(bytes memory stdout) internal returns (bytes32 job, uint256 head) {
        job = askRostered(0, FEE);
        uint256 start = block.timestamp;
        committedRostered(job, start, stdout);
        head = verdictRostered(job, 0, start, stdout);
    }

    /// The consumer's request with this nonce, with signed bids.
    function askRostered(uint64 nonce_, uint96 fee) internal returns (bytes32 job) {
        IJobScheduler.Terms memory t = terms();
        job = scheduler.jobId(address(buyer), nonce_, sha256(SPEC), revisionOf(t));
        buyer.askSigned(t, SPEC, signedBids(job, t, 3), escrow(t), fee);
    }

    /// All its seats, of a job that began at `start`, commit at once.
    function committedRostered(bytes32 job, uint256 start, bytes memory stdout) internal {
        IJobScheduler.Terms memory t = terms();
        IJobScheduler.SeatHolder[] memory holders = rosterOf(job, stdout);
        IJobScheduler.Signed[] memory signed_ = signatures(job, t, holders);
        scheduler.commitRostered(job, revisionOf(t), rosteredHead(t, start, 0), holders, signed_);
    }

    /// The verdict over all openings, in the second of the commitments; the head after it.
    function verdictRostered(bytes32 job, uint64 nonce_, uint256 start, bytes memory stdout)
        internal
        returns (uint256)
    {
        return verdictUnder(job, nonce_, rosteredHead(terms(), start, block.timestamp), stdout);
    }

    /// The same of a job that has this head once all have committed.
    function verdictUnder(bytes32 job, uint64 nonce_, uint256 committed, bytes memory stdout)
        internal
        returns (uint256)
    {
        bytes memory deal = Terms.deal(address(buyer), nonce_, sha256(SPEC), terms());
        IJobScheduler.SeatOpening[] memory all = given(job, stdout, 3);
        vm.prank(keeper);
        scheduler.postVerdictRostered(job, deal, committed, all, 3);
        assertState(job, IJobScheduler.JobState.Verified);
        Head head = Head.wrap(committed).withRevealed(7);
        return Head.unwrap(head.withState(IJobScheduler.JobState.Verified));
    }

    /// The seats and what they commit to.
    function rosterOf(bytes32 job, bytes memory stdout)
        internal
        view
        returns (IJobScheduler.SeatHolder[] memory holders)
    {
        IJobScheduler.SeatOpening[] memory all = given(job, stdout, 3);
        holders = new IJobScheduler.SeatHolder[](3);
        for (uint256 i = 0; i < 3; ++i) {
            bytes32 commitment = scheduler.commitmentOf(job, uint8(i), nodes[i], all[i].opening);
            holders[i] = IJobScheduler.SeatHolder(uint8(i), nodes[i], terms().price, commitment);
        }
    }

    function deliver(bytes32 job, IJobScheduler.SeatOpening[] memory list, bytes memory stdout) internal {
        vm.prank(deliverer);
        buyer.fulfil(job, list, 0, stdout);
    }
}
