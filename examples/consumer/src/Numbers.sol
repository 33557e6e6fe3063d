// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title Numbers as programs print them
library Numbers {
    uint256 internal constant MOST_DIGITS = 70;

    /// @notice Reads decimal digits, and at most one line end behind them. Anything else is no number: what a program prints
    /// is the word of strangers.
    function read(bytes calldata text) internal pure returns (bool isNumber, uint256 value) {
        uint256 length = text.length;
        if (length != 0 && text[length - 1] == "\n") --length;
        if (length == 0 || length > MOST_DIGITS) return (false, 0);
        for (uint256 i = 0; i < length; ++i) {
            uint8 digit = uint8(text[i]);
            if (digit < 48 || digit > 57) return (false, 0);
            value = value * 10 + (digit - 48);
        }
        isNumber = true;
    }
}
