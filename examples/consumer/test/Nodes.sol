// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IJobScheduler} from "assay/IJobScheduler.sol";
import {Results} from "assay/consumer/Results.sol";
import {Test} from "forge-std/Test.sol";

/// The scheduler as it is deployed, and three nodes that run nothing and say what a test wants them to.
abstract contract Nodes is Test {
    string internal constant ARTIFACT = "lib/JobScheduler.json";
    bytes32 internal constant VOID_SUMMARY = bytes32(type(uint256).max);

    IJobScheduler internal scheduler;
    address[3] internal nodes = [makeAddr("first"), makeAddr("second"), makeAddr("third")];
    address internal keeper = makeAddr("keeper");
    address internal deliverer = makeAddr("deliverer");

    function setUp() public virtual {
        vm.warp(1_700_000_000);
        // Its asset is ether.
        bytes memory code = bytes.concat(vm.parseJsonBytes(vm.readFile(ARTIFACT), ".bytecode"), abi.encode(0));
        address at;
        assembly ("memory-safe") {
            at := create(0, add(code, 32), mload(code))
        }
        scheduler = IJobScheduler(at);
        for (uint256 seat = 0; seat < 3; ++seat) {
            vm.deal(nodes[seat], 10 ether);
            vm.prank(nodes[seat]);
            scheduler.deposit{value: 1 ether}();
        }
    }

    /// A result of this output, which the node of a seat committed to.
    function opening(bytes32 job, uint256 seat, uint96 price, bytes memory stdout)
        internal
        view
        returns (IJobScheduler.SeatOpening memory)
    {
        IJobScheduler.Opening memory o;
        o.resultHash = this.hashOf(job, stdout);
        (o.fingerprint, o.summary) = (bytes32(type(uint256).max), VOID_SUMMARY);
        o.salt = keccak256(abi.encode(job, seat));
        return IJobScheduler.SeatOpening(uint8(seat), nodes[seat], price, o);
    }

    function hashOf(bytes32 job, bytes calldata stdout) external pure returns (bytes32) {
        return Results.hash(job, 0, stdout);
    }

    /// The nodes take the seats of a job and print these outputs; the first two agree.
    function run(bytes32 job, bytes memory deal, uint96 price, bytes[3] memory stdouts) internal {
        IJobScheduler.SeatOpening[] memory all = new IJobScheduler.SeatOpening[](3);
        for (uint256 seat = 0; seat < 3; ++seat) {
            vm.prank(nodes[seat]);
            scheduler.bid(job, deal, price);
            all[seat] = opening(job, seat, price, stdouts[seat]);
        }
        for (uint256 seat = 0; seat < 3; ++seat) {
            bytes32 commitment = scheduler.commitmentOf(job, uint8(seat), nodes[seat], all[seat].opening);
            vm.prank(nodes[seat]);
            scheduler.commit(job, commitment);
        }
        vm.prank(keeper);
        scheduler.postVerdict(job, deal, all, 3);
    }

    /// The openings of the first two seats, which printed the same.
    function proof(bytes32 job, uint96 price, bytes memory stdout)
        internal
        view
        returns (IJobScheduler.SeatOpening[] memory given)
    {
        given = new IJobScheduler.SeatOpening[](2);
        (given[0], given[1]) = (opening(job, 0, price, stdout), opening(job, 1, price, stdout));
    }

    function dealOf(address requester, uint64 nonce, bytes memory spec, IJobScheduler.Terms memory terms)
        internal
        pure
        returns (bytes memory)
    {
        return abi.encodePacked(requester, nonce, sha256(spec), Results.pack(terms));
    }
}
