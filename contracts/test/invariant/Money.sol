// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Test} from "forge-std/Test.sol";
import {IJobScheduler} from "../../src/IJobScheduler.sol";
import {AuditSteps} from "./AuditSteps.sol";
import {Handler} from "./Handler.sol";
import {Steps} from "./Steps.sol";

/// What holds of money after every step of any jobs, whatever the scheduler counts in.
abstract contract MoneyInvariants is Test {
    Handler internal handler;
    address internal requester = makeAddr("requester");
    IJobScheduler internal scheduler;

    function setUp() public {
        handler = new Handler();
        if (takesTokens()) handler.useToken();
        handler.setUp();
        scheduler = handler.chain();
        targetContract(address(handler));
        targetSelector(FuzzSelector({addr: address(handler), selectors: steps()}));
    }

    /// Whether the scheduler counts in a token, and not in ether.
    function takesTokens() internal pure virtual returns (bool) {
        return false;
    }

    function steps() internal pure returns (bytes4[] memory list) {
        list = new bytes4[](54);
        list[0] = Steps.submitPlain.selector;
        list[1] = Steps.submitChild.selector;
        list[2] = Steps.submitWithBids.selector;
        list[3] = Steps.submitWithBids.selector;
        list[4] = Steps.updateDeal.selector;
        list[5] = Steps.acceptBid.selector;
        list[6] = Steps.reject.selector;
        list[7] = Steps.remark.selector;
        list[8] = Steps.resubmit.selector;
        list[9] = Steps.placeBid.selector;
        list[10] = Steps.withdrawBid.selector;
        list[11] = Steps.fill.selector;
        list[12] = Steps.commitOne.selector;
        list[13] = Steps.commitRest.selector;
        list[14] = Steps.recommit.selector;
        list[15] = Steps.commitSigned.selector;
        list[16] = Steps.unpack.selector;
        list[17] = Steps.fail_.selector;
        list[18] = Steps.revealOne.selector;
        list[19] = Steps.revealSome.selector;
        list[20] = Handler.judgeOne.selector;
        list[21] = Handler.stop.selector;
        list[22] = Handler.cancel.selector;
        list[23] = Handler.expireOne.selector;
        list[24] = Handler.wait_.selector;
        list[25] = Handler.approach.selector;
        list[26] = Handler.withdraw.selector;
        list[27] = Handler.deposit.selector;
        list[28] = Handler.force.selector;
        list[29] = Handler.meddle.selector;
        // What takes jobs on comes up more often.
        list[30] = Steps.commitRest.selector;
        list[31] = Handler.judgeOne.selector;
        list[32] = Handler.judgeOne.selector;
        list[33] = Steps.failRest.selector;
        list[34] = Steps.fail_.selector;
        list[35] = Steps.fail_.selector;
        list[36] = Steps.fill.selector;
        list[37] = AuditSteps.publishSecret.selector;
        list[38] = AuditSteps.publishSecret.selector;
        list[39] = AuditSteps.audit.selector;
        list[40] = AuditSteps.audit.selector;
        list[41] = Handler.abandon.selector;
        list[42] = Steps.fail_.selector;
        list[43] = Steps.fail_.selector;
        list[44] = Handler.approach.selector;
        list[45] = Steps.failRest.selector;
        list[46] = Steps.failRest.selector;
        list[47] = Steps.submitWithBids.selector;
        list[48] = Steps.commitRest.selector;
        list[49] = Handler.judgeOne.selector;
        list[50] = Steps.commitRest.selector;
        list[51] = Handler.garble.selector;
        list[52] = Handler.garble.selector;
        list[53] = Steps.failRest.selector;
    }

    function invariant_01_money_is_conserved() public view {
        assertEq(handler.purse(address(scheduler)), handler.owed() + scheduler.burnt() + handler.forced());
        int256 put = 0;
        address[] memory parties = handler.everybody();
        for (uint256 i = 0; i < parties.length; ++i) {
            put += handler.net(parties[i]);
        }
        assertEq(handler.owed() + scheduler.burnt(), uint256(put));
    }

    /// Receivers call back, refuse, and answer with a megabyte: what is owed is there even while money is on its way.
    function invariant_15_withdrawals_leave_what_is_owed() public view {
        assertEq(handler.shortfalls(), 0);
        assertGe(handler.purse(address(scheduler)), handler.owed() + scheduler.burnt());
    }
}
