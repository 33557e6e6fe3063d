// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IJobScheduler} from "assay/IJobScheduler.sol";
import {AssayConsumer} from "assay/consumer/AssayConsumer.sol";
import {PriceBuyer} from "../src/PriceBuyer.sol";
import {Nodes} from "./Nodes.sol";

contract PriceBuyerTest is Nodes {
    bytes internal constant SPEC = "{}";
    uint96 internal constant PAY = 0.002 ether;

    PriceBuyer internal buyer;

    function setUp() public override {
        super.setUp();
        buyer = new PriceBuyer{value: 0.1 ether}(scheduler, SPEC, PAY);
    }

    function asked(uint64 nonce, bytes memory honest) internal returns (bytes32 job) {
        job = buyer.ask();
        bytes[3] memory stdouts = [honest, honest, bytes("1\n")];
        run(job, dealOf(address(buyer), nonce, SPEC, buyer.terms()), PAY, stdouts);
    }

    function test_the_price_is_what_the_majority_printed() public {
        bytes32 job = asked(0, "893\n");
        IJobScheduler.SeatOpening[] memory given = proof(job, PAY, "893\n");
        vm.prank(deliverer);
        buyer.fulfil(job, given, 0, "893\n");
        assertEq(buyer.price(), 893);
        assertEq(buyer.pricedAt(), block.timestamp);
        assertEq(scheduler.accounts(deliverer).free, 0.001 ether);
    }

    function test_the_liar_delivers_nothing() public {
        bytes32 job = asked(0, "893\n");
        IJobScheduler.SeatOpening[] memory given = proof(job, PAY, "893\n");
        vm.expectRevert(abi.encodeWithSelector(AssayConsumer.OtherResult.selector, 0));
        buyer.fulfil(job, given, 0, "1\n");
    }

    function test_only_the_owner_chooses_the_nodes() public {
        vm.prank(deliverer);
        vm.expectRevert(PriceBuyer.OnlyOwner.selector);
        buyer.askSigned(new IJobScheduler.SignedBid[](0));
    }

    function test_the_job_that_bids_are_signed_for_is_the_one_that_is_asked() public {
        for (uint64 nonce = 0; nonce < 2; ++nonce) {
            bytes32 next = buyer.nextJob();
            // Without bids nobody runs it; it is the same job all the same.
            assertEq(buyer.askSigned(new IJobScheduler.SignedBid[](0)), next);
            vm.warp(block.timestamp + 11 minutes);
            bytes memory deal = dealOf(address(buyer), nonce, SPEC, buyer.signedTerms());
            scheduler.expire(next, deal, new IJobScheduler.SeatHolder[](0));
            buyer.giveUp(next);
        }
    }

    function test_one_request_is_pending_at_a_time() public {
        bytes32 job = asked(0, "893\n");
        vm.expectRevert(abi.encodeWithSelector(PriceBuyer.Pending.selector, job));
        buyer.ask();
        buyer.fulfil(job, proof(job, PAY, "893\n"), 0, "893\n");
        buyer.ask();
    }

    function test_what_is_no_number_changes_no_price_and_ends_the_request() public {
        for (uint64 nonce = 0; nonce < 3; ++nonce) {
            bytes memory printed = [bytes("NaN\n"), bytes(""), bytes("1 2\n")][nonce];
            bytes32 job = asked(nonce, printed);
            buyer.fulfil(job, proof(job, PAY, printed), 0, printed);
            assertEq(buyer.price(), 0);
            assertEq(buyer.pending(), 0);
        }
    }

    function test_a_request_that_nobody_takes_ends_and_its_refund_pays_for_the_next() public {
        bytes32 job = buyer.ask();
        vm.warp(block.timestamp + 11 minutes);
        bytes memory deal = dealOf(address(buyer), 0, SPEC, buyer.terms());
        scheduler.expire(job, deal, new IJobScheduler.SeatHolder[](0));
        buyer.giveUp(job);
        assertEq(buyer.pending(), 0);
        uint256 before = address(buyer).balance;
        buyer.ask();
        assertEq(before - address(buyer).balance, 0.001 ether, "the keeper of the first request was paid");
    }
}
