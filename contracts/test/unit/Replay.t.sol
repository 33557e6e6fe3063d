// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Vm} from "forge-std/Vm.sol";
import {IJobScheduler} from "../../src/IJobScheduler.sol";
import {Head} from "../../src/Packing.sol";
import {SchedulerBase} from "../harness/SchedulerBase.sol";

/// Jobs and balances rebuilt from the events alone, compared with what the chain says.
contract ReplayTest is SchedulerBase {
    struct Seen {
        IJobScheduler.Terms terms;
        address requester;
        address[] holders;
        uint256 bids;
        uint256 failed;
        uint256 committed;
        uint256 revealed;
        IJobScheduler.JobState state;
    }

    mapping(bytes32 => Seen) private seen;
    mapping(bytes32 => mapping(address => uint256)) private prices;
    mapping(address => uint256) private frees;
    mapping(address => uint256) private paid;
    uint256 private burnt;
    bytes32[] private all;

    function setUp() public override {
        vm.recordLogs();
        super.setUp();
    }

    function seatOf(Seen storage s, address node) private view returns (uint256 i) {
        while (s.holders[i] != node) ++i;
    }

    function fill(Seen storage s, address node, uint256 seat) private {
        if (seat == s.holders.length) s.holders.push(node);
        else s.holders[seat] = node;
        s.failed &= ~(1 << seat);
        frees[node] -= s.terms.bond;
        if (s.holders.length == s.terms.concurrency) s.state = IJobScheduler.JobState.Running;
    }

    function apply_(Vm.Log memory log) private {
        bytes32 topic = log.topics[0];
        if (topic == IJobScheduler.Deposited.selector) {
            frees[address(uint160(uint256(log.topics[1])))] += abi.decode(log.data, (uint256));
            return;
        }
        if (topic == IJobScheduler.Withdrawn.selector) {
            frees[address(uint160(uint256(log.topics[1])))] -= abi.decode(log.data, (uint256));
            return;
        }
        bytes32 job = log.topics[1];
        Seen storage s = seen[job];
        address party = log.topics.length > 2 ? address(uint160(uint256(log.topics[2]))) : address(0);
        if (topic == IJobScheduler.Submitted.selector) {
            bytes memory spec;
            (, s.terms, spec) = abi.decode(log.data, (uint64, IJobScheduler.Terms, bytes));
            assertEq(spec, SPEC);
            s.requester = party;
            frees[party] -= escrow(s.terms);
            all.push(job);
        } else if (topic == IJobScheduler.DealUpdated.selector) {
            frees[s.requester] += escrow(s.terms);
            s.terms = abi.decode(log.data, (IJobScheduler.Terms));
            frees[s.requester] -= escrow(s.terms);
        } else if (topic == IJobScheduler.BidPlaced.selector) {
            ++s.bids;
            prices[job][party] = abi.decode(log.data, (uint96));
        } else if (topic == IJobScheduler.BidAccepted.selector || topic == IJobScheduler.SeatTaken.selector) {
            fill(s, party, abi.decode(log.data, (uint8)));
        } else if (topic == IJobScheduler.FailureReported.selector) {
            (uint8 seat,) = abi.decode(log.data, (uint8, IJobScheduler.FailureKind));
            s.failed |= 1 << seat;
            frees[party] += s.terms.bond;
        } else if (topic == IJobScheduler.Committed.selector) {
            s.committed |= 1 << seatOf(s, party);
        } else if (topic == IJobScheduler.Revealed.selector) {
            (uint8 seat,) = abi.decode(log.data, (uint8, IJobScheduler.Opening));
            s.revealed |= 1 << seat;
        } else {
            end(s, job, topic, party, log.data);
        }
    }

    function end(Seen storage s, bytes32 job, bytes32 topic, address party, bytes memory data) private {
        uint256 rest = escrow(s.terms);
        if (topic == IJobScheduler.Cancelled.selector) {
            s.state = IJobScheduler.JobState.Cancelled;
        } else if (topic == IJobScheduler.Stopped.selector) {
            s.state = IJobScheduler.JobState.Cancelled;
            for (uint256 i = 0; i < s.holders.length; ++i) {
                rest -= pay(s, job, i, true);
            }
        } else if (topic == IJobScheduler.VerdictPosted.selector) {
            (IJobScheduler.SeatOpening[] memory list, uint32 accepted) =
                abi.decode(data, (IJobScheduler.SeatOpening[], uint32));
            s.state = accepted == 0 ? IJobScheduler.JobState.Inconclusive : IJobScheduler.JobState.Verified;
            for (uint256 i = 0; i < list.length; ++i) {
                s.revealed |= 1 << list[i].seat;
            }
            for (uint256 i = 0; i < s.holders.length; ++i) {
                bool isAccepted = accepted >> i & 1 != 0;
                bool isBurnt =
                    s.revealed >> i & 1 == 0 || (s.terms.deterministic && accepted != 0 && !isAccepted);
                if (isBurnt) burnt += s.terms.bond;
                else rest -= pay(s, job, i, isAccepted);
            }
            frees[party] += s.terms.keeperFee;
            rest -= s.terms.keeperFee;
        } else if (topic == IJobScheduler.Expired.selector) {
            s.state = abi.decode(data, (IJobScheduler.JobState));
            uint256 due = s.committed;
            if (s.state == IJobScheduler.JobState.Expired) due = type(uint256).max;
            else if (size(s.committed) >= 2) due = s.revealed;
            for (uint256 i = 0; i < s.holders.length; ++i) {
                if (due >> i & 1 != 0) pay(s, job, i, false);
                else burnt += s.terms.bond;
            }
            frees[party] += s.terms.keeperFee;
            rest -= s.terms.keeperFee;
        } else {
            // Nothing stored changes: bids that go, remarks, seats that move from one hash to slots.
            return;
        }
        frees[s.requester] += rest;
    }

    function pay(Seen storage s, bytes32 job, uint256 seat, bool withPrice) private returns (uint256 price) {
        address node = s.holders[seat];
        price = withPrice ? prices[job][node] : 0;
        frees[node] += s.terms.bond + price;
        if (price != 0 && s.state == IJobScheduler.JobState.Verified) ++paid[node];
    }

    function test_events_rebuild_jobs_and_balances() public {
        IJobScheduler.Terms memory t = terms();
        bytes32 verified = revealing(t);
        reveal(verified, 1, t);
        postVerdict(verified, t, 7, 3);
        bytes32 failed = revealing(t);
        reveal(failed, 0, t);
        vm.warp(block.timestamp + t.reveal + 1);
        expire(failed, t, holdersOf(failed, t, 1, 1));
        bytes32 stopped = running(t);
        IJobScheduler.SeatHolder[] memory live = holdersOf(stopped, t, 7, 0);
        IJobScheduler.Deal memory d = deal_(t);
        vm.prank(requester);
        scheduler.stop(stopped, d, live);
        bytes32 expired = submit(t);
        bid(expired, t, 2);
        accept(expired, t, firstNodes(1));
        vm.warp(block.timestamp + t.open + 1);
        expire(expired, t, holdersOf(expired, t, 1, 0));
        // A fresh one: `d` holds the other.
        t = terms();
        t.acceptance = IJobScheduler.Acceptance.FirstCome;
        t.deterministic = true;
        bytes32 first = submit(t);
        bid(first, t, 3);
        commitAll(first, t);
        postVerdict(first, t, 7, 3);
        t = terms();
        IJobScheduler.SignedBid[] memory list = signedBids(nextJob(t), t, 3);
        submitSigned(t, list);
        bytes32 updated = submit(t);
        IJobScheduler.Terms memory next = terms();
        next.price = 0.015 ether;
        vm.prank(requester);
        scheduler.updateDeal(updated, d, next);
        vm.prank(requester);
        scheduler.withdraw(7);

        Vm.Log[] memory logs = vm.getRecordedLogs();
        for (uint256 i = 0; i < logs.length; ++i) {
            apply_(logs[i]);
        }
        assertEq(all.length, 7);
        for (uint256 i = 0; i < all.length; ++i) {
            compare(seen[all[i]], all[i]);
        }
        for (uint256 i = 0; i < nodes.length; ++i) {
            assertEq(free(nodes[i]), frees[nodes[i]], "node");
            assertEq(scheduler.accounts(nodes[i]).paid, paid[nodes[i]], "paid");
        }
        assertEq(free(requester), frees[requester], "requester");
        assertEq(free(keeper), frees[keeper], "keeper");
        assertEq(scheduler.burnt(), burnt, "burnt");
    }

    function compare(Seen storage s, bytes32 job) private view {
        (,, uint256 word_,) = scheduler.jobs(job);
        Head head = Head.wrap(word_);
        assertEq(uint256(head.state()), uint256(s.state), "state");
        assertEq(head.bids(), s.bids, "bids");
        assertEq(head.filled(), s.holders.length, "filled");
        assertEq(head.failed(), s.failed, "failed");
        assertEq(head.committed(), s.committed, "committed");
        assertEq(head.revealed(), s.revealed, "revealed");
    }
}
