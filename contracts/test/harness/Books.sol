// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Test} from "forge-std/Test.sol";
import {Vm} from "forge-std/Vm.sol";
import {IJobScheduler} from "../../src/IJobScheduler.sol";
import {Terms} from "./Terms.sol";

/// The books of an indexer that does not know the rules: what was put in and taken out, what the terms lock, and what
/// `FailureReported` and `Settled` say of where it went. Nothing here decides who is owed what.
contract Books is Test {
    struct Job {
        address requester;
        uint256 escrow;
        uint256 bond;
        /// What the job holds, of everybody.
        uint256 held;
    }

    mapping(bytes32 job => Job) private jobs;
    mapping(address party => uint256) private free;
    address[] private parties;
    mapping(address party => bool) private isKnown;
    uint256 private held;
    uint256 private burnt;
    uint256 private paidIn;

    function take(Vm.Log[] memory logs) external {
        for (uint256 i = 0; i < logs.length; ++i) {
            Vm.Log memory log = logs[i];
            bytes32 topic = log.topics[0];
            address party = address(uint160(uint256(log.topics[log.topics.length - 1])));
            if (topic == IJobScheduler.Deposited.selector) {
                uint256 amount = abi.decode(log.data, (uint256));
                paidIn += amount;
                credit(party, amount);
            } else if (topic == IJobScheduler.Withdrawn.selector) {
                uint256 amount = abi.decode(log.data, (uint256));
                paidIn -= amount;
                free[party] -= amount;
            } else if (log.topics.length > 1) {
                ofJob(jobs[log.topics[1]], topic, party, log);
            }
        }
    }

    function credit(address party, uint256 amount) private {
        if (!isKnown[party]) parties.push(party);
        isKnown[party] = true;
        free[party] += amount;
    }

    function lock(Job storage j, address party, uint256 amount) private {
        free[party] -= amount;
        j.held += amount;
        held += amount;
    }

    /// An amount that the contract says went out.
    function release(Job storage j, address party, uint256 amount) private {
        j.held -= amount;
        held -= amount;
        if (amount != 0) credit(party, amount);
    }

    function escrow(Job storage j, bytes memory packed) private {
        IJobScheduler.Terms memory t = Terms.unpack(packed);
        (j.escrow, j.bond) = (Terms.mostSeats(t) * t.price + t.keeperFee, t.bond);
        lock(j, j.requester, j.escrow);
    }

    function ofJob(Job storage j, bytes32 topic, address party, Vm.Log memory log) private {
        if (topic == IJobScheduler.Submitted.selector) {
            (, bytes memory packed,) = abi.decode(log.data, (uint64, bytes, bytes));
            j.requester = party;
            escrow(j, packed);
        } else if (topic == IJobScheduler.DealUpdated.selector) {
            release(j, j.requester, j.escrow);
            escrow(j, abi.decode(log.data, (bytes)));
        } else if (topic == IJobScheduler.BidAccepted.selector || topic == IJobScheduler.SeatTaken.selector) {
            lock(j, party, j.bond);
        } else if (topic == IJobScheduler.FailureReported.selector) {
            (,, uint256 returned) = abi.decode(log.data, (uint8, uint8, uint256));
            release(j, party, returned);
        } else if (topic == IJobScheduler.Settled.selector) {
            settled(j, party, log);
        }
    }

    function settled(Job storage j, address keeper, Vm.Log memory log) private {
        (uint256 refund, uint256 fee, uint256 lost, IJobScheduler.Payment[] memory payments) =
            abi.decode(log.data, (uint256, uint256, uint256, IJobScheduler.Payment[]));
        assertEq(j.requester, address(uint160(uint256(log.topics[2]))), "requester");
        release(j, j.requester, refund);
        release(j, keeper, fee);
        for (uint256 i = 0; i < payments.length; ++i) {
            assertGt(payments[i].amount, 0, "a payment of nothing");
            release(j, payments[i].node, payments[i].amount);
        }
        j.held -= lost;
        held -= lost;
        burnt += lost;
        assertEq(j.held, 0, "a job that ended holds nothing");
    }

    /// Every balance is what the events add up to, and all of it is what was paid in.
    function compare(IJobScheduler chain) external view {
        uint256 sum = held + burnt;
        for (uint256 i = 0; i < parties.length; ++i) {
            assertEq(chain.accounts(parties[i]).free, free[parties[i]], "free balance");
            sum += free[parties[i]];
        }
        assertEq(chain.burnt(), burnt, "burnt");
        assertEq(sum, paidIn, "what was paid in");
    }
}
