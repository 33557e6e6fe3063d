// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IJobScheduler} from "../../src/IJobScheduler.sol";
import {Signatures} from "../../src/Signatures.sol";
import {Refuser} from "../harness/Griefers.sol";
import {SchedulerBase} from "../harness/SchedulerBase.sol";
import {Wallet, Writer, Yes} from "../harness/Wallets.sol";

/// Nodes and requesters that are contracts: they sign by ERC-1271, and withdraw to where they like.
contract WalletsTest is SchedulerBase {
    uint256 private constant START = 1_700_000_000;
    uint256 private constant OWNER = 77;
    bytes4 private constant MAGIC = Wallet.isValidSignature.selector;

    /// Puts code where the second node is, which has no key of its own.
    function place(bytes memory code, bytes32 first, bytes32 second) private {
        vm.etch(nodes[1], code);
        vm.store(nodes[1], 0, first);
        vm.store(nodes[1], bytes32(uint256(1)), second);
        keys[nodes[1]] = OWNER;
    }

    function placeWallet() private {
        place(type(Wallet).runtimeCode, bytes32(uint256(uint160(vm.addr(OWNER)))), 0);
    }

    function committed(IJobScheduler.Terms memory t, bytes32 job) private {
        IJobScheduler.SeatHolder[] memory holders = holdersOf(job, t, 7, 7);
        IJobScheduler.Signed[] memory list = signatures(job, t, holders);
        vm.prank(keeper);
        scheduler.commitRostered(job, revisionOf(t), rosteredHead(t, START, 0), holders, list);
    }

    function test_a_wallet_bids_and_commits_by_the_signature_of_its_owner() public {
        placeWallet();
        IJobScheduler.Terms memory t = terms();
        bytes32 job = submitSigned(t, signedBids(nextJob(t), t, 3));
        committed(t, job);
        postVerdictRostered(job, t, rosteredHead(t, START, START), 7, 3);
        assertEq(free(nodes[1]), MONEY + t.price);
    }

    function bidDigest(IJobScheduler.Terms memory t) private view returns (bytes32) {
        return Signatures.digest(
            scheduler.domainSeparator(),
            nextJob(t),
            revisionOf(t),
            0,
            bytes32(block.timestamp),
            IJobScheduler.EventKind.BidPlaced,
            bytes32(uint256(t.price))
        );
    }

    /// Three bids, of which that of the contract has these words in place of a signature.
    function bidsWith(IJobScheduler.Terms memory t, bytes32 r, bytes32 vs)
        private
        view
        returns (IJobScheduler.SignedBid[] memory list)
    {
        list = signedBids(nextJob(t), t, 3);
        (list[1].signed.r, list[1].signed.vs) = (r, vs);
    }

    function submitRefused(IJobScheduler.Terms memory t, IJobScheduler.SignedBid[] memory list) private {
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.BadSignature.selector, nodes[1]));
        submitSigned(t, list);
    }

    function test_a_wallet_that_approved_the_hash_needs_no_signature() public {
        placeWallet();
        IJobScheduler.Terms memory t = terms();
        submitRefused(t, bidsWith(t, 0, 0));
        Wallet(payable(nodes[1])).approve(bidDigest(t));
        assertState(submitSigned(t, bidsWith(t, 0, 0)), IJobScheduler.JobState.Running);
    }

    function test_a_signature_that_the_wallet_does_not_take_is_refused() public {
        placeWallet();
        IJobScheduler.Terms memory t = terms();
        submitRefused(t, bidsWith(t, bytes32(uint256(1)), bytes32(uint256(2))));
        // The owner's own signature counts nothing at the address of another.
        keys[nodes[1]] = OWNER + 1;
        submitRefused(t, signedBids(nextJob(t), t, 3));
    }

    function test_only_the_right_word_is_a_yes() public {
        IJobScheduler.Terms memory t = terms();
        bytes32 magic = bytes32(MAGIC);
        bytes32[4] memory answers =
            [bytes32(0), bytes32(uint256(1)), magic >> 224, magic | bytes32(uint256(1))];
        for (uint256 i = 0; i < answers.length; ++i) {
            place(type(Yes).runtimeCode, answers[i], bytes32(uint256(32)));
            submitRefused(t, bidsWith(t, 0, 0));
        }
        for (uint256 size = 0; size < 32; size += 31) {
            place(type(Yes).runtimeCode, magic, bytes32(size));
            submitRefused(t, bidsWith(t, 0, 0));
        }
        place(type(Refuser).runtimeCode, 0, 0);
        submitRefused(t, bidsWith(t, 0, 0));
        place(type(Writer).runtimeCode, 0, 0);
        submitRefused(t, bidsWith(t, 0, 0));
        place(type(Yes).runtimeCode, magic, bytes32(uint256(32)));
        submitSigned(t, bidsWith(t, 0, 0));
    }

    function test_a_long_answer_of_a_wallet_is_not_copied() public {
        IJobScheduler.Terms memory t = terms();
        place(type(Yes).runtimeCode, bytes32(MAGIC), bytes32(uint256(32)));
        uint256 snapshot = vm.snapshotState();
        uint256 before = gasleft();
        submitSigned(t, bidsWith(t, 0, 0));
        uint256 usual = before - gasleft();
        vm.revertToState(snapshot);
        place(type(Yes).runtimeCode, bytes32(MAGIC), bytes32(uint256(1_000_000)));
        before = gasleft();
        submitSigned(t, bidsWith(t, 0, 0));
        // The wallet pays for its memory, some 2 million; a copy would cost as much again.
        assertLt(before - gasleft(), usual + 2_500_000);
    }

    function test_a_key_with_code_still_signs_for_itself() public {
        vm.etch(nodes[1], type(Refuser).runtimeCode);
        IJobScheduler.Terms memory t = terms();
        assertState(submitSigned(t, signedBids(nextJob(t), t, 3)), IJobScheduler.JobState.Running);
    }

    function test_money_goes_to_whom_its_owner_says() public {
        address vault = makeAddr("vault");
        vm.prank(nodes[0]);
        scheduler.withdrawTo(vault, MONEY / 4);
        assertEq(vault.balance, MONEY / 4);
        assertEq(free(nodes[0]), MONEY - MONEY / 4);
        assertEq(free(vault), 0);
        vm.prank(nodes[0]);
        vm.expectRevert(
            abi.encodeWithSelector(IJobScheduler.NotFunded.selector, nodes[0], MONEY - MONEY / 4, MONEY)
        );
        scheduler.withdrawTo(vault, MONEY);
        vm.etch(vault, type(Refuser).runtimeCode);
        vm.prank(nodes[0]);
        vm.expectRevert(IJobScheduler.TransferFailed.selector);
        scheduler.withdrawTo(vault, 1);
    }

    function test_the_domain_is_told_field_by_field() public view {
        (
            bytes1 fields,
            string memory name,
            string memory version,
            uint256 chainId,
            address at,
            bytes32 salt,
            uint256[] memory extensions
        ) = scheduler.eip712Domain();
        assertEq(fields, bytes1(0x0f));
        assertEq(salt, 0);
        assertEq(extensions.length, 0);
        bytes32 domainType =
            keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
        bytes32 separator =
            keccak256(abi.encode(domainType, keccak256(bytes(name)), keccak256(bytes(version)), chainId, at));
        assertEq(separator, scheduler.domainSeparator());
    }
}
