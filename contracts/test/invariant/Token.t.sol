// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {MoneyInvariants} from "./Money.sol";

/// The same steps on a scheduler that counts in a token.
contract TokenInvariants is MoneyInvariants {
    function takesTokens() internal pure override returns (bool) {
        return true;
    }

    function invariant_23_a_scheduler_of_a_token_takes_no_ether() public view {
        assertEq(address(scheduler).balance, 0);
    }
}
