// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// What the scheduler asks of an ERC-20. Calls of those that return nothing are the same, so only their selectors are used here.
interface IToken {
    function balanceOf(address owner) external view returns (uint256);
    function transfer(address to, uint256 amount) external returns (bool);
    function transferFrom(address from, address to, uint256 amount) external returns (bool);
    /// EIP-2612, which not every token has.
    function permit(
        address owner,
        address spender,
        uint256 amount,
        uint256 deadline,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external;
}

/// @title An ERC-20 as the scheduler uses it
/// @notice Tokens answer a transfer with true, or with nothing. Neither is proof: whoever calls these compares balances.
library Tokens {
    function held(address token) internal view returns (uint256) {
        return IToken(token).balanceOf(address(this));
    }

    function pull(address token, address from, uint256 amount) internal returns (bool) {
        return _call(token, abi.encodeCall(IToken.transferFrom, (from, address(this), amount)));
    }

    function push(address token, address to, uint256 amount) internal returns (bool) {
        return _call(token, abi.encodeCall(IToken.transfer, (to, amount)));
    }

    /// Nobody looks whether it worked: anyone may have sent the same permit first, and then it cannot.
    function permit(
        address token,
        address owner,
        uint256 amount,
        uint256 deadline,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) internal {
        _call(token, abi.encodeCall(IToken.permit, (owner, address(this), amount, deadline, v, r, s)));
    }

    /// Whether the token did it, and did not answer with anything but true. Copies one word of the answer.
    function _call(address token, bytes memory data) private returns (bool isDone) {
        assembly ("memory-safe") {
            isDone := call(gas(), token, 0, add(data, 32), mload(data), 0, 32)
            isDone := and(
                isDone,
                or(iszero(returndatasize()), and(gt(returndatasize(), 31), eq(mload(0), 1)))
            )
        }
    }
}
