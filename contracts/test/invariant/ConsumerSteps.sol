// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {AssayConsumer} from "../../src/consumer/AssayConsumer.sol";
import {IJobScheduler} from "../../src/IJobScheduler.sol";
import {ConsumerBase} from "../harness/ConsumerBase.sol";
import {Mood, MoodyBuyer} from "../harness/Consumers.sol";
import {Terms} from "../harness/Terms.sol";

/// Requests of one consumer in any order and of both forms, and what must have come of them. No step reverts: what is
/// refused is counted.
contract ConsumerSteps is ConsumerBase {
    /// Whose seats are one hash until somebody unpacks them.
    struct Roster {
        bool isRostered;
        bool hasCommitted;
        bool isUnpacked;
        uint256 head;
    }

    struct Asked {
        bytes32 job;
        uint64 nonce;
        uint96 fee;
        uint256 askedAt;
        bool isVerified;
        bool isOver;
        uint256 callbacks;
        Roster roster;
    }

    /// More than any delivery takes, and any refusal.
    uint256 internal constant GAS = 4_000_000;

    bytes internal constant PRINTED = "42\n";

    Asked[] public asks;
    uint256 public callbacks;
    uint256 public feesEarned;
    /// Deliveries that should have been refused, and were not.
    uint256 public wronglyTaken;
    /// Jobs that had another id than was told before.
    uint256 public wronglyTold;

    MoodyBuyer internal moody;

    function setUp() public override {
        vm.deal(address(this), 1 ether);
        super.setUp();
        moody = new MoodyBuyer(scheduler);
        buyer = moody;
        vm.deal(address(buyer), 1000 ether);
        stepAsk(FEE, false);
        stepAsk(FEE, true);
    }

    function count() external view returns (uint256) {
        return asks.length;
    }

    function theBuyer() external view returns (address) {
        return address(buyer);
    }

    function creditOfDeliverer() external view returns (uint256) {
        return free(deliverer);
    }

    function callbacksOf(uint256 which) external view returns (uint256) {
        return asks[which].callbacks;
    }

    function statusOf(uint256 which) external view returns (AssayConsumer.Status) {
        return buyer.requests(asks[which].job).status;
    }

    function stepAsk(uint96 fee, bool isRostered) public {
        fee = uint96(bound(fee, 0, 0.1 ether));
        uint64 nonce_ = uint64(asks.length);
        bytes32 next = moody.nextJob(isRostered ? terms() : asked(), SPEC);
        bytes32 job = isRostered ? askRostered(nonce_, fee) : ask(fee);
        if (job != next) ++wronglyTold;
        Roster memory roster;
        (roster.isRostered, roster.head) = (isRostered, rosteredHead(terms(), block.timestamp, 0));
        asks.push(Asked(job, nonce_, fee, block.timestamp, false, false, 0, roster));
    }

    function stepCommit(uint256 which) external {
        Asked storage asked_ = pick(which);
        Roster storage roster = asked_.roster;
        if (!roster.isRostered || roster.hasCommitted || asked_.isOver || isLate(asked_)) return;
        committedRostered(asked_.job, asked_.askedAt, PRINTED);
        (roster.hasCommitted, roster.head) = (true, rosteredHead(terms(), asked_.askedAt, block.timestamp));
    }

    /// Anybody may, at any time.
    function stepUnpack(uint256 which) external {
        Asked storage asked_ = pick(which);
        Roster storage roster = asked_.roster;
        if (!roster.isRostered || roster.isUnpacked) return;
        unpack(asked_);
    }

    function stepVerdict(uint256 which) external {
        Asked storage asked_ = pick(which);
        if (asked_.isOver) return;
        if (asked_.roster.isRostered) {
            if (!asked_.roster.hasCommitted) return;
            // As long as reveals are awaited; `postVerdictRostered` takes an unpacked job as well.
            if (stateOf(asked_.job) != IJobScheduler.JobState.Revealing) return;
            if (block.timestamp > (asked_.roster.head >> 224) + terms().reveal) return;
            asked_.roster.head = verdictUnder(asked_.job, asked_.nonce, asked_.roster.head, PRINTED);
        } else {
            if (stateOf(asked_.job) != IJobScheduler.JobState.Open || isLate(asked_)) return;
            verifiedUnder(asked_.job, dealOf(asked_.nonce), PRINTED);
        }
        (asked_.isVerified, asked_.isOver) = (true, true);
        refill();
    }

    function stepExpire(uint256 which) external {
        Asked storage asked_ = pick(which);
        if (asked_.isOver || !isLate(asked_)) return;
        Roster storage roster = asked_.roster;
        bytes memory deal = dealOf(asked_.nonce);
        if (roster.isRostered) {
            // Those that have committed are judged, or nobody revealed.
            if (roster.hasCommitted) return;
            if (!roster.isUnpacked) unpack(asked_);
            deal = Terms.deal(address(buyer), asked_.nonce, sha256(SPEC), terms());
        }
        vm.prank(keeper);
        scheduler.expire(asked_.job, deal, new IJobScheduler.SeatHolder[](0));
        asked_.isOver = true;
        refill();
    }

    function stepDeliver(uint256 which, bool lies, uint256 openings, bool byRoster, uint256 mood) external {
        Asked storage asked_ = pick(which);
        openings = bound(openings, 0, 3);
        bool isByRoster = asked_.roster.isRostered && !asked_.roster.isUnpacked;
        // The liar's opening comes with all, and with no others.
        bool isRight = asked_.isVerified && asked_.callbacks == 0 && !lies && byRoster == isByRoster
            && openings == (byRoster ? 3 : 2);
        bytes memory said = lies ? LIE : PRINTED;
        IJobScheduler.SeatOpening[] memory list = given(asked_.job, PRINTED, openings);
        bytes memory delivery = byRoster
            ? abi.encodeCall(
                AssayConsumer.fulfilRostered,
                (asked_.job, revisionOf(terms()), asked_.roster.head, list, 0, said)
            )
            : abi.encodeCall(AssayConsumer.fulfil, (asked_.job, list, 0, said));
        bool isTold = send(asked_, delivery, mood, isRight);
        if (isTold) feesEarned += asked_.fee;
    }

    function stepGiveUp(uint256 which, uint256 mood) external {
        Asked storage asked_ = pick(which);
        bool isDue = asked_.isOver && (!asked_.isVerified || block.timestamp > asked_.askedAt + 1 days);
        bytes memory call = abi.encodeCall(AssayConsumer.giveUp, (asked_.job));
        send(asked_, call, mood, isDue && asked_.callbacks == 0);
    }

    function stepTime(uint256 secs) external {
        vm.warp(block.timestamp + bound(secs, 1, 12 hours));
    }

    /// What anybody sends to the consumer while it is in some mood. Whether it was taken.
    function send(Asked storage asked_, bytes memory call, uint256 mood_, bool isRight)
        private
        returns (bool isTaken)
    {
        Mood mood = Mood(bound(mood_, 0, uint256(Mood.BurnsGas)));
        moody.feel(mood, call);
        isRight = isRight && (mood == Mood.Calm || mood == Mood.CallsBack);
        vm.prank(deliverer);
        (isTaken,) = address(buyer).call{gas: GAS}(call);
        if (isTaken != isRight) ++wronglyTaken;
        if (isTaken) (asked_.callbacks, callbacks) = (asked_.callbacks + 1, callbacks + 1);
    }

    function unpack(Asked storage asked_) private {
        IJobScheduler.SeatHolder[] memory roster = rosterOf(asked_.job, PRINTED);
        if (!asked_.roster.hasCommitted) {
            for (uint256 i = 0; i < roster.length; ++i) {
                roster[i].commitment = 0;
            }
        }
        scheduler.unpack(asked_.job, revisionOf(terms()), asked_.roster.head, roster);
        asked_.roster.isUnpacked = true;
    }

    /// Whether nobody may bid, or commit, any more.
    function isLate(Asked storage asked_) private view returns (bool) {
        uint256 time = asked_.roster.isRostered ? terms().run : asked().open;
        return block.timestamp > asked_.askedAt + time;
    }

    function pick(uint256 which) private view returns (Asked storage) {
        return asks[which % asks.length];
    }

    /// Bonds of the liar may be gone: nodes have enough for the next job.
    function refill() private {
        for (uint256 seat = 0; seat < 3; ++seat) {
            vm.deal(nodes[seat], 1 ether);
            vm.prank(nodes[seat]);
            scheduler.deposit{value: 1 ether}();
        }
    }
}
