// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IJobScheduler} from "./IJobScheduler.sol";

/// The newest failure reported of a seat, in one word: node 160, kind 8, whether it came too late for another node 1.
type Failure is uint256;

/// How many failures of each kind a job has seen, in every seat ever held: 8 bits a kind, that stop at their largest.
type FailureCounts is uint256;

using Failures for Failure global;
using Failures for FailureCounts global;

/// @title Why seats failed
library Failures {
    function make(address node_, IJobScheduler.FailureKind kind_, bool isLate_)
        internal
        pure
        returns (Failure)
    {
        return Failure.wrap(uint160(node_) | uint256(kind_) << 160 | (isLate_ ? 1 << 168 : 0));
    }

    function node(Failure failure) internal pure returns (address) {
        return address(uint160(Failure.unwrap(failure)));
    }

    function kind(Failure failure) internal pure returns (uint256) {
        return Failure.unwrap(failure) >> 160 & 0xff;
    }

    function isLate(Failure failure) internal pure returns (bool) {
        return Failure.unwrap(failure) >> 168 != 0;
    }

    function withOneMore(FailureCounts counts, IJobScheduler.FailureKind kind_)
        internal
        pure
        returns (FailureCounts)
    {
        uint256 at = 8 * uint256(kind_);
        bool isFull = FailureCounts.unwrap(counts) >> at & 0xff == 0xff;
        return isFull ? counts : FailureCounts.wrap(FailureCounts.unwrap(counts) + (1 << at));
    }

    /// Whether several seats reported this, and nodes are not to blame for it.
    function isShared(FailureCounts counts, uint256 kind_) internal pure returns (bool) {
        bool isOfNode = kind_ == uint256(IJobScheduler.FailureKind.Engine)
            || kind_ == uint256(IJobScheduler.FailureKind.Interrupted);
        return !isOfNode && FailureCounts.unwrap(counts) >> (8 * kind_) & 0xff > 1;
    }

    /// Whether there is such a kind.
    function anyShared(FailureCounts counts) internal pure returns (bool) {
        for (uint256 kind_ = 0; kind_ <= uint256(type(IJobScheduler.FailureKind).max); ++kind_) {
            if (isShared(counts, kind_)) return true;
        }
        return false;
    }
}
