// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IJobScheduler} from "../../src/IJobScheduler.sol";

/// @title Which rejection an error stands for
library Selectors {
    /// No rejection: an error of the envelope, or none of ours.
    uint256 internal constant NONE = type(uint256).max;

    function rejection(bytes4 selector) internal pure returns (uint256) {
        if (selector == IJobScheduler.NoSuchJob.selector) return uint256(IJobScheduler.Rejection.NoSuchJob);
        if (selector == IJobScheduler.JobExists.selector) return uint256(IJobScheduler.Rejection.JobExists);
        if (selector == IJobScheduler.WrongState.selector) {
            return uint256(IJobScheduler.Rejection.WrongState);
        }
        if (selector == IJobScheduler.NotRequester.selector) {
            return uint256(IJobScheduler.Rejection.NotRequester);
        }
        if (selector == IJobScheduler.NotSeatHolder.selector) {
            return uint256(IJobScheduler.Rejection.NotSeatHolder);
        }
        if (selector == IJobScheduler.DeadlinePassed.selector) {
            return uint256(IJobScheduler.Rejection.DeadlinePassed);
        }
        if (selector == IJobScheduler.DeadlineNotReached.selector) {
            return uint256(IJobScheduler.Rejection.DeadlineNotReached);
        }
        if (selector == IJobScheduler.SeatsTaken.selector) {
            return uint256(IJobScheduler.Rejection.SeatsTaken);
        }
        if (selector == IJobScheduler.InvalidTerms.selector) {
            return uint256(IJobScheduler.Rejection.InvalidTerms);
        }
        if (selector == IJobScheduler.InvalidSpec.selector) {
            return uint256(IJobScheduler.Rejection.InvalidSpec);
        }
        if (selector == IJobScheduler.BadParent.selector) return uint256(IJobScheduler.Rejection.BadParent);
        if (selector == IJobScheduler.NotFunded.selector) return uint256(IJobScheduler.Rejection.NotFunded);
        if (selector == IJobScheduler.WrongRevision.selector) {
            return uint256(IJobScheduler.Rejection.WrongRevision);
        }
        if (selector == IJobScheduler.PriceTooHigh.selector) {
            return uint256(IJobScheduler.Rejection.PriceTooHigh);
        }
        if (selector == IJobScheduler.NotAllowed.selector) {
            return uint256(IJobScheduler.Rejection.NotAllowed);
        }
        if (selector == IJobScheduler.TooLittlePaid.selector) {
            return uint256(IJobScheduler.Rejection.TooLittlePaid);
        }
        if (selector == IJobScheduler.SatInParent.selector) {
            return uint256(IJobScheduler.Rejection.SatInParent);
        }
        if (selector == IJobScheduler.AlreadyBid.selector) {
            return uint256(IJobScheduler.Rejection.AlreadyBid);
        }
        if (selector == IJobScheduler.NoSuchBid.selector) return uint256(IJobScheduler.Rejection.NoSuchBid);
        if (selector == IJobScheduler.BidNotStanding.selector) {
            return uint256(IJobScheduler.Rejection.BidNotStanding);
        }
        if (selector == IJobScheduler.NoSeatFree.selector) {
            return uint256(IJobScheduler.Rejection.NoSeatFree);
        }
        if (selector == IJobScheduler.FirstComeDeal.selector) {
            return uint256(IJobScheduler.Rejection.FirstComeDeal);
        }
        if (selector == IJobScheduler.SeatFailed.selector) {
            return uint256(IJobScheduler.Rejection.SeatFailed);
        }
        if (selector == IJobScheduler.AlreadyCommitted.selector) {
            return uint256(IJobScheduler.Rejection.AlreadyCommitted);
        }
        if (selector == IJobScheduler.NotCommitted.selector) {
            return uint256(IJobScheduler.Rejection.NotCommitted);
        }
        if (selector == IJobScheduler.AlreadyRevealed.selector) {
            return uint256(IJobScheduler.Rejection.AlreadyRevealed);
        }
        if (selector == IJobScheduler.BadOpening.selector) {
            return uint256(IJobScheduler.Rejection.BadOpening);
        }
        if (selector == IJobScheduler.BadFingerprint.selector) {
            return uint256(IJobScheduler.Rejection.BadFingerprint);
        }
        if (selector == IJobScheduler.BadSummary.selector) {
            return uint256(IJobScheduler.Rejection.BadSummary);
        }
        if (selector == IJobScheduler.OpeningsOutOfOrder.selector) {
            return uint256(IJobScheduler.Rejection.OpeningsOutOfOrder);
        }
        if (selector == IJobScheduler.OpeningsMissing.selector) {
            return uint256(IJobScheduler.Rejection.OpeningsMissing);
        }
        if (selector == IJobScheduler.OpeningTooLate.selector) {
            return uint256(IJobScheduler.Rejection.OpeningTooLate);
        }
        if (selector == IJobScheduler.QuorumNotRevealed.selector) {
            return uint256(IJobScheduler.Rejection.QuorumNotRevealed);
        }
        if (selector == IJobScheduler.VerdictMismatch.selector) {
            return uint256(IJobScheduler.Rejection.VerdictMismatch);
        }
        if (selector == IJobScheduler.VerdictDue.selector) {
            return uint256(IJobScheduler.Rejection.VerdictDue);
        }
        if (selector == IJobScheduler.AwaitsSecret.selector) {
            return uint256(IJobScheduler.Rejection.AwaitsSecret);
        }
        if (selector == IJobScheduler.NoDrawDue.selector) {
            return uint256(IJobScheduler.Rejection.NoDrawDue);
        }
        if (selector == IJobScheduler.WrongSecret.selector) {
            return uint256(IJobScheduler.Rejection.WrongSecret);
        }
        if (selector == IJobScheduler.RemarkTooLong.selector) {
            return uint256(IJobScheduler.Rejection.RemarkTooLong);
        }
        return NONE;
    }
}
