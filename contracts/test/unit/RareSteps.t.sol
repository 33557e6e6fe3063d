// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IJobScheduler} from "../../src/IJobScheduler.sol";
import {RareSteps} from "../../src/RareSteps.sol";
import {RareStepsAt} from "../../src/RareStepsAt.sol";
import {SchedulerBase} from "../harness/SchedulerBase.sol";

/// The two contracts behind one address.
contract RareStepsTest is SchedulerBase {
    address private rare;

    function setUp() public override {
        super.setUp();
        rare = RareStepsAt.addressOf(address(scheduler));
    }

    function test_a_scheduler_makes_the_code_of_its_rare_steps() public view {
        // But for the asset, which is ether here and so all zeros.
        assertEq(rare.code, vm.getDeployedCode("RareSteps.sol:RareSteps"));
        assertEq(
            vm.getNonce(address(scheduler)), 2, "a contract is created with the nonce 1, and creates one"
        );
    }

    /// Every function that is not in the code at the scheduler's address.
    function calls(bytes32 job, bytes memory d) private view returns (bytes[] memory list) {
        address[] memory none;
        IJobScheduler.SeatHolder[] memory holders;
        IJobScheduler.Signed[] memory signatures;
        list = new bytes[](21);
        list[0] = abi.encodeCall(scheduler.submitChild, (d, d, SPEC, 0));
        list[1] = abi.encodeCall(scheduler.updateDeal, (job, d, d));
        list[2] = abi.encodeCall(scheduler.cancel, (job, d));
        list[3] = abi.encodeCall(scheduler.rejectBids, (job, d, none));
        list[4] = abi.encodeCall(scheduler.stop, (job, d, holders));
        list[5] = abi.encodeCall(scheduler.remark, (job, d, nodes[0], ""));
        list[6] = abi.encodeCall(scheduler.withdrawBid, (job));
        list[7] = abi.encodeCall(scheduler.reportFailure, (job, d, IJobScheduler.FailureKind.Image));
        list[8] = abi.encodeCall(scheduler.revokeSignedBid, (job));
        list[9] = abi.encodeCall(scheduler.announce, ("/ip4/192.0.2.1/tcp/1"));
        list[10] = abi.encodeCall(scheduler.commitSigned, (job, d, holders, signatures));
        list[11] = abi.encodeCall(scheduler.expire, (job, d, holders));
        list[12] = abi.encodeCall(scheduler.unpack, (job, bytes32(0), 0, holders));
        list[16] = abi.encodeCall(scheduler.multicall, (new IJobScheduler.Step[](0)));
        list[20] = abi.encodeCall(scheduler.depositToken, (nodes[0], 0));
        list[18] = abi.encodeCall(scheduler.depositWithPermit, (nodes[0], 0, 0, 0, 0, 0));
        list[19] = abi.encodeCall(scheduler.asset, ());
        list[15] = abi.encodeCall(scheduler.withdrawTo, (nodes[0], 0));
        list[14] = abi.encodeCall(scheduler.eip712Domain, ());
        list[17] = abi.encodeCall(scheduler.publishSecretRostered, (job, d, 0, bytes32(0), holders));
        list[13] = abi.encodeCall(scheduler.publishSecret, (job, d, bytes32(0), holders));
    }

    function test_the_rare_steps_refuse_every_call_at_their_own_address() public {
        bytes32 job = submit(terms());
        bytes[] memory list = calls(job, deal_(job, terms()));
        string memory built = vm.readFile("target/contracts/out/RareSteps.sol/RareSteps.json");
        assertEq(
            vm.parseJsonKeys(built, ".methodIdentifiers").length, list.length, "a function is not called"
        );
        vm.deal(address(this), 1 ether);
        for (uint256 i = 0; i < list.length; ++i) {
            (bool isDone, bytes memory answer) = rare.call(list[i]);
            assertFalse(isDone, vm.toString(i));
            assertEq(answer, abi.encodeWithSelector(RareSteps.NotScheduler.selector), vm.toString(i));
        }
    }

    function test_nobody_sends_ether_to_the_rare_steps() public {
        bytes32 job = submit(terms());
        vm.deal(address(this), 1 ether);
        (bool isDone,) = rare.call{value: 1}("");
        assertFalse(isDone);
        (isDone,) = rare.call{value: 1}(abi.encodeCall(scheduler.updateDeal, (job, "", "")));
        assertFalse(isDone);
        assertEq(rare.balance, 0);
    }

    function test_a_scheduler_refuses_ether_and_calls_that_it_does_not_know() public {
        vm.deal(address(this), 1 ether);
        (bool isDone,) = address(scheduler).call{value: 1}("");
        assertFalse(isDone);
        (isDone,) = address(scheduler).call{value: 1}(hex"01020304");
        assertFalse(isDone);
        (isDone,) = address(scheduler).call(hex"01");
        assertFalse(isDone);
    }

    function test_what_a_rare_step_refuses_is_told_as_if_the_scheduler_had() public {
        bytes32 job = submit(terms());
        bytes memory d = deal_(job, terms());
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.NotRequester.selector, requester));
        scheduler.cancel(job, d);
        vm.expectEmit(true, true, true, true, address(scheduler));
        emit IJobScheduler.Cancelled(job);
        vm.prank(requester);
        scheduler.cancel(job, d);
    }
}
