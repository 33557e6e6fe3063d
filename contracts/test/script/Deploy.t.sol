// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Test} from "forge-std/Test.sol";
import {Deploy} from "../../script/Deploy.s.sol";
import {IJobScheduler} from "../../src/IJobScheduler.sol";
import {Token} from "../harness/Tokens.sol";

/// What the script puts on a chain, whichever it is.
contract DeployTest is Test {
    function test_the_scheduler_of_these_sources_is_deployed_on_any_chain() public {
        bytes memory expected = vm.getDeployedCode("JobScheduler.sol:JobScheduler");
        uint64[3] memory chains = [uint64(1), 31_337, 42_161];
        bytes32 last;
        for (uint256 i = 0; i < chains.length; ++i) {
            vm.chainId(chains[i]);
            IJobScheduler scheduler = new Deploy().run();
            assertEq(address(scheduler).code, expected);
            assertNotEq(scheduler.domainSeparator(), last);
            last = scheduler.domainSeparator();
        }
    }

    function test_a_scheduler_counts_in_the_asset_that_is_asked_for() public {
        assertEq(new Deploy().run().asset(), address(0));
        address token = address(new Token());
        assertEq(new Deploy().deploy(token).asset(), token);
    }

    function test_the_deployed_scheduler_holds_money() public {
        IJobScheduler scheduler = new Deploy().run();
        scheduler.deposit{value: 5}();
        assertEq(scheduler.accounts(address(this)).free, 5);
        assertEq(scheduler.burnt(), 0);
    }
}
