// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IJobScheduler} from "../../src/IJobScheduler.sol";

/// Asked while money is on its way.
interface IWatcher {
    function onTransfer() external;
}

// Receivers that do not just take their money. They keep nothing in their code, so that it can stand at the address of a
// node that also signs.

/// Takes nothing.
contract Refuser {
    receive() external payable {
        revert("no");
    }
}

/// Answers with a megabyte.
contract Bomb {
    receive() external payable {
        assembly {
            return(0, 1000000)
        }
    }
}

/// Refuses with a megabyte.
contract RefusingBomb {
    receive() external payable {
        assembly {
            revert(0, 1000000)
        }
    }
}

/// Withdraws again what it is sent, as long as that is not too small a part of what it has, and lets its watcher look each
/// time.
contract Reenterer {
    IWatcher private watcher;

    receive() external payable {
        if (address(watcher) != address(0)) watcher.onTransfer();
        IJobScheduler scheduler = IJobScheduler(msg.sender);
        uint256 free = scheduler.accounts(address(this)).free;
        if (msg.value != 0 && msg.value <= free && free <= 8 * msg.value) scheduler.withdraw(msg.value);
    }
}

/// Withdraws all it has and more, and does not mind being refused.
contract GreedyReenterer {
    receive() external payable {
        IJobScheduler scheduler = IJobScheduler(msg.sender);
        uint256 free = scheduler.accounts(address(this)).free;
        try scheduler.withdraw(free + 1) {} catch {}
        if (free != 0) scheduler.withdraw(free);
    }
}
