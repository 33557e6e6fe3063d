// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Failure, FailureCounts} from "./Failures.sol";
import {Head, Purse, Slot} from "./Packing.sol";

/// @title Everything that a scheduler stores
/// @notice `JobScheduler` and `RareSteps` work on one storage, so no other contract of theirs declares any.
abstract contract Storage {
    struct Job {
        Head head;
        /// The hash of requester and revision, once the terms were changed.
        bytes32 root;
    }

    mapping(address party => Purse) internal _accounts;
    uint256 internal _burnt;
    mapping(bytes32 job => Job) internal _jobs;
    mapping(bytes32 job => mapping(address node => Slot)) internal _slots;
    // What only the other contract writes: the analyser sees one at a time.
    // slither-disable-start uninitialized-state
    mapping(bytes32 parent => bytes32 child) internal _childOf;
    /// Signatures on bids that their nodes took back.
    mapping(bytes32 job => mapping(address node => bool)) internal _revoked;
    /// Of the node whose failure left a seat free, not the node that took the seat since.
    mapping(bytes32 job => mapping(uint256 seat => Failure)) internal _failures;
    mapping(bytes32 job => FailureCounts) internal _failureCounts;
    /// The tokens that balances and jobs account for, where the asset is a token.
    uint256 internal _held;
    // slither-disable-end uninitialized-state
}
