// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {TermsAt} from "./Deals.sol";
import {IJobScheduler} from "./IJobScheduler.sol";
import {Head, Heads} from "./Packing.sol";
import {States} from "./States.sol";

/// @title What terms a job may have
/// @notice The twin of `Deal::validate` in `src/domain/deal.rs`.
library TermRules {
    uint256 internal constant MIN_REVEAL = 60;
    uint256 internal constant MAX_DURATION = 30 days;
    uint256 internal constant MAX_SEATS = 31;
    uint256 internal constant MAX_ALLOWED = 64;
    uint256 internal constant MAX_BOND_FACTOR = 10;
    uint256 internal constant MAX_CANONICAL = 31;

    /// Checks every term, in the order of the fields, but for those that their types bound.
    function validate(TermsAt terms) internal pure {
        unchecked {
            uint256 n = terms.concurrency();
            uint256 price = terms.price();
            uint256 timeout = terms.timeout();
            uint256 limit = terms.escalationLimit();
            within(n, 1, MAX_SEATS, IJobScheduler.Term.Concurrency);
            within(terms.confidence(), 1, n, IJobScheduler.Term.Confidence);
            within(terms.relativePermille(), 0, 1000, IJobScheduler.Term.RelativePermille);
            within(terms.bond(), price, MAX_BOND_FACTOR * price, IJobScheduler.Term.Bond);
            within(terms.escrow(), 0, type(uint96).max, IJobScheduler.Term.Price);
            within(terms.open(), 1, MAX_DURATION, IJobScheduler.Term.Open);
            within(timeout, 1, MAX_DURATION, IJobScheduler.Term.Timeout);
            within(terms.run(), timeout + States.RUN_MARGIN, MAX_DURATION, IJobScheduler.Term.Run);
            within(terms.reveal(), MIN_REVEAL, MAX_DURATION, IJobScheduler.Term.Reveal);
            validateAllowList(terms);
            uint256 seats = terms.mostSeats();
            // An audit with too many seats is refused as such.
            uint256 least = seats < MAX_SEATS ? seats : MAX_SEATS;
            if (limit != 0) within(limit, least, MAX_SEATS, IJobScheduler.Term.EscalationLimit);
            validateComparison(terms);
            uint256 audit = terms.audit();
            if (audit != 0) {
                bool isWhole = terms.auditSeats() != 0 && seats <= MAX_SEATS && audit >> 16 != 0;
                uint256 permille = audit >> 5 & 0x7ff;
                if (!isWhole || permille == 0 || permille > 1000) refuse(IJobScheduler.Term.Audit);
            }
        }
    }

    /// Work can be required where outputs are compared and a wrong one costs no bond, and summaries go with the method
    /// that reads them.
    function validateComparison(TermsAt terms) private pure {
        bool isNear = terms.method() == uint256(IJobScheduler.Method.Near);
        bool byOutputs = isNear || terms.method() == uint256(IJobScheduler.Method.Hash);
        if (terms.requireWork() != 0 && (!byOutputs || terms.deterministic() != 0)) {
            refuse(IJobScheduler.Term.RequireWork);
        }
        within(terms.cpuPermille(), 0, 1000, IJobScheduler.Term.CpuPermille);
        within(terms.canonical(), 0, MAX_CANONICAL, IJobScheduler.Term.Canonical);
        if ((terms.summary() != 0) != isNear) refuse(IJobScheduler.Term.Summary);
    }

    function within(uint256 value, uint256 least, uint256 most, IJobScheduler.Term term) private pure {
        if (value < least || value > most) revert IJobScheduler.InvalidTerms(term);
    }

    /// The head of a job of these terms, which are checked first.
    function opened(TermsAt terms, uint256 at) internal pure returns (Head) {
        validate(terms);
        // No deadline is later than submission + open + run + reveal + open + run.
        if (at > type(uint32).max - 5 * MAX_DURATION) refuse(IJobScheduler.Term.Open);
        return Heads.make(terms, at, 0);
    }

    function validateAllowList(TermsAt terms) private pure {
        unchecked {
            uint256 length = terms.allowed();
            if (length > MAX_ALLOWED) refuse(IJobScheduler.Term.AllowList);
            uint256 last = 0;
            for (uint256 i = 0; i < length; ++i) {
                uint256 node = terms.allowedNode(i);
                if (node <= last && i != 0) refuse(IJobScheduler.Term.AllowList);
                last = node;
            }
        }
    }

    /// Checks that enums and truth values are such: the other bytes of packed terms are numbers of any value.
    function checkEncoding(TermsAt terms) internal pure {
        uint256 bits = terms.deterministic() | terms.acceptance() | terms.liveLogs() | terms.requireWork();
        if (terms.method() > uint256(IJobScheduler.Method.Near) || bits > 1) {
            refuse(IJobScheduler.Term.Encoding);
        }
    }

    function refuse(IJobScheduler.Term term) internal pure {
        revert IJobScheduler.InvalidTerms(term);
    }

    /// The seats of the follow-up of an inconclusive job, or none when its deal allows no larger one.
    function escalatedSeats(TermsAt terms) internal pure returns (uint256) {
        unchecked {
            uint256 seats = 2 * terms.mostSeats() + 1;
            if (seats > terms.escalationLimit()) seats = terms.escalationLimit();
            return seats > terms.mostSeats() ? seats : 0;
        }
    }
}
