// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IJobScheduler} from "./IJobScheduler.sol";

/// @title What a node signs, and who signed
/// @notice The twin of `signing_digest` in `src/domain/codec.rs` and of `src/domain/signature.rs`: EIP-712 with the
/// domain "Assay", version "2".
library Signatures {
    bytes32 private constant DOMAIN_TYPE =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
    bytes32 private constant ACTION_TYPE = keccak256(
        "Action(bytes32 job,bytes32 revision,uint64 sequence,bytes32 seen,uint8 kind,bytes payload)"
    );
    /// Half the order of secp256k1: the largest `s` of the one form of a signature that counts.
    uint256 private constant HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0;

    function separator(uint256 chainId, address scheduler) internal pure returns (bytes32) {
        return keccak256(abi.encode(DOMAIN_TYPE, keccak256("Assay"), keccak256("2"), chainId, scheduler));
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
    ) internal pure returns (bytes32) {
        bytes32 action = keccak256(
            abi.encode(ACTION_TYPE, job, revision, sequence, seen, kind, keccak256(abi.encode(payload)))
        );
        return keccak256(abi.encodePacked(hex"1901", domain, action));
    }

    /// Checks that `node` signed.
    function check(bytes32 hash, bytes32 r, bytes32 vs, address node) internal pure {
        uint256 s = uint256(vs) & type(uint256).max >> 1;
        address signer =
            s > HALF_ORDER ? address(0) : ecrecover(hash, uint8(27 + (uint256(vs) >> 255)), r, bytes32(s));
        if (signer == address(0) || signer != node) revert IJobScheduler.BadSignature(node);
    }
}
