// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IJobScheduler} from "../../src/IJobScheduler.sol";
import {SchedulerBase} from "../harness/SchedulerBase.sol";
import {AnsweringToken, CallingToken, FeeToken, IHolder, SilentToken, Token} from "../harness/Tokens.sol";
import {NumberBuyer} from "../harness/Consumers.sol";
import {AssayConsumer} from "../../src/consumer/AssayConsumer.sol";
import {Terms} from "../harness/Terms.sol";

/// A scheduler that counts in an ERC-20: everything is as with ether but for how money comes in and goes out.
contract TokensTest is SchedulerBase, IHolder {
    uint256 private constant SUM = 1_000_000;
    uint256 private steps;

    function setUp() public override {
        token = new Token();
        super.setUp();
    }

    /// Another scheduler, of another token.
    function on(Token other) private {
        token = other;
        scheduler = schedulerOf(address(other));
    }

    function wrongAsset() private view returns (bytes memory) {
        return abi.encodeWithSelector(IJobScheduler.WrongAsset.selector, address(token));
    }

    function inexact(uint256 held, uint256 expected) private pure returns (bytes memory) {
        return abi.encodeWithSelector(IJobScheduler.InexactTransfer.selector, held, expected);
    }

    function approve(Token asset, uint256 amount) private {
        asset.mint(address(this), amount);
        asset.approve(address(scheduler), amount);
    }

    // Whole jobs.

    function test_a_job_is_paid_in_the_token() public {
        IJobScheduler.Terms memory t = terms();
        bytes32 job = revealing(t);
        postVerdict(job, t, 7, 3);
        assertState(job, IJobScheduler.JobState.Verified);
        assertEq(free(nodes[0]), MONEY + t.price);
        assertEq(free(nodes[2]), MONEY);
        assertEq(free(requester), MONEY + t.price);
        assertEq(free(keeper), MONEY + t.keeperFee);
        vm.prank(nodes[0]);
        scheduler.withdraw(MONEY + t.price);
        assertEq(token.balanceOf(nodes[0]), MONEY + t.price);
        assertEq(free(nodes[0]), 0);
        assertEq(address(scheduler).balance, 0);
        assertEq(token.balanceOf(address(scheduler)), 6 * MONEY + escrow(t) - t.price);
    }

    function test_a_signed_job_is_paid_in_the_token() public {
        IJobScheduler.Terms memory t = terms();
        bytes32 job = submitSigned(t, signedBids(nextJob(t), t, 3));
        assertEq(free(requester), MONEY);
        IJobScheduler.SeatHolder[] memory holders = holdersOf(job, t, 7, 7);
        scheduler.commitRostered(
            job, revisionOf(t), rosteredHead(t, block.timestamp, 0), holders, signatures(job, t, holders)
        );
        postVerdictRostered(job, t, rosteredHead(t, block.timestamp, block.timestamp), 7, 3);
        assertEq(free(nodes[1]), MONEY + t.price);
    }

    // The asset.

    function test_the_asset_is_the_one_that_it_was_made_with() public {
        assertEq(scheduler.asset(), address(token));
        assertEq(schedulerOf(address(0)).asset(), address(0));
    }

    function test_an_address_without_code_is_no_asset() public {
        bytes memory code = bytes.concat(vm.getCode("JobScheduler.sol:JobScheduler"), abi.encode(keeper));
        address made;
        assembly {
            made := create(0, add(code, 32), mload(code))
        }
        assertEq(made, address(0));
    }

    function test_a_scheduler_of_a_token_refuses_ether() public {
        IJobScheduler.Terms memory t = terms();
        bytes32 job = submit(t);
        bytes memory d = deal_(job, t);
        vm.deal(requester, 5);
        vm.startPrank(requester);
        vm.expectRevert(wrongAsset());
        scheduler.deposit{value: 1}();
        vm.expectRevert(wrongAsset());
        scheduler.depositFor{value: 1}(keeper);
        vm.expectRevert(wrongAsset());
        scheduler.submit{value: 1}(Terms.pack(t), SPEC, 7);
        vm.expectRevert(wrongAsset());
        scheduler.submitSigned{value: 1}(Terms.pack(t), SPEC, 7, new IJobScheduler.SignedBid[](0));
        vm.expectRevert(wrongAsset());
        scheduler.updateDeal{value: 1}(job, d, Terms.pack(t));
        vm.stopPrank();
        assertEq(address(scheduler).balance, 0);
    }

    function test_a_scheduler_of_ether_refuses_tokens() public {
        scheduler = schedulerOf(address(0));
        bytes memory refused = abi.encodeWithSelector(IJobScheduler.WrongAsset.selector, address(0));
        vm.expectRevert(refused);
        scheduler.depositToken(keeper, 0);
        vm.expectRevert(refused);
        scheduler.depositWithPermit(keeper, 0, block.timestamp, 27, 0, 0);
    }

    function test_a_contract_that_asks_pays_in_ether() public {
        vm.deal(address(this), 1);
        vm.expectRevert(abi.encodeWithSelector(AssayConsumer.OnlyEther.selector, address(token)));
        new NumberBuyer{value: 1}(scheduler);
    }

    // Money in.

    function test_a_deposit_takes_what_its_owner_allowed_and_is_anybodys() public {
        approve(token, SUM);
        vm.expectEmit(true, true, true, true, address(scheduler));
        emit IJobScheduler.Deposited(keeper, SUM);
        scheduler.depositToken(keeper, SUM);
        assertEq(free(keeper), MONEY + SUM);
        assertEq(token.balanceOf(address(this)), 0);
        vm.expectRevert(IJobScheduler.TransferFailed.selector);
        scheduler.depositToken(keeper, 1);
    }

    function permitted(uint256 amount) private returns (uint8 v, bytes32 r, bytes32 s) {
        token.mint(nodes[0], amount);
        return
            vm.sign(keys[nodes[0]], token.permitDigest(nodes[0], address(scheduler), amount, block.timestamp));
    }

    function test_a_permit_needs_no_allowance() public {
        (uint8 v, bytes32 r, bytes32 s) = permitted(SUM);
        vm.prank(nodes[0]);
        scheduler.depositWithPermit(nodes[0], SUM, block.timestamp, v, r, s);
        assertEq(free(nodes[0]), MONEY + SUM);
    }

    /// A permit is public before it is in a block.
    function test_who_sends_a_permit_first_voids_no_deposit() public {
        (uint8 v, bytes32 r, bytes32 s) = permitted(SUM);
        token.permit(nodes[0], address(scheduler), SUM, block.timestamp, v, r, s);
        vm.prank(nodes[0]);
        scheduler.depositWithPermit(nodes[0], SUM, block.timestamp, v, r, s);
        assertEq(free(nodes[0]), MONEY + SUM);
    }

    function test_anothers_permit_moves_nothing() public {
        (uint8 v, bytes32 r, bytes32 s) = permitted(SUM);
        vm.prank(keeper);
        vm.expectRevert(IJobScheduler.TransferFailed.selector);
        scheduler.depositWithPermit(keeper, SUM, block.timestamp, v, r, s);
        token.permit(nodes[0], address(scheduler), SUM, block.timestamp, v, r, s);
        vm.prank(keeper);
        vm.expectRevert(IJobScheduler.TransferFailed.selector);
        scheduler.depositToken(keeper, SUM);
    }

    function test_all_tokens_fit_an_account() public {
        uint256 room = type(uint96).max - 7 * MONEY;
        approve(token, type(uint256).max - 8 * MONEY);
        token.approve(address(scheduler), type(uint256).max);
        vm.expectRevert(IJobScheduler.TooMuchMoney.selector);
        scheduler.depositToken(keeper, room + 1);
        vm.expectRevert(IJobScheduler.TooMuchMoney.selector);
        scheduler.depositToken(keeper, type(uint256).max);
        scheduler.depositToken(keeper, room);
        // What was withdrawn leaves room.
        vm.prank(keeper);
        scheduler.withdraw(5);
        scheduler.depositToken(keeper, 5);
        vm.expectRevert(IJobScheduler.TooMuchMoney.selector);
        scheduler.depositToken(keeper, 1);
    }

    /// Or whoever has more tokens than a scheduler holds could keep all others out.
    function test_tokens_sent_without_a_call_are_nobodys_and_stop_nobody() public {
        token.mint(address(scheduler), type(uint128).max);
        approve(token, SUM);
        scheduler.depositToken(keeper, SUM);
        vm.prank(keeper);
        scheduler.withdraw(MONEY + SUM);
        assertEq(token.balanceOf(keeper), MONEY + SUM);
        assertEq(token.balanceOf(address(scheduler)), 6 * MONEY + type(uint128).max);
    }

    // Money out.

    function test_tokens_go_to_whom_their_owner_says() public {
        vm.prank(keeper);
        scheduler.withdrawTo(address(7), SUM);
        assertEq(token.balanceOf(address(7)), SUM);
        assertEq(free(keeper), MONEY - SUM);
        vm.prank(keeper);
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.NotFunded.selector, keeper, MONEY - SUM, MONEY));
        scheduler.withdraw(MONEY);
    }

    function test_a_withdrawal_to_the_scheduler_itself_is_none() public {
        vm.prank(keeper);
        vm.expectRevert(inexact(7 * MONEY, 7 * MONEY - 1));
        scheduler.withdrawTo(address(scheduler), 1);
    }

    // Tokens that are not as they should be.

    function test_a_token_that_returns_nothing_is_taken() public {
        SilentToken silent = new SilentToken();
        scheduler = schedulerOf(address(silent));
        silent.mint(keeper, SUM);
        vm.startPrank(keeper);
        scheduler.depositToken(keeper, SUM);
        assertEq(free(keeper), SUM);
        scheduler.withdraw(SUM - 1);
        vm.stopPrank();
        assertEq(silent.balanceOf(keeper), SUM - 1);
        assertEq(free(keeper), 1);
    }

    function test_only_true_and_silence_are_a_yes() public {
        AnsweringToken asset = new AnsweringToken();
        on(asset);
        approve(asset, SUM);
        asset.answerWith(abi.encode(true));
        scheduler.depositToken(address(this), SUM / 2);
        bytes[4] memory answers = [abi.encode(false), abi.encode(2), bytes(hex"01"), new bytes(31)];
        for (uint256 i = 0; i < answers.length; ++i) {
            asset.answerWith(answers[i]);
            vm.expectRevert(IJobScheduler.TransferFailed.selector);
            scheduler.depositToken(address(this), 1);
            vm.expectRevert(IJobScheduler.TransferFailed.selector);
            scheduler.withdraw(1);
        }
        asset.answerWith(abi.encode(true, "and more"));
        scheduler.depositToken(address(this), 1);
        scheduler.withdraw(2);
        assertEq(free(address(this)), SUM / 2 - 1);
    }

    function test_a_token_with_a_fee_is_refused() public {
        FeeToken asset = new FeeToken();
        on(asset);
        approve(asset, SUM);
        scheduler.depositToken(address(this), SUM / 2);
        asset.set(3, false);
        vm.expectRevert(inexact(SUM / 2 + 97, SUM / 2 + 100));
        scheduler.depositToken(address(this), 100);
        assertEq(free(address(this)), SUM / 2);
        // The receiver bears this fee; the scheduler gave what it should.
        scheduler.withdraw(100);
        // One on top would be taken from others.
        asset.set(3, true);
        vm.expectRevert(inexact(SUM / 2 - 203, SUM / 2 - 200));
        scheduler.withdraw(100);
        asset.set(0, false);
        scheduler.withdraw(SUM / 2 - 100);
    }

    function test_a_token_whose_balances_shrink_takes_no_more_money_in_and_lets_it_out() public {
        token.burn(address(scheduler), 1);
        approve(token, SUM);
        vm.expectRevert(inexact(7 * MONEY - 1, 7 * MONEY));
        scheduler.depositToken(address(this), SUM);
        vm.prank(keeper);
        scheduler.withdraw(MONEY);
        token.mint(address(scheduler), 1);
        scheduler.depositToken(address(this), SUM);
    }

    function test_a_token_whose_balances_grow_harms_nobody() public {
        token.mint(address(scheduler), SUM);
        for (uint256 i = 0; i < nodes.length; ++i) {
            vm.prank(nodes[i]);
            scheduler.withdraw(MONEY);
        }
        assertEq(token.balanceOf(address(scheduler)), 2 * MONEY + SUM);
    }

    // Tokens that call back.

    function onToken() external {
        ++steps;
        if (steps == 2) scheduler.withdraw(SUM);
        if (steps == 20) {
            token.approve(address(scheduler), SUM);
            scheduler.depositToken(address(this), SUM);
        }
    }

    function calling() private returns (CallingToken asset) {
        asset = new CallingToken();
        on(asset);
        approve(asset, 4 * SUM);
        asset.mint(keeper, SUM);
        vm.startPrank(keeper);
        asset.approve(address(scheduler), SUM);
        scheduler.depositToken(keeper, SUM);
        vm.stopPrank();
        scheduler.depositToken(address(this), 2 * SUM);
        asset.watch(this);
    }

    /// The money on its way is booked already, but whoever takes it out before it is there voids its own deposit.
    function test_who_withdraws_in_the_middle_of_its_deposit_voids_it() public {
        CallingToken asset = calling();
        asset.approve(address(scheduler), SUM);
        vm.expectRevert(inexact(3 * SUM, 4 * SUM));
        scheduler.depositToken(address(this), SUM);
        assertEq(free(address(this)), 2 * SUM);
        assertEq(asset.balanceOf(address(scheduler)), 3 * SUM);
    }

    function test_who_withdraws_in_the_middle_of_its_withdrawal_voids_it() public {
        CallingToken asset = calling();
        vm.expectRevert(inexact(SUM, 2 * SUM));
        scheduler.withdraw(SUM);
        assertEq(free(address(this)), 2 * SUM);
        assertEq(free(keeper), SUM);
        assertEq(asset.balanceOf(address(scheduler)), 3 * SUM);
    }

    function test_who_deposits_in_the_middle_of_its_withdrawal_voids_it() public {
        CallingToken asset = calling();
        steps = 19;
        vm.expectRevert(inexact(3 * SUM, 2 * SUM));
        scheduler.withdraw(SUM);
        assertEq(asset.balanceOf(address(scheduler)), 3 * SUM);
    }
}
