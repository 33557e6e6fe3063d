// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IJobScheduler} from "../IJobScheduler.sol";

/// @title What a consumer must write as nodes and the scheduler do
library Results {
    /// @notice The result hash of a job that printed `stdout` and wrote no file to `/outputs`, as nodes compute it.
    function hash(bytes32 job, int32 exitCode, bytes calldata stdout) internal pure returns (bytes32) {
        // One file; then its path and its content, each behind its length.
        bytes memory head = abi.encodePacked("assay result v1\x00", job, exitCode, uint64(1));
        return sha256(abi.encodePacked(head, uint32(6), "stdout", uint64(stdout.length), stdout));
    }

    /// @notice Terms as they travel: `abi.encodePacked` of all fields but the allow-list, which comes last.
    function pack(IJobScheduler.Terms memory t) internal pure returns (bytes memory packed) {
        packed = abi.encodePacked(
            abi.encodePacked(t.concurrency, t.confidence, t.toleranceKib, t.relativePermille, t.method),
            abi.encodePacked(t.deterministic, t.acceptance, t.price, t.bond, t.keeperFee),
            abi.encodePacked(t.open, t.timeout, t.run, t.reveal, t.liveLogs),
            abi.encodePacked(t.minPaid, t.escalationLimit, t.parent, t.requireWork),
            abi.encodePacked(t.cpuPermille, t.canonical, t.summary, t.audit)
        );
        for (uint256 i = 0; i < t.allowList.length; ++i) {
            packed = bytes.concat(packed, bytes20(t.allowList[i]));
        }
    }
}
