// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IJobScheduler} from "./IJobScheduler.sol";

/// @title What a node signs, and who signed
/// @notice The twin of `signing_digest` in `src/domain/codec.rs` and of `src/domain/signature.rs`: EIP-712 with the
/// domain "Assay", version "2". A node that is a contract signs by ERC-1271.
library Signatures {
    string internal constant NAME = "Assay";
    string internal constant VERSION = "2";
    bytes32 private constant DOMAIN_TYPE =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
    bytes32 private constant ACTION_TYPE = keccak256(
        "Action(bytes32 job,bytes32 revision,uint64 sequence,bytes32 seen,uint8 kind,bytes payload)"
    );
    /// Half the order of secp256k1: the largest `s` of the one form of a signature that counts.
    uint256 private constant HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0;

    function separator(uint256 chainId, address scheduler) internal pure returns (bytes32) {
        return keccak256(
            abi.encode(DOMAIN_TYPE, keccak256(bytes(NAME)), keccak256(bytes(VERSION)), chainId, scheduler)
        );
    }

    /// The digest of an action whose payload is one word.
    function digest(
        bytes32 domain,
        bytes32 job,
        bytes32 revision,
        uint64 sequence,
        bytes32 seen,
        IJobScheduler.EventKind kind,
        bytes32 payload
    ) internal pure returns (bytes32 hash) {
        bytes32 actionType = ACTION_TYPE;
        // As `abi.encode` would, in memory that nobody else uses: every seat of a job is checked so.
        assembly ("memory-safe") {
            let start := mload(0x40)
            mstore(start, actionType)
            mstore(add(start, 32), job)
            mstore(add(start, 64), revision)
            mstore(add(start, 96), and(sequence, 0xffffffffffffffff))
            mstore(add(start, 128), seen)
            mstore(add(start, 160), kind)
            mstore(0, payload)
            mstore(add(start, 192), keccak256(0, 32))
            let action := keccak256(start, 224)
            mstore(start, shl(240, 0x1901))
            mstore(add(start, 2), domain)
            mstore(add(start, 34), action)
            hash := keccak256(start, 66)
        }
    }

    /// Checks that `node` signed.
    function check(bytes32 hash, bytes32 r, bytes32 vs, address node) internal view {
        bytes32 s = bytes32(uint256(vs) & type(uint256).max >> 1);
        uint8 v = uint8(27 + (uint256(vs) >> 255));
        address signer = uint256(s) > HALF_ORDER ? address(0) : ecrecover(hash, v, r, s);
        if (signer != address(0) && signer == node) return;
        if (node.code.length == 0 || !isApproved(hash, r, s, v, node)) {
            revert IJobScheduler.BadSignature(node);
        }
    }

    /// Asks a contract whether it signed. It gets the 65 bytes that wallets know, or, if all of them are zero, none: so a
    /// Safe says that its owners approved the hash on the chain.
    function isApproved(bytes32 hash, bytes32 r, bytes32 s, uint8 v, address node)
        private
        view
        returns (bool isSigned)
    {
        assembly ("memory-safe") {
            // The selector of `isValidSignature(bytes32,bytes)`, which a contract that agrees returns.
            let magic := shl(224, 0x1626ba7e)
            let start := mload(0x40)
            let isGiven := iszero(iszero(or(or(r, s), sub(v, 27))))
            mstore(start, magic)
            mstore(add(start, 4), hash)
            mstore(add(start, 36), 64)
            mstore(add(start, 68), mul(65, isGiven))
            mstore(add(start, 100), r)
            mstore(add(start, 132), s)
            mstore(add(start, 164), shl(248, v))
            // Copies one word of the answer, however long it is.
            let isDone := staticcall(gas(), node, start, add(100, mul(96, isGiven)), 0, 32)
            isSigned := and(and(isDone, gt(returndatasize(), 31)), eq(mload(0), magic))
        }
    }
}
