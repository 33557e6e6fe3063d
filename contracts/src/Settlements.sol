// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Bill, Bills} from "./Bills.sol";
import {TermsAt} from "./Deals.sol";
import {Failure, FailureCounts} from "./Failures.sol";
import {IJobScheduler} from "./IJobScheduler.sol";
import {Jobs} from "./Jobs.sol";
import {Logs} from "./Logs.sol";
import {Openings} from "./Openings.sol";
import {Head, Purse, Purses} from "./Packing.sol";
import {Rules} from "./Rules.sol";
import {States} from "./States.sol";
import {Verdicts} from "./Verdicts.sol";

/// @title How a job ends, and who gets what it held
abstract contract Settlements is Jobs {
    using Openings for IJobScheduler.SeatOpening;

    /// What each seat that revealed gets of its price when the verdict is inconclusive: one part in so many.
    uint256 private constant INCONCLUSIVE_SHARE = 2;

    /// What a failure that comes too late for another node costs of the bond: one part in so many.
    uint256 private constant LATE_FAILURE_SHARE = 4;

    /// Pays for a verdict over these openings.
    function _payVerdict(
        bytes32 job,
        Head head,
        TermsAt terms,
        address requester,
        IJobScheduler.SeatOpening[] calldata openings,
        uint256 accepted
    ) internal {
        Bill memory bill = Bills.open(openings.length, head);
        uint256 bond = terms.bond();
        // A node that did not reveal loses its bond.
        bill.burnt = bond * (Verdicts.popcount(States.liveSeats(head)) - openings.length);
        // Sums of at most 31 amounts of 96 bits.
        unchecked {
            for (uint256 i = 0; i < openings.length; ++i) {
                IJobScheduler.SeatOpening calldata given = openings[i];
                address node = given.nodeOf();
                uint256 price = given.priceOf();
                uint256 due = bond;
                Purse account = _accounts[node];
                bool counts = _counts(head, price);
                if (accepted >> given.seatOf() & 1 != 0) {
                    bill.spent += price;
                    due += price;
                    if (counts) account = account.withPaid(price);
                } else if (accepted == 0) {
                    uint256 share = price / INCONCLUSIVE_SHARE;
                    bill.spent += share;
                    due += share;
                } else {
                    // So does one with a wrong output where outputs alone decide, and the requester what it locked for the
                    // seat: it must gain nothing by jobs on which honest nodes differ.
                    if (terms.deterministic() != 0) {
                        bill.burnt += bond + terms.price();
                        bill.spent += terms.price();
                        due = 0;
                    }
                    if (counts) account = account.withOneMore(Purses.REJECTED);
                }
                _accounts[node] = account.plus(due);
                bill.add(node, due);
            }
        }
        _settleFailures(job, head, bond, accepted == 0, bill);
        _settle(job, head, terms, requester, bill);
    }

    /// Pays the keeper, and gives the requester what is left of the escrow.
    function _settle(bytes32 job, Head head, TermsAt terms, address requester, Bill memory bill) internal {
        uint256 fee = terms.keeperFee();
        // Whoever failed in a job earns nothing by ending it: the requester keeps the fee.
        bool hasFailed =
            head.hasFailures() && _slots[job][msg.sender].status() == IJobScheduler.BidStatus.Failed;
        address keeper = hasFailed ? requester : msg.sender;
        _credit(keeper, fee);
        _refund(job, requester, keeper, terms.escrow() - fee - bill.spent, fee, bill);
    }

    /// Moves what no node gets, and tells who got what.
    function _refund(
        bytes32 job,
        address requester,
        address keeper,
        uint256 refund,
        uint256 fee,
        Bill memory bill
    ) internal {
        _burn(bill.burnt);
        _credit(requester, refund);
        Logs.settled(job, requester, keeper, refund, fee, bill);
    }

    function _latePart(uint256 bond) internal pure returns (uint256) {
        return bond / LATE_FAILURE_SHARE;
    }

    /// What late failures left of their bonds in the job: burnt, unless several seats reported the same and the job is to
    /// blame. It is not where a verdict accepted what others brought: two seats may be in one hand.
    function _settleFailures(bytes32 job, Head head, uint256 bond, bool mayBeShared, Bill memory bill)
        internal
    {
        uint256 failed = head.failed();
        // A set of seats.
        // slither-disable-next-line incorrect-equality
        if (failed == 0) return;
        FailureCounts counts = _failureCounts[job];
        uint256 part = _latePart(bond);
        for (uint256 seat = 0; failed >> seat != 0; ++seat) {
            // A bit of that set.
            // slither-disable-next-line incorrect-equality
            if (failed >> seat & 1 == 0) continue;
            Failure failure = _failures[job][seat];
            if (!failure.isLate()) continue;
            if (mayBeShared && counts.isShared(failure.kind())) {
                _credit(failure.node(), part);
                bill.add(failure.node(), part);
            } else {
                bill.burnt += part;
            }
        }
    }

    /// Gives the bond to the holders of the seats that are `due`, and the price to those among them that have `earned` it.
    /// They must be given exactly, ascending.
    function _payHolders(
        bytes32 job,
        Head head,
        IJobScheduler.SeatHolder[] calldata holders,
        uint256 due,
        uint256 bond,
        uint256 earned,
        Bill memory bill
    ) internal {
        _checkHolders(job, head, holders, due);
        for (uint256 i = 0; i < holders.length; ++i) {
            IJobScheduler.SeatHolder calldata holder = holders[i];
            uint256 price = earned >> holder.seat & 1 != 0 ? holder.price : 0;
            bill.spent += price;
            _credit(holder.node, price + bond);
            bill.add(holder.node, price + bond);
        }
    }

    /// Checks that these are the holders of exactly these seats, ascending.
    function _checkHolders(
        bytes32 job,
        Head head,
        IJobScheduler.SeatHolder[] calldata holders,
        uint256 expected
    ) internal view {
        uint256 seats = 0;
        for (uint256 i = 0; i < holders.length; ++i) {
            IJobScheduler.SeatHolder calldata holder = holders[i];
            uint256 bit = uint256(1) << holder.seat;
            if (seats >= bit) revert IJobScheduler.WrongSeats(expected);
            seats |= bit;
            Rules.checkHolder(head, _slots[job][holder.node], holder);
        }
        if (seats != expected) revert IJobScheduler.WrongSeats(expected);
    }
}
