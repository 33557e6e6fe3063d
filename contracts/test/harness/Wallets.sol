// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

// Contracts that sign by ERC-1271, honestly and not. They keep nothing in their code, so that it can stand at the address of
// a node.

/// A wallet of one owner, who signs for it or approves a hash on the chain, as a Safe does.
contract Wallet {
    address public owner;
    mapping(bytes32 hash => bool) public isApproved;

    function approve(bytes32 hash) external {
        isApproved[hash] = true;
    }

    function isValidSignature(bytes32 hash, bytes calldata signature) external view returns (bytes4) {
        if (signature.length == 0) return isApproved[hash] ? this.isValidSignature.selector : bytes4(0);
        require(signature.length == 65, "r, s and v");
        (bytes32 r, bytes32 s) = abi.decode(signature[:64], (bytes32, bytes32));
        address signer = ecrecover(hash, uint8(signature[64]), r, s);
        require(signer != address(0) && signer == owner, "not of the owner");
        return this.isValidSignature.selector;
    }

    receive() external payable {}
}

/// Answers whatever it is told to, whoever asks what.
contract Yes {
    bytes32 public answer;
    uint256 public size;

    fallback() external {
        assembly {
            mstore(0, sload(0))
            return(0, sload(1))
        }
    }
}

/// Tries to change something while it is asked.
contract Writer {
    uint256 public count;

    function isValidSignature(bytes32, bytes calldata) external returns (bytes4) {
        ++count;
        return this.isValidSignature.selector;
    }
}

/// Uses all the gas that whoever asks it gives.
contract Burner {
    fallback() external {
        while (true) {}
    }
}
