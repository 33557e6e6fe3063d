// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Script} from "forge-std/Script.sol";
import {IJobScheduler} from "../src/IJobScheduler.sol";

/// @title Puts the scheduler on a chain
/// @notice The bytecode is that of the artefact which the program embeds, so that what is deployed does not depend on a
/// compiler. There is nothing to configure but the asset, and nobody gets rights in it.
///
///     forge script contracts/script/Deploy.s.sol --rpc-url $RPC --account $ACCOUNT --broadcast
///
/// It counts in ether, or in the ERC-20 that ASSET names.
contract Deploy is Script {
    string private constant ARTIFACT = "contracts/artifacts/JobScheduler.json";

    /// @notice What is at the address afterwards is no scheduler of this chain.
    error NotDeployed(address at);

    function run() external returns (IJobScheduler scheduler) {
        return deploy(vm.envOr("ASSET", address(0)));
    }

    function deploy(address asset) public returns (IJobScheduler scheduler) {
        bytes memory code =
            bytes.concat(vm.parseJsonBytes(vm.readFile(ARTIFACT), ".bytecode"), abi.encode(asset));
        address at;
        vm.startBroadcast();
        assembly ("memory-safe") {
            at := create(0, add(code, 32), mload(code))
        }
        vm.stopBroadcast();
        if (at.code.length == 0) revert NotDeployed(at);
        scheduler = IJobScheduler(at);
        if (scheduler.domainSeparator() != separator(at)) revert NotDeployed(at);
    }

    /// The EIP-712 domain that nodes will sign in.
    function separator(address at) private view returns (bytes32) {
        bytes32 domainType =
            keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
        return keccak256(abi.encode(domainType, keccak256("Assay"), keccak256("2"), block.chainid, at));
    }
}
