// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Head} from "./Packing.sol";
import {Verdicts} from "./Verdicts.sol";

/// What the end of a job moves: what goes out of the escrow to nodes or is burnt of it; what is burnt in all; and where in
/// memory the payments stand, each an account and an amount, with room before them for the rest of the event.
struct Bill {
    uint256 spent;
    uint256 burnt;
    uint256 start;
    uint256 end;
}

using Bills for Bill global;

/// @title What the event `Settled` says, written down while it is paid
library Bills {
    /// The words of the event before its payments.
    uint256 internal constant HEAD_BYTES = 160;

    /// With room for so many seats that are paid, and for one payment more of each seat that failed.
    function open(uint256 seats, Head head) internal pure returns (Bill memory bill) {
        uint256 most = seats + Verdicts.popcount(head.failed());
        uint256 start;
        assembly ("memory-safe") {
            start := mload(0x40)
            mstore(0x40, add(start, add(160, shl(6, most))))
        }
        (bill.start, bill.end) = (start, start + HEAD_BYTES);
    }

    /// Whoever gets nothing is not named.
    function add(Bill memory bill, address node, uint256 amount) internal pure {
        if (amount == 0) return;
        uint256 end = bill.end;
        assembly ("memory-safe") {
            // Without what may be left above the address in its word.
            mstore(end, shr(96, shl(96, node)))
            mstore(add(end, 32), amount)
        }
        bill.end = end + 64;
    }
}
